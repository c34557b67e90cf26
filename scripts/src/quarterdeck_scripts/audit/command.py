"""`quarterdeck audit`: show, verify, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED
from quarterdeck_scripts.options import context_option, env_option, output_option

if TYPE_CHECKING:
    from datetime import datetime

    from quarterdeck_scripts.audit.log import Verification


@click.group()
def audit() -> None:
    """What was changed, by whom, when and why: read the log, prove it whole, take it away."""


@audit.command()
@click.option("--service", default="", help="Only changes of this service's objects.")
@click.option("--action", default="", help="Only actions that begin so, such as `rollout` or `rollout: promote`.")
@click.option("--actor", default="", help="Only changes of whom this is a part of.")
@click.option("--since", default="", help="Only since then: how long ago, such as 24h, or a time such as 2026-11-23.")
@click.option("--last", type=click.IntRange(min=0), default=20, show_default=True, help="So many at most; 0 is all.")
@env_option
@context_option
@output_option
def show(  # noqa: PLR0917 -- click passes each option by name
    service: str, action: str, actor: str, since: str, last: int, env: str, context: str | None, output: str
) -> int:
    """Show the changes that were made or tried, the newest last.

    Exit code 1: the log is not what was written. What comes before that place is shown.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.audit.history import Wanted, changes  # noqa: PLC0415 -- likewise

    wanted = Wanted(service, action, actor, _time(since) if since else None)
    verification = _read(env, context)
    found = [made for made in changes(verification.entries) if wanted.takes(made)][-last:]
    if output == "json":
        console.emit_json([made.as_json() for made in found])
    else:
        console.emit("\n\n".join(map(str, found)) or "No such change.")
    return _judged(verification)


@audit.command()
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Verify this export instead; needs no cluster.",
)
@env_option
@context_option
@output_option
def verify(file: Path | None, env: str, context: str | None, output: str) -> int:
    """Prove that no entry was altered, removed or put in between.

    The cluster's log is followed from its first entry, and compared with this machine's copy, which shows what was cut
    off at its end. Keep the last hash elsewhere, and an export proves itself against it.

    Exit code 1: it is not what was written; the first place where it is not is named.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.audit.log import verify_export  # noqa: PLC0415 -- likewise

    verification = verify_export(file) if file else _read(env, context)
    last = verification.entries[-1].digest if verification.entries else ""
    if output == "json":
        console.emit_json(
            {
                "intact": verification.broken is None,
                "broken": str(verification.broken or ""),
                "entries": len(verification.entries),
                "last": last,
                "unfinished": [entry.change for entry in verification.unfinished],
            }
        )
    elif verification.broken is None:
        console.emit(
            f"Intact: {len(verification.entries)} entries" + (f"; the last one's hash is {last}" if last else "")
        )
        for entry in verification.unfinished:
            console.emit(f"  unfinished: {entry.action} {entry.subject}, begun {entry.time} by {entry.actor}")
    return _judged(verification)


@audit.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write. [default: stdout]")
@env_option
@context_option
def export(out: Path | None, env: str, context: str | None) -> int:
    """Write the whole log as lines of JSON, each entry as it stands in the cluster, its hash included.

    Exit code 1: the log is not what was written. All of it is exported nevertheless: it is evidence.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click

    verification = _read(env, context)
    if out is None:
        for line in verification.lines:
            console.emit(line)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(f"{line}\n" for line in verification.lines), encoding="utf-8")
        console.say(f"Wrote {len(verification.lines)} entries to {out}.")
    return _judged(verification)


def _read(env: str, context: str | None) -> Verification:
    from quarterdeck_scripts.audit.log import AuditLog  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.workspace import AUDIT  # noqa: PLC0415 -- likewise

    return AuditLog(open_environment(env, context).cluster, AUDIT, actor="").verify()


def _judged(verification: Verification) -> int:
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click

    if verification.broken is None:
        return EXIT_DONE
    console.say(f"The audit log is not what was written: {verification.broken}.")
    return EXIT_FAILED


def _time(text: str) -> datetime:
    from datetime import UTC, datetime  # noqa: PLC0415 -- --help needs no more than click

    from quarterdeck_contract.errors import UsageError  # noqa: PLC0415 -- likewise
    from quarterdeck_dashboards.duration import parse_duration  # noqa: PLC0415 -- likewise

    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            "how long ago (24h, 7d) or a time (2026-11-23, 2026-11-23T08:00Z) for --since",
            repr(text),
            "write `--since 24h`, or a time",
        ) from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)
