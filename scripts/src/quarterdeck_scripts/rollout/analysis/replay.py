"""A bundle judged again: from its answers alone, by the code that judges rollouts, to the byte or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_scripts.rollout.acting import bundle
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.tape import Player

if TYPE_CHECKING:
    from pathlib import Path


def judge_again(folder: Path) -> RolloutRecord:
    """Return the record that the answers in the bundle *folder* lead to: the one that is in it.

    Raises:
        UsageError: *folder* is no bundle, or one that this version cannot read.
        QuarterdeckError: the answers lead to another record than the one that is in the bundle.
    """
    written, answers = bundle.read(folder)
    player = Player(answers)
    try:
        record = RolloutRecord.from_json(written)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"a record of this version in {folder / bundle.RECORD}",
            f"{type(error).__name__}: {error}",
            "use the version that wrote it, or another bundle",
        ) from error
    again = replace(record, queries={}, readings=[], samples=[])
    measurer = Measurer(player, again, version=player.version)
    for pods in player.looks():
        measurer.look(pods)
    if again.to_json() != written:
        raise QuarterdeckError(
            f"the answers in {folder} to lead to the record beside them",
            _difference(json.loads(written), json.loads(again.to_json()), player.strayed),
            "see that nobody changed the bundle; else use the version of quarterdeck that wrote it",
        )
    return again


def _difference(written: dict[str, Any], again: dict[str, Any], strayed: str) -> str:
    if strayed:
        return f"a question that was not asked then: {strayed}"
    verdicts = [(each.get("assessment") or {}).get("verdict") for each in (written, again)]
    if verdicts[0] != verdicts[1]:
        return f"{verdicts[1]} where {verdicts[0]} is written"
    other = sorted(key for key in {*written, *again} if written.get(key) != again.get(key))
    return f"another value of {', '.join(other)}" if other else "the same values, written otherwise"
