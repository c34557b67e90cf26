"""What an analysis found, in lines. Made of the record alone: the same record is the same lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, EXIT_INCONCLUSIVE
from quarterdeck_scripts.rollout.judge.explain import duration, number_of
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord


_EXITS = {Verdict.PASS: EXIT_DONE, Verdict.FAIL: EXIT_FAILED, Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE}


def analysis(record: RolloutRecord) -> str:
    """Return what *record* shows: the verdict with its reasons, when it was first reached, and what it was made of."""
    assessment = record.replay()
    if assessment is None:
        return f"{record.service}: {Verdict.INCONCLUSIVE}\n  nothing was measured"
    lines = [f"{record.service}: {assessment.verdict}"]
    lines += [f"  {judgement.verdict:12} {judgement.explanation}" for judgement in assessment.judgements]
    lines += [f"  no verdict   {cause}" for cause in assessment.causes]
    lines += [f"  mind         {assessment.unseen}"] if assessment.unseen else []
    word = record.guarded()
    lines += [f"  guards       {said}" for said in (word.alarm, word.wait) if said]
    decided = _first_decision(record)
    if decided:
        lines.append(f"  first        {decided}")
    blind = sum(bool(reading.causes) for reading in record.readings)
    looks = number_of(len(record.readings), "look") + (f", {blind} without a judgement" if blind else "")
    lines.append(f"  looked       from {_time(record.since)} to {_time(record.readings[-1].at)}: {looks}")
    lines.append(f"  counted      {number_of(len(record.samples), 'counter')} of {record.image} and {record.origin}")
    lines += [f"  asked        {text}" for text in record.queries.values()]
    return "\n".join(lines)


def exit_code(record: RolloutRecord) -> int:
    """Return the exit code that *record*'s verdict has."""
    assessment = record.replay()
    return _EXITS[assessment.verdict if assessment else Verdict.INCONCLUSIVE]


def _first_decision(record: RolloutRecord) -> str:
    """Return the verdict that a rollout would have ended with, and after how long; empty when it had none."""
    for number, (reading, trials) in enumerate(record.trials(), start=1):
        verdicts = {Verdict.INCONCLUSIVE} if reading.causes else {trial.verdict() for trial in trials}
        word = replace(record, readings=record.readings[:number]).guarded()
        if word.alarm or Verdict.FAIL in verdicts:
            first = Verdict.FAIL
        elif verdicts == {Verdict.PASS} and not word.wait:
            first = Verdict.PASS
        else:
            continue
        return f"{first} after {duration(max(0.0, reading.at - record.since))}"
    return ""


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
