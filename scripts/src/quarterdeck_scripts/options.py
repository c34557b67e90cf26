"""Options that every command shares, so that they are spelled and explained once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

from quarterdeck_contract.errors import UsageError

F = TypeVar("F", bound="Callable[..., Any]")


def reason(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Hold an option's value to be a reason: a callback of Click's, so before anything is asked or changed.

    Raises:
        UsageError: it is given, and blank.
    """
    del context
    if value is not None and not value.strip():
        option = max(parameter.opts, key=len)
        raise UsageError(f"a reason for {option}", "an empty one", "say why, for whoever is refused or looks back")
    return value


def env_option(command: F) -> F:
    """Add `--env`."""
    return click.option(
        "--env",
        "env",
        envvar="QUARTERDECK_ENV",
        default="local",
        show_default=True,
        help="Environment. `local` is the one `quarterdeck local up` started; any other is the kubeconfig "
        "context `quarterdeck-<env>`, or the one given by --context.",
    )(command)


def context_option(command: F) -> F:
    """Add `--context`."""
    return click.option("--context", default=None, help="Kubeconfig context, when it is not `quarterdeck-<env>`.")(
        command
    )


def output_option(command: F) -> F:
    """Add `--output`."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Form of the data on stdout. Messages go to stderr.",
    )(command)


def yes_option(command: F) -> F:
    """Add `--yes`."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask before changing something.")(command)


def dry_run_option(command: F) -> F:
    """Add `--dry-run`."""
    return click.option(
        "--dry-run", is_flag=True, help="Show the plan and what the server would do (a server-side dry run)."
    )(command)
