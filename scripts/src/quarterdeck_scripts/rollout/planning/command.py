"""`quarterdeck rollout plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_INCONCLUSIVE
from quarterdeck_scripts.options import context_option, env_option, output_option

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.session import Session


@click.command()
@click.argument("service")
@click.option("--canary-replicas", type=click.IntRange(min=1), help="As many new pods, not the catalogue's number.")
@env_option
@context_option
@output_option
def plan(service: str, canary_replicas: int | None, env: str, context: str | None, output: str) -> int:
    """Say what a rollout of SERVICE could show in the time it has, and what it could cost, at its traffic now.

    How soon a healthy canary passes; the least damage that is shown; how soon a canary twice and five times as bad as
    is allowed, and one that fails completely, is put back, and for how many minutes of the error budget; and the routes
    with too little traffic to show anything. Nothing is changed. Exit code 3: a healthy canary would end inconclusive.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.foresight.asking import outlook, setting  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.planning import text  # noqa: PLC0415 -- likewise

    session = _open(env, context, service)
    situation = session.view().inspect(any_state=True)
    let_in = setting(session.plan("", situation), situation.replicas, canary_replicas)
    found = outlook(session.service, session.prometheus, let_in)
    if output == "json":
        console.emit_json(found.as_json())
    else:
        console.emit(text.render(found))
    return EXIT_DONE if found.conclusive else EXIT_INCONCLUSIVE


def _open(env: str, context: str | None, service: str) -> Session:
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.session import Session  # noqa: PLC0415 -- likewise

    return Session.open(open_environment(env, context), service)
