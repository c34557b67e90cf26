"""The records that this machine's runs left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.rollout.judge.record import RolloutRecord

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def records(folder: Path, service: str, ids: Collection[str] = ()) -> list[RolloutRecord]:
    """Return the records of *service* in *folder*, the oldest first.

    Args:
        folder: where they are written.
        service: whose.
        ids: of rollouts; all of the service's when empty.

    Raises:
        UsageError: there are none, or one of *ids* is not among them.
    """
    found = {}
    for file in folder.glob("*.json"):
        try:
            record = RolloutRecord.from_json(file.read_text(encoding="utf-8"))
        except (ValueError, TypeError, KeyError, json.JSONDecodeError):
            continue  # of another format: what is not read is not shown, and asked for by its id it is missed
        if record.service == service:
            found[record.id] = record
    wanted = [found[each] for each in ids if each in found] if ids else list(found.values())
    if not wanted or len(wanted) < len(ids):
        missing = ", ".join(each for each in ids if each not in found) or f"any rollout of {service}"
        raise UsageError(
            f"the record of {missing} in {folder}",
            ", ".join(sorted(found)) or "none",
            f"look at `quarterdeck rollout history {service}` for who ran it: the record is on that machine",
        )
    return sorted(wanted, key=lambda record: record.began)
