"""`quarterdeck runbook`: list, for-alert, run, pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_scripts.options import context_option, dry_run_option, env_option, output_option, yes_option

if TYPE_CHECKING:
    from quarterdeck_scripts.runbook.alerts import Alert


@click.group()
def runbook() -> None:
    """From an alert to what it means, and to commands that mend it: planned, rehearsed, verified, audited."""


@runbook.command("list")
@output_option
def list_(output: str) -> None:
    """List all pages, and the actions that `run` takes."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.runbook.registry import runbooks  # noqa: PLC0415 -- likewise

    every = runbooks().values()
    if output == "json":
        console.emit_json(
            [
                {
                    "id": each.id,
                    "summary": each.page.summary(),
                    "usage": each.action.usage if each.action else None,
                    "remedies": [remedy.action for remedy in each.page.remedies],
                }
                for each in every
            ]
        )
        return
    for each in every:
        kind = "run " if each.action else "read"
        console.emit(f"{kind}  {each.id:20}  {each.page.summary()}")


@runbook.command("for-alert")
@click.argument("source", metavar="[-]", required=False, type=click.Choice(["-"]))
@click.option("--alert", "name", help="The alert's name. Not needed when only one fires.")
@click.option("--service", help="The service, when several have this alert.")
@env_option
@context_option
@output_option
def for_alert(  # noqa: PLR0917 -- click passes each option by name
    source: str | None, name: str | None, service: str | None, env: str, context: str | None, output: str
) -> None:
    """Say what a firing alert means, and the exact commands that may mend it.

    The alert comes from the environment's Alertmanager or, with `-`, as JSON from standard input: a webhook's
    payload, an answer of Alertmanager's API, or one alert.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.runbook import advice, alerts  # noqa: PLC0415 -- likewise

    environment = open_environment(env, context)
    alert = alerts.choose(
        _from_stdin() if source else _from_alertmanager(environment.facts.alertmanager_url), name, service
    )
    found = advice.on(alert, environment.catalogue, env)
    if output == "json":
        console.emit_json(found.to_json())
    else:
        console.emit(str(found))


def _from_stdin() -> list[Alert]:
    import json  # noqa: PLC0415 -- --help needs no more than click

    from quarterdeck_contract.errors import UsageError  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.runbook.alerts import parse_alerts  # noqa: PLC0415 -- likewise

    text = sys.stdin.buffer.read()
    try:
        return parse_alerts(json.loads(text))
    except ValueError as error:
        raise UsageError(
            "an alert as JSON on standard input",
            f"{text[:60].decode(errors='replace')!r}: {error}",
            "pipe the payload itself",
        ) from error


def _from_alertmanager(url: str) -> list[Alert]:
    from quarterdeck_scripts.adapters.alertmanager import AlertmanagerApi  # noqa: PLC0415 -- the network
    from quarterdeck_scripts.runbook.alerts import parse_alerts  # noqa: PLC0415 -- --help needs no more than click

    return parse_alerts(AlertmanagerApi(url).alerts())


@runbook.command()
@click.argument("action")
@click.option("--service", help="The service of the catalogue to act on.")
@click.option("--node", help="The node to act on.")
@click.option("--replicas", type=click.IntRange(min=0), help="scale: how many pods.")
@click.option("--undo", is_flag=True, help="drain: let pods come to the node again.")
@click.option("--force", is_flag=True, help="Also what loses something: all pods of a service, data on a node.")
@click.option(
    "--within", default="", help="How long it may take, such as 5m. [default: what the service or node needs]"
)
@click.option("--why", default="", help="The reason, for the audit log.")
@env_option
@context_option
@output_option
@yes_option
@dry_run_option
def run(  # noqa: PLR0917 -- click passes each option by name
    action: str,
    service: str | None,
    node: str | None,
    replicas: int | None,
    undo: bool,  # noqa: FBT001 -- click passes options by name
    force: bool,  # noqa: FBT001 -- likewise
    within: str,
    why: str,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- likewise
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> None:
    """Run ACTION on a service or a node, and wait until the cluster shows that it worked.

    ACTION is one of `quarterdeck runbook list` that says `run`: restart, scale, drain, roll-back.

    Exit code 0: done, and seen to hold. 1: tried, and not done in time; what is still wrong is named.
    2: nothing was tried. 4: refused, nothing was changed.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.runbook.registry import action_called  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.runbook.session import Asked, Session  # noqa: PLC0415 -- likewise

    asked = Asked(action, action_called(action), service, node, replicas, undo=undo, force=force, within=within)
    asked.require_fitting()
    session = Session(open_environment(env, context), asked)
    plan, rehearsal = session.prepare()
    console.say(session.described(plan, rehearsal))
    if dry_run:
        console.emit(session.result(plan, rehearsal, None, output))
        return
    console.confirm("Go ahead?", yes=yes)
    with console.step(plan.summary) as step:
        progress = session.carry_out(plan, why, step.update)
        step.update("")  # what was missing last is so no longer
    console.emit(session.result(plan, rehearsal, progress, output))


@runbook.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/runbooks"),
    show_default=True,
    help="Folder of the pages.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail when the folder is not what would be written.")
def pages(out: Path, check: bool) -> None:  # noqa: FBT001 -- click passes options by name
    """Write every page as Markdown, from its docstring."""
    from quarterdeck_contract.errors import QuarterdeckError  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.runbook.documents import documents  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.runbook.registry import runbooks  # noqa: PLC0415 -- likewise

    wanted = documents(runbooks().values())
    present = {file.name: file.read_text(encoding="utf-8") for file in out.glob("*.md")}
    stale = sorted(name for name in {*wanted, *present} if wanted.get(name) != present.get(name))
    if check:
        if stale:
            raise QuarterdeckError(
                f"the pages in {out} to be what the docstrings say",
                f"others: {', '.join(stale)}",
                f"run `quarterdeck runbook pages --out {out}` and commit the result",
            )
        console.say(f"{len(wanted)} pages in {out} are what the docstrings say.")
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (out / name).write_text(text, encoding="utf-8")
    for name in set(present) - set(wanted):
        (out / name).unlink()
    console.say(f"Wrote {len(wanted)} pages to {out}; {len(stale)} changed.")
