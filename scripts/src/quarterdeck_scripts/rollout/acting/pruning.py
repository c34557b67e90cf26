"""Takes old evidence off this machine's disk: bundles are up to 64 MiB each, and a laptop has many rollouts."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BUNDLES = 50
"""Bundles of an environment that are kept: 3 GiB at the very most, and weeks of a busy team's rollouts."""

OLDEST = 90 * 86400.0
"""Seconds since its rollout ended after which a bundle goes however few there are: longer than a review takes."""


def prune(folder: Path, now: float) -> list[str]:
    """Remove the bundles in *folder* that are too many or too old; return what could not be, in lines for a person.

    Records stay: they are small, and `history` and `report` read them. A bundle whose record says no end is never
    touched: its rollout may be taken up again.

    Args:
        folder: where an environment's records are, each with its bundle beside it.
        now: Unix seconds.
    """
    newest_first = sorted(_ended(folder), reverse=True)
    failed = []
    for number, (ended, bundle) in enumerate(newest_first):
        if number >= MOST_BUNDLES or now - ended > OLDEST:
            try:
                shutil.rmtree(bundle)
            except OSError as error:
                failed.append(f"An old bundle of evidence was not removed: {error.strerror}: {bundle}")
    return failed


def _ended(folder: Path) -> Iterator[tuple[float, Path]]:
    """Yield each bundle whose rollout has ended, after when that was in Unix seconds."""
    for record in folder.glob("*.json"):
        bundle = record.with_suffix("")
        if not bundle.is_dir() or bundle.is_symlink():
            continue
        try:
            fields = json.loads(record.read_text(encoding="utf-8"))
            ended = float(fields["ended"]) if fields["ending"] else 0.0
        except (OSError, ValueError, TypeError, KeyError):
            continue  # of another format: nobody here knows what it is of
        if ended:
            yield ended, bundle
