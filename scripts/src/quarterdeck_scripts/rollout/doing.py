"""What start, retry, resume and promote do alike, once it is known what is to be rolled out: show, ask, do, tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED
from quarterdeck_scripts import console
from quarterdeck_scripts.rollout import beginning, text
from quarterdeck_scripts.rollout.rehearsal import rehearse
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quarterdeck_scripts.rollout.beginning import Start


@dataclass(frozen=True, slots=True)
class Manner:
    """How a command line wants it done."""

    yes: bool
    """Nobody is asked."""
    output: str
    """`text` or `json`."""
    dry_run: bool = False
    """Nothing is changed: the server says what it would do."""
    override: str = ""
    """Why guards are passed by; empty when they are not."""
    write_back: bool = False
    """Print also what makes the stack's files say so."""
    report: Path | None = None
    """Where a page about it goes; None is nowhere."""


def roll_out(found: Sequence[Start], manner: Manner) -> int:
    """Roll out what was *found* to be rolled out, and return the exit code.

    Raises:
        QuarterdeckError: it is refused, or could not be brought to either end.
    """
    for each in found:
        console.say(text.plan(each.plan, each.session.environment, each.record, resumed=each.resumed))
        if each.findings:
            console.say(text.findings(each.findings))
    if manner.dry_run:
        for each in found:
            if not each.finished:
                console.say(rehearse(each.session, each.plan, flow.start(each.plan)))
        _write_back(found, manner)
        return EXIT_DONE
    beginning.require(found, manner.override)
    console.confirm("Go ahead?", yes=manner.yes)
    beginning.note_overrides(found, manner.override)
    outcome, code = beginning.carry_out(found)
    if manner.report is not None:
        _write_report(found, manner.report)
    console.emit_done(text.endings([(each.record, each.file) for each in found], outcome, manner.output))
    if outcome.ending is Ending.PROMOTED:
        _write_back(found, manner)
    # Somebody aborted what is gone on with: done for them, not for whoever asked for the version.
    return EXIT_FAILED if outcome.ending is Ending.ABORTED else code


def _write_report(found: Sequence[Start], file: Path) -> None:
    """Write the page; what prevents that changes nothing about how the rollout ended."""
    from quarterdeck_scripts.rollout.report import render  # noqa: PLC0415 -- only who asks for it

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render([each.record for each in found]), encoding="utf-8")
    except OSError as error:
        service = found[0].plan.service
        console.say(
            f"The report was not written: {error.strerror}: {file}. "
            f"`quarterdeck rollout report {service} --out FILE` writes it."
        )


def _write_back(found: Sequence[Start], manner: Manner) -> None:
    """Print it among the data, unless the data are the record."""
    for each in found if manner.write_back else ():
        tell = console.say if manner.output == "json" and not manner.dry_run else console.emit_done
        tell(each.session.write_back(each.plan.image))
