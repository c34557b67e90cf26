"""`quarterdeck rollout freeze` and `thaw`: stop the line, and let it run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE
from quarterdeck_scripts.options import context_option, env_option, reason, yes_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.rollout.line.freezes import Stop
    from quarterdeck_scripts.rollout.line.keeper import Line


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]…")
@click.option(
    "--why",
    required=True,
    callback=reason,
    help="The reason: whoever is refused reads it, and the audit log keeps it.",
)
@click.option(
    "--for", "lasting", default="", help="It runs again by itself after that, such as 2h. [default: not before thaw]"
)
@env_option
@context_option
@yes_option
def freeze(  # noqa: PLR0917 -- click passes each option by name
    services: tuple[str, ...],
    why: str,
    lasting: str,
    env: str,
    context: str | None,
    yes: bool,  # noqa: FBT001 -- click passes options by name
) -> int:
    """Stop the line: no rollout of SERVICE begins, or of any service, until `thaw`.

    What is under way is judged on and put back on a FAIL, but not promoted. Abort and undo are never held.
    """
    from quarterdeck_contract.errors import UsageError  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_dashboards.duration import parse_duration  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.audit.log import actor_here  # noqa: PLC0415 -- likewise

    try:
        duration = parse_duration(lasting) if lasting else None
    except ValueError as error:
        raise UsageError("a duration for --for, such as 2h", repr(lasting), "write `--for 90m`") from error
    environment, line = _open(env, context, services)
    what = ", ".join(services) or "every service"
    console.say(f"Plan: no rollout of {what} begins or is promoted in the environment {environment.name}")
    _confirm(environment, yes=yes)
    held = line.stop(services, by=actor_here(), why=why, lasting=duration, audit=_audit(environment))
    console.emit(_told(held))
    return EXIT_DONE


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]…")
@click.option("--why", default="", help="The reason, for the audit log.")
@env_option
@context_option
@yes_option
def thaw(
    services: tuple[str, ...],
    why: str,
    env: str,
    context: str | None,
    yes: bool,  # noqa: FBT001 -- click passes options by name
) -> int:
    """Let the line of SERVICE run again, or all of it. The catalogue's freezes stay: they end by the clock."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click

    environment, line = _open(env, context, services)
    console.say(f"Held now: {_told(line.stops())}")
    _confirm(environment, yes=yes)
    console.emit(_told(line.run(services, why=why, audit=_audit(environment))))
    return EXIT_DONE


def _open(env: str, context: str | None, services: tuple[str, ...]) -> tuple[Environment, Line]:
    """Return the environment, which has all *services*, and its line."""
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.ports import SystemClock  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.line.keeper import Line  # noqa: PLC0415 -- likewise

    environment = open_environment(env, context)
    for service in services:
        environment.service(service)
    return environment, Line(environment, SystemClock())


def _confirm(environment: Environment, *, yes: bool) -> None:
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.checks.preflight import bind_cluster  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.workspace import state_of  # noqa: PLC0415 -- likewise

    bind_cluster(state_of(environment.name), environment.name, environment.cluster_uid)
    console.confirm("Go ahead?", yes=yes)


def _audit(environment: Environment) -> AuditLog:
    from quarterdeck_scripts.audit import AuditLog, actor_of  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.workspace import AUDIT  # noqa: PLC0415 -- likewise

    return AuditLog(environment.cluster, AUDIT, actor_of(environment.cluster))


def _told(stops: Mapping[str, Stop]) -> str:
    from quarterdeck_scripts.rollout.line.freezes import ALL  # noqa: PLC0415 -- --help needs no more than click

    if not stops:
        return "Nothing is stopped."
    return "\n".join(f"{'every service' if scope == ALL else scope}: {stop}" for scope, stop in sorted(stops.items()))
