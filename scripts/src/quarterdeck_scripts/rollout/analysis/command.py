"""`quarterdeck rollout analyze`: judge without rolling out, or judge a bundle again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_scripts.options import context_option, env_option, output_option

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.session import Session


@click.command()
@click.argument("service", required=False)
@click.option("--since", metavar="TIME", help="Judge a window of the past from here on: 2h, or 2026-11-22T10:00:00Z.")
@click.option("--until", metavar="TIME", help="Where that window ends. [default: now]")
@click.option("--version", help="The new version in that window. [default: the canary's]")
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also keep all of it in this folder, to judge it again with --replay.",
)
@click.option(
    "--replay",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="BUNDLE",
    help="Judge again what a rollout or an analysis has kept in this folder. Asks nobody.",
)
@env_option
@context_option
@output_option
def analyze(  # noqa: PLR0917 -- click passes each option by name
    service: str | None,
    since: str | None,
    until: str | None,
    version: str | None,
    bundle: Path | None,
    replay: Path | None,
    env: str,
    context: str | None,
    output: str,
) -> int:
    """Judge SERVICE's new version beside its old one, and change nothing.

    Of a rollout under way: from its beginning until now. With --since: of a time when two versions ran. With --replay:
    of what was kept then, offline; what is printed is the same, byte for byte.

    Exit code 0: PASS. 1: FAIL. 3: INCONCLUSIVE.
    """
    from quarterdeck_contract.errors import UsageError  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.analysis import now, text  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.analysis.replay import judge_again  # noqa: PLC0415 -- likewise

    window = [name for name, given in (("--until", until), ("--version", version)) if given]
    others = [name for name, given in (("SERVICE", service), ("--since", since), ("--bundle", bundle)) if given]
    others += window
    if window and since is None and replay is None:
        step = "add --since, such as `--since 2h`, or leave that out to judge what is under way"
        raise UsageError(f"--since with {' and '.join(window)}, which are of a time in the past", "none", step)
    if replay is not None and others:
        raise UsageError("nothing beside --replay", " and ".join(others), "leave one of them out")
    if replay is not None:
        record = judge_again(replay)
    elif service is None:
        raise UsageError("the name of a service, or a bundle with --replay", "neither", "name one")
    else:
        analysis = now.Analysis(_open(env, context, service))
        record = analysis.past(since, until, version or "") if since else analysis.live()
        if bundle is not None:
            console.say(f"Bundle: {analysis.keep(bundle)}")
    console.emit(record.to_json().rstrip("\n") if output == "json" else text.analysis(record))
    return text.exit_code(record)


def _open(env: str, context: str | None, service: str) -> Session:
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.session import Session  # noqa: PLC0415 -- likewise

    return Session.open(open_environment(env, context), service)
