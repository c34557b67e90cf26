"""What a person sees: messages and progress on stderr, data on stdout.

On a terminal a running step has a spinner and its elapsed time; elsewhere (CI, a pipe, `NO_COLOR`) each step
is a plain line when it begins and one when it ends, so a log tells the same story.

Nothing that is being done ends because nobody reads along any more: a reader that went away (`2>&1 | head`), a
connection that broke or a full disk take messages away, and no more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from quarterdeck_contract.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


_spinners: list[Any] = []
"""Of the steps under way on a terminal, the innermost last. One line, so only that one turns."""


def say(text: str) -> None:
    """Write one message to stderr."""
    with _spinner_stopped(), _whoever_reads():
        click.echo(text, err=True)


def say_command(line: str) -> None:
    """Show the command line that is about to run, as one would type it."""
    say(click.style(f"\n$ {line}", bold=True))


def emit(text: str) -> None:
    """Write data to stdout."""
    click.echo(text)


def emit_done(text: str) -> None:
    """Write to stdout how something ended that was done: where that cannot be written, it was done all the same."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError as error:
        _silence(sys.stdout)
        say(f"{text}\nThe lines above could not be written to stdout ({error.strerror}).")


def emit_json(value: Any) -> None:
    """Write *value* to stdout as JSON."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


_DONE = click.style("✓", fg="green")
_MISSED = click.style("✗", fg="red")


class Step:
    """A running step; `update` says where it stands, `fail` that it did not come true though nothing was raised."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.failed = False

    def update(self, detail: str) -> None:
        """Say where the step stands; shown beside its title."""
        self.detail = detail

    def fail(self) -> None:
        """Say that the step did not come true; its detail says why."""
        self.failed = True


class _PlainStep(Step):
    """A step in a log: where it stands is a line at most every half minute, so that a long one is not silent."""

    _EVERY = 30.0
    """Seconds: some twenty lines for the longest step there is, a cold build of the control plane."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._began = self._said = time.monotonic()

    def update(self, detail: str) -> None:
        super().update(detail)
        now = time.monotonic()
        if now - self._said >= self._EVERY:
            self._said = now
            say(f"… {self.title}: {detail} ({now - self._began:.0f} s)")


class _LiveStep(Step):
    """A step on a terminal: redraws its spinner line when updated."""

    def __init__(self, title: str, status: Any) -> None:
        super().__init__(title)
        self._status = status

    def update(self, detail: str) -> None:
        super().update(detail)
        with _whoever_reads():
            self._status.update(_line(self.title, detail, self._status.console.width))


def _line(title: str, detail: str, width: int) -> Any:
    """Return a spinner's text: as it is, whatever brackets are in it, and no longer than one line of *width*.

    Redrawing several lines would wipe out what others write meanwhile. What changes is worth more than the title,
    of which a third of the line is kept.
    """
    from rich.text import Text  # noqa: PLC0415 -- 60 ms that only a terminal needs

    room = width - len("⠋ ")
    line, rest = Text(title), Text(" ".join(detail.split()))
    if detail:
        rest = Text(": ") + rest
        line.truncate(max(room // 3, room - rest.cell_len), overflow="ellipsis")
    line += rest
    line.truncate(room, overflow="ellipsis")
    return line


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show *title* while the body runs, and how long it took. What the body raises passes through, named."""
    began = time.monotonic()
    try:
        with _live(title) if sys.stderr.isatty() else _plain(title) as current:
            yield current
    except BaseException:
        say(f"{_MISSED} {title} ({time.monotonic() - began:.1f} s)")
        raise
    detail = f": {current.detail}" if current.detail else ""
    say(f"{_MISSED if current.failed else _DONE} {title}{detail} ({time.monotonic() - began:.1f} s)")


@contextmanager
def _plain(title: str) -> Iterator[Step]:
    say(f"… {title}")
    yield _PlainStep(title)


@contextmanager
def _live(title: str) -> Iterator[Step]:
    from rich.console import Console  # noqa: PLC0415 -- 60 ms that only a terminal needs

    terminal = Console(stderr=True)
    status = terminal.status(_line(title, "", terminal.width))
    with _spinner_stopped():
        _spinners.append(status)
        try:
            with _whoever_reads():
                status.start()
            yield _LiveStep(title, status)
        finally:
            _spinners.remove(status)
            with _whoever_reads():
                status.stop()


@contextmanager
def _spinner_stopped() -> Iterator[None]:
    """Have the line for something else meanwhile."""
    turning = _spinners[-1] if _spinners else None
    if turning is not None:
        with _whoever_reads():
            turning.stop()
    try:
        yield
    finally:
        if turning is not None:
            with _whoever_reads():
                turning.start()


@contextmanager
def _whoever_reads() -> Iterator[None]:
    """Let the body write to stderr, as long as that leads anywhere; nothing else belongs in it."""
    try:
        yield
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Let *stream* lead nowhere from now on, what is left in its buffer included."""
    with suppress(OSError, ValueError):  # a stream that is no file has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before a change; `--yes` answers. Without a terminal and without `--yes` nothing is changed.

    Raises:
        RefusedError: nobody can be asked, or the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError("a confirmation", "no terminal to ask on", "read the plan above and add --yes")
    if not click.confirm(question, err=True):
        raise RefusedError("a confirmation", "the answer no", "nothing was changed; run it again when ready")
