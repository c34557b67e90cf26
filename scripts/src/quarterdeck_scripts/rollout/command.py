"""`quarterdeck rollout`: start, status, abort, undo; the other commands are beside what they do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_scripts.options import context_option, dry_run_option, env_option, output_option, reason, yes_option
from quarterdeck_scripts.rollout.analysis.command import analyze
from quarterdeck_scripts.rollout.line.command import freeze, thaw
from quarterdeck_scripts.rollout.looking.command import history, report, watch
from quarterdeck_scripts.rollout.planning.command import plan
from quarterdeck_scripts.rollout.steering.command import pause, promote, resume, retry

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.session import Session


_STRATEGIES = ("canary", "blue-green", "rolling")
_BASELINES = ("stable", "fresh")


@click.group()
def rollout() -> None:
    """Let a new version in beside the old one, judge it from evidence, promote it or put everything back."""


for _command in (plan, analyze, freeze, thaw, watch, history, report, pause, resume, promote, retry):
    rollout.add_command(_command)


@rollout.command()
@click.argument("services", metavar="SERVICE…", nargs=-1, required=True)
@click.option(
    "--image",
    "images",
    metavar="[SERVICE=]IMAGE",
    multiple=True,
    required=True,
    help="The new version, as repository:tag; with several services once for each, as service=repository:tag.",
)
@click.option(
    "--after",
    metavar="LATER=EARLIER",
    multiple=True,
    help="Of several services, which comes after which. [default: as the catalogue's dependencies say]",
)
@click.option(
    "--force", "forced", metavar="REASON", callback=reason, help="Promote without a verdict. The reason is audited."
)
@click.option(
    "--override",
    metavar="REASON",
    callback=reason,
    help="Begin although an autoscaler, a disruption budget, another owner or a freeze speaks against it. "
    "The reason is audited.",
)
@click.option(
    "--write-back", is_flag=True, help="Also print the change that makes services.yaml, or the stack, say so."
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write an HTML report with charts to this file.",
)
@click.option("--strategy", type=click.Choice(_STRATEGIES), help="How it is let in. [default: the catalogue's]")
@click.option(
    "--baseline", type=click.Choice(_BASELINES), help="What a canary is compared with. [default: the catalogue's]"
)
@env_option
@context_option
@output_option
@yes_option
@dry_run_option
def start(  # noqa: PLR0917 -- click passes each option by name
    services: tuple[str, ...],
    images: tuple[str, ...],
    after: tuple[str, ...],
    forced: str | None,
    override: str | None,
    write_back: bool,  # noqa: FBT001 -- click passes options by name
    report: Path | None,
    strategy: str | None,
    baseline: str | None,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- likewise
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Roll each SERVICE out to a new image, or go on with the rollout to it that a killed run left.

    Several services go one after the other, what is called before who calls it. Either all of them are promoted, or
    all are put back, the last one first.

    Exit code 0: promoted. 1: the canary failed, everything is back. 3: the evidence decided neither way in time,
    everything is back. 4: refused, nothing was changed. 129, 130, 143: stopped, everything is back.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.kube import workloads  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout import beginning  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.doing import Manner, roll_out  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.steps import train  # noqa: PLC0415 -- likewise

    members = train.parse(images, services)
    for member in members:
        workloads.version_of(member.image)
    train.order(services, {}, after)  # for what it refuses: a cluster would be asked for nothing

    def opened(service: str) -> Session:
        return _open(env, context, service).letting_in(strategy, baseline)

    found = beginning.starts(opened, members, after, forced or "")
    if not found:
        console.say(f"Nothing has to be done: {', '.join(map(str, members))} already.")
        return 0
    manner = Manner(
        yes=yes, output=output, dry_run=dry_run, override=override or "", write_back=write_back, report=report
    )
    return roll_out(found, manner)


@rollout.command()
@click.argument("service")
@click.option(
    "--override", metavar="REASON", callback=reason, help="Guard it although something speaks against it; audited."
)
@env_option
@context_option
@output_option
@yes_option
@dry_run_option
def guard(  # noqa: PLR0917 -- click passes each option by name
    service: str,
    override: str | None,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Hold an update of SERVICE that somebody else began, judge it, and let it go on or take it back.

    It has to be under way: some pods new, some old. Exit codes as of `rollout start`.
    """
    from quarterdeck_scripts.rollout import beginning  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.doing import Manner, roll_out  # noqa: PLC0415 -- likewise

    found = (beginning.guarded(_open(env, context, service)),)
    return roll_out(found, Manner(yes=yes, output=output, dry_run=dry_run, override=override or ""))


@rollout.command()
@click.argument("service", required=False)
@env_option
@context_option
@output_option
def status(service: str | None, env: str, context: str | None, output: str) -> None:
    """Show where the rollout of SERVICE stands, or of every service."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.ports import SystemClock  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout import status as status_  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.line.keeper import Line  # noqa: PLC0415 -- likewise

    environment = open_environment(env, context)
    services = [environment.service(service)] if service else environment.catalogue.services
    found = [status_.of(environment.cluster, environment.cluster_uid, each.namespace, each.name) for each in services]
    if output == "json":
        console.emit_json([each.as_json() for each in found])
    else:
        console.emit("\n".join(map(str, found)))
    for line in Line(environment, SystemClock()).told(each.name for each in services):
        console.say(line)


@rollout.command()
@click.argument("services", metavar="SERVICE…", nargs=-1, required=True)
@click.option("--take-over", is_flag=True, help="Do it here, also while another run is alive; that is then refused.")
@click.option("--why", default="", help="The reason: whoever runs it reads it, and the audit log keeps it.")
@env_option
@context_option
@yes_option
@dry_run_option
def abort(  # noqa: PLR0917 -- click passes each option by name
    services: tuple[str, ...],
    take_over: bool,  # noqa: FBT001 -- click passes options by name
    why: str,
    env: str,
    context: str | None,
    yes: bool,  # noqa: FBT001 -- likewise
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Put everything back on each SERVICE's stable version, and what was rolled out together with it.

    Needs no state: what is there is read off the cluster. Where somebody runs the rollout, that run is asked to, and
    this command waits until it has.
    """
    from quarterdeck_scripts.rollout import going_back  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.steering.aborting import by_whoever_runs_it  # noqa: PLC0415 -- likewise

    return going_back.abort(
        lambda service: _open(env, context, service),
        services,
        yes=yes,
        dry_run=dry_run,
        take_over=take_over,
        elsewhere=lambda left: by_whoever_runs_it(left, why),
    )


@rollout.command()
@click.argument("services", metavar="SERVICE…", nargs=-1, required=True)
@click.option(
    "--write-back", is_flag=True, help="Also print the change that makes services.yaml, or the stack, say so."
)
@env_option
@context_option
@yes_option
@dry_run_option
def undo(  # noqa: PLR0917 -- click passes each option by name
    services: tuple[str, ...],
    write_back: bool,  # noqa: FBT001 -- click passes options by name
    env: str,
    context: str | None,
    yes: bool,  # noqa: FBT001 -- likewise
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Bring back each SERVICE's previous revision, its whole pod template; who calls before what is called."""
    from quarterdeck_scripts.rollout import going_back  # noqa: PLC0415 -- --help needs no more than click

    return going_back.undo(
        lambda service: _open(env, context, service), services, yes=yes, dry_run=dry_run, write_back=write_back
    )


def _open(env: str, context: str | None, service: str) -> Session:
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.session import Session  # noqa: PLC0415 -- likewise

    return Session.open(open_environment(env, context), service)
