"""The `quarterdeck` command: finds its groups by entry point, imports only the one that is asked for."""

from __future__ import annotations

import difflib
import os
import re
import signal
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quarterdeck_contract import errors

if TYPE_CHECKING:
    from types import FrameType

COMMANDS = "quarterdeck.commands"
"""Entry-point group. A package adds a group of commands by registering a Click command here."""


class LazyGroup(click.Group):
    """A group whose commands are entry points, loaded when used; `--help` loads all, so they import lightly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all registered commands."""
        del ctx
        return sorted(_registered())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command, or return None for an unknown name."""
        del ctx
        entry = _registered().get(cmd_name)
        if entry is None:
            return None
        try:
            command = entry.load()
        except ImportError as error:
            return _broken(entry, error)
        if not isinstance(command, click.Command):
            return _broken(entry, TypeError("it is not a click.Command"))
        return command


def _broken(entry: EntryPoint, error: Exception) -> click.Command:
    """Stand in for a command that cannot be loaded, so that it breaks neither `--help` nor the others."""

    def explain() -> None:
        raise errors.QuarterdeckError(
            f"the entry point {entry.value} in {COMMANDS} to load",
            f"{type(error).__name__}: {error}",
            "install what it needs, or uninstall the package that registers it",
        ) from error

    return click.Command(entry.name, callback=explain, help=f"(cannot be loaded: {error})")


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="quarterdeck", message="%(prog)s %(version)s")
def quarterdeck() -> None:
    """Telemetry in, safe changes out: environments, rollouts and runbooks over one telemetry contract.

    Exit codes: 0 done · 1 failed · 2 usage · 3 inconclusive, a person is needed · 4 refused for safety ·
    130/143 interrupted.
    """


def main() -> None:
    """Run the command line; turn errors into messages on stderr and the right exit code."""
    _open_what_is_closed()
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    sys.exit(run(sys.argv[1:]))


def _open_what_is_closed() -> None:
    """Let a standard stream that was closed (`2>&-`) lead nowhere: its number would be that of the next connection."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 -- as long as the process


def run(arguments: list[str]) -> int:  # noqa: PLR0911 -- a table, a line for each way to end
    """Run one command line and return its exit code."""
    try:
        result = _invoke(arguments)
    except errors.QuarterdeckError as error:
        click.echo(_explain(error), err=True)
        return error.exit_code
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
        else:
            click.echo(_explain(_translated(error)), err=True)
        return errors.EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return errors.EXIT_INTERRUPTED
    except _Terminated:
        click.echo("Terminated.", err=True)
        return errors.EXIT_TERMINATED
    except BrokenPipeError:
        # The reader went away (`quarterdeck … | head`): nothing to say, and no second error at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_FAILED
    except OSError as error:
        click.echo(_explain(_not_taken(error)), err=True)
        return errors.EXIT_FAILED
    return result if isinstance(result, int) else errors.EXIT_DONE


def _not_taken(error: OSError) -> errors.QuarterdeckError:
    """Say which file could not be read or written: one that a person named, most of all."""
    if error.filename is None:  # stdout's disk is full, as a rule: no second error at shutdown
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    named = "the command's output" if error.filename is None else str(error.filename)
    step = "name another place, or make room and give the right to it; then run the command again"
    return errors.QuarterdeckError(f"{named} to be read or written", error.strerror or type(error).__name__, step)


def _invoke(arguments: list[str]) -> Any:
    try:
        return quarterdeck.main(args=arguments, prog_name="quarterdeck", standalone_mode=False)
    except RuntimeError as error:
        # Python 3.11 wraps a Ctrl-C that comes while it makes a class, so in the middle of a lazy import.
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


_VALUE_REFUSED = re.compile(r"(?P<found>.+?) is not (?P<expected>.+?)\.?", re.DOTALL)
"""How Click's types refuse a value."""
_OURS = re.compile(r"expected (?P<expected>.+), found (?P<found>.+?)\.?", re.DOTALL)
"""How our own readers of values do."""


def _translated(error: click.ClickException) -> errors.UsageError:
    """Say what Click refuses as every other error is said."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "quarterdeck"
    usage = f"`{command} --help`"
    expected, found, near = f"a command line as {usage} explains it", _clause(error.format_message()), None
    match error:
        case click.NoSuchOption():
            expected, found, near = f"an option of `{command}`", repr(error.option_name), error.possibilities
        case click.exceptions.NoSuchCommand():
            expected, found, near = f"a command of `{command}`", repr(error.command_name), _near_commands(error)
        case click.BadOptionUsage() if "requires" in error.message:
            expected, found = f"a value for {error.option_name}", "none"
        case click.MissingParameter():
            expected, found = f"a value for {_named(error)}", "none"
        case click.BadParameter():
            expected, found = _refused(error)
    step = f"write {' or '.join(sorted(near))}, or see {usage}" if near else f"see {usage}"
    return errors.UsageError(expected, found, step)


def _near_commands(error: click.exceptions.NoSuchCommand) -> list[str]:
    """Return the commands that may have been meant: Click itself knows none of a lazy group's."""
    group = error.ctx.command if error.ctx is not None else None
    if error.ctx is None or not isinstance(group, click.Group):
        return []
    return difflib.get_close_matches(error.command_name, group.list_commands(error.ctx))


def _refused(error: click.BadParameter) -> tuple[str, str]:
    """Return what was expected of a value, and what was found."""
    refused = _VALUE_REFUSED.fullmatch(error.message) or _OURS.fullmatch(error.message)
    if refused is None:
        return f"a value that {_named(error)} can have", _clause(error.message)
    expected = refused["expected"].removesuffix(" range")  # an integer range says so of what is no integer
    if error.param is not None and isinstance(error.param.type, click.Choice):
        *others, last = error.param.type.choices
        expected = f"{', '.join(others)} or {last}" if others else last
    return f"{_named(error)} to be {expected}", refused["found"]


def _named(error: click.BadParameter) -> str:
    """Return the option or argument as it is typed."""
    hint = error.param_hint
    if hint is None:
        hint = error.param.get_error_hint(error.ctx) if error.param is not None else "the parameter"
    return (hint if isinstance(hint, str) else ", ".join(hint)).replace("'", "")


def _clause(sentence: str) -> str:
    """Return what Click says, as the rest of a sentence that has begun."""
    sentence = sentence.removeprefix("Got ").rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def _explain(error: errors.QuarterdeckError) -> str:
    label = click.style("Error", fg="red", bold=True)
    return f"{label}: {error}"


class _Terminated(BaseException):
    """SIGTERM came: unwinds the stack like Ctrl-C does, so that `finally` blocks run."""


class _Stop:
    """Unwinds the stack at the first Ctrl-C or SIGTERM. The next ones would cut short what that one put away."""

    def __init__(self) -> None:
        self._came = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if self._came:
            # Not by a stream: this may be in the middle of one's own writing.
            os.write(2, b"\nStopping already: what was begun is put away first (Ctrl-\\ ends it at once).\n")
            return
        self._came = True
        raise KeyboardInterrupt if signum == signal.SIGINT else _Terminated
