"""`quarterdeck rollout`: watch, history, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_INCONCLUSIVE
from quarterdeck_scripts.options import context_option, env_option, output_option

if TYPE_CHECKING:
    from collections.abc import Collection

    from quarterdeck_scripts.rollout.looking.history import Past
    from quarterdeck_scripts.rollout.session import Session


@click.command()
@click.argument("service")
@env_option
@context_option
@output_option
def watch(service: str, env: str, context: str | None, output: str) -> int:
    """Follow SERVICE's rollout, whoever runs it, until it ends.

    Exit code: that of the rollout. 0 also when none is under way; 3 when nobody runs it any more.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout import status  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.looking.watching import End  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.looking.watching import watch as follow  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.steps.state import Ending  # noqa: PLC0415 -- likewise

    session = _open(env, context, service)
    cluster, namespace = session.environment.cluster, session.service.namespace

    def read() -> status.RolloutStatus:
        return status.of(cluster, session.environment.cluster_uid, namespace, service)

    with console.step(f"Watch {service}") as step:
        watched = follow(read, session.clock, step.update)
    every = _past(session)
    found = [each for each in every if each.id == watched.rollout] if watched.rollout else every[:1]
    if watched.end is End.NONE:
        console.say(f"No rollout of {service} is under way" + ("; the last one:" if found else " and none was."))
    elif watched.end is End.ABANDONED:
        console.say(
            f"Nobody runs it any more: `quarterdeck rollout resume {service}` goes on with it, "
            f"`quarterdeck rollout abort {service}` puts everything back."
        )
    _emit(found, output)
    if watched.end is End.ABANDONED:
        return EXIT_INCONCLUSIVE
    return Ending(found[0].ending).exit_code if watched.end is End.OVER and found else EXIT_DONE


@click.command()
@click.argument("service")
@click.option("--last", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@env_option
@context_option
@output_option
def history(service: str, last: int, env: str, context: str | None, output: str) -> None:
    """Show SERVICE's rollouts, the newest first, whoever ran them: from the audit log in the cluster."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click

    found = _past(_open(env, context, service))
    if not found:
        console.say(f"The audit log has no rollout of {service}.")
    _emit(found[:last], output)


@click.command()
@click.argument("service")
@click.option("--id", "ids", multiple=True, help="Of that rollout; may be given again. [default: all there are]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The page, an HTML file.")
@env_option
@context_option
def report(service: str, ids: tuple[str, ...], out: Path, env: str, context: str | None) -> None:
    """Write a page about SERVICE's rollouts, with charts, from the records that runs on this machine left.

    Those that other machines ran are named, as the audit log in the cluster has them.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.looking.records import records  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.report import render  # noqa: PLC0415 -- likewise

    session = _open(env, context, service)
    found = records(session.records, service, ids)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render(found), encoding="utf-8")
    console.emit(f"{out}: {', '.join(record.id for record in found)}")
    others = "" if ids else _of_others(session, {record.id for record in found})
    if others:
        console.say(others)


def _open(env: str, context: str | None, service: str) -> Session:
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.session import Session  # noqa: PLC0415 -- likewise

    return Session.open(open_environment(env, context), service)


def _past(session: Session) -> list[Past]:
    """Return the service's rollouts, the newest first."""
    from quarterdeck_scripts.rollout.looking.history import past  # noqa: PLC0415 -- --help needs no more than click

    state = session.view().inspect(any_state=True).state
    entries = session.audit().verify().entries
    return past(entries, session.service.namespace, session.service.name, state.id if state else "")


def _of_others(session: Session, ids: Collection[str]) -> str:
    """Return which rollouts a page of those with *ids* lacks, for a person; nothing where it has all."""
    from quarterdeck_contract.errors import QuarterdeckError  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.looking.history import without  # noqa: PLC0415 -- likewise

    name = session.service.name
    try:
        return without(ids, _past(session))
    except QuarterdeckError as error:  # the page is written: what else there is nobody has to know
        return f"Whether other machines ran rollouts of {name} could not be read: {error.found}."


def _emit(found: list[Past], output: str) -> None:
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click

    if output == "json":
        console.emit_json([each.as_json() for each in found])
    elif found:
        console.emit("\n".join(map(str, found)))
