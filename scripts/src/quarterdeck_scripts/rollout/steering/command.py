"""`quarterdeck rollout`: pause, resume, promote, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE
from quarterdeck_scripts.options import (
    context_option,
    dry_run_option,
    env_option,
    output_option,
    reason,
    yes_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.session import Session


@click.command()
@click.argument("service")
@click.option("--why", default="", help="The reason: others read it, and the audit log keeps it.")
@env_option
@context_option
@yes_option
@dry_run_option
def pause(  # noqa: PLR0917 -- click passes each option by name
    service: str,
    why: str,
    env: str,
    context: str | None,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Hold SERVICE's rollout where it is, whoever runs it: judged on, put back on a FAIL, but not promoted."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.steering.session import Steering  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.steps.asks import Wish  # noqa: PLC0415 -- likewise

    steering = Steering(_opener(env, context), service, yes=yes, dry_run=dry_run)
    if steering.ask(Wish.PAUSE, why):
        console.emit_done(f"{service}: paused, until `quarterdeck rollout resume {service}`. {steering.taken}")
    return EXIT_DONE


@click.command()
@click.argument("service")
@click.option("--why", default="", help="The reason, for the audit log.")
@env_option
@context_option
@output_option
@yes_option
@dry_run_option
def resume(  # noqa: PLR0917 -- click passes each option by name
    service: str,
    why: str,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Lift a pause of SERVICE's rollout; go on with the rollout where nobody runs it any more.

    Exit code: 0 when somebody else runs it; else that of the rollout, as `start` has it.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.steering.session import Steering  # noqa: PLC0415 -- likewise

    steering = Steering(_opener(env, context), service, yes=yes, dry_run=dry_run)
    lifted = steering.lift_pause(why)
    if not steering.runner:
        return steering.go_on(output, agreed=lifted)
    if not dry_run:
        console.emit_done(
            f"{service}: resumed. {steering.taken}" if lifted else f"{service}: not paused; {steering.runner} runs it."
        )
    return EXIT_DONE


@click.command()
@click.argument("service")
@click.option(
    "--why",
    required=True,
    callback=reason,
    help="The reason: it is what promotes instead of a verdict. It is audited.",
)
@env_option
@context_option
@output_option
@yes_option
@dry_run_option
def promote(  # noqa: PLR0917 -- click passes each option by name
    service: str,
    why: str,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Promote SERVICE's rollout at its next look, without waiting for a PASS; a FAIL seen there still puts it back.

    Exit code: 0 when somebody else runs it; else that of the rollout, as `start` has it.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.steering.session import Steering  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.rollout.steps.asks import Wish  # noqa: PLC0415 -- likewise

    steering = Steering(_opener(env, context), service, yes=yes, dry_run=dry_run)
    asked = steering.ask(Wish.PROMOTE, why)
    if not steering.runner:
        return steering.go_on(output, agreed=asked)
    if asked:
        console.emit_done(f"{service}: to be promoted. {steering.taken}")
    return EXIT_DONE


@click.command()
@click.argument("service")
@click.option(
    "--override",
    metavar="REASON",
    callback=reason,
    help="As of `start`: begin although a guard speaks against it.",
)
@env_option
@context_option
@output_option
@yes_option
@dry_run_option
def retry(  # noqa: PLR0917 -- click passes each option by name
    service: str,
    override: str | None,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    dry_run: bool,  # noqa: FBT001 -- likewise
) -> int:
    """Roll SERVICE out once more to the version that its last rollout did not promote, together with what went along.

    Exit codes as of `start`.
    """
    from quarterdeck_scripts.rollout.steering.session import Steering  # noqa: PLC0415 -- --help needs only click

    steering = Steering(_opener(env, context), service, yes=yes, dry_run=dry_run)
    return steering.retry(output, override or "")


def _opener(env: str, context: str | None) -> Callable[[str], Session]:
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- --help needs no more than click
    from quarterdeck_scripts.rollout.session import Session  # noqa: PLC0415 -- likewise

    environment = open_environment(env, context)
    return lambda service: Session.open(environment, service)
