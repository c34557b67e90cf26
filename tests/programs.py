"""Programs that tests start, and how tests wait for what these do."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")
DEADLINE = 120.0
"""Seconds that any condition may take, where a test does not say less."""

_LONGEST_PAUSE = 0.25
"""Seconds between two looks at a condition, at most."""


@contextmanager
def started(log: Path, command: Sequence[Path | str]) -> Iterator[None]:
    """Run *command* while the block lasts; all that it says is in *log*."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def until(condition: Callable[[], T], what: Callable[[], str] | str = "the condition", deadline: float = DEADLINE) -> T:
    """Return *condition*'s first true value; a server that does not answer yet is waited for.

    Raises:
        AssertionError: it was not true within *deadline* seconds; the message has *what* was waited for.
    """
    end, pause = time.monotonic() + deadline, 0.01
    while True:
        with suppress(httpx.HTTPError):  # not listening yet, or 503 while it starts
            if found := condition():
                return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s for {what if isinstance(what, str) else what()}")
        # Asking all the time would take from what is waited for, on a machine that is busy.
        pause = min(pause * 1.5, _LONGEST_PAUSE)
        time.sleep(pause)


def free_port() -> int:
    """Return a port of loopback that nobody listens on.

    As `quarterdeck_scripts.local.network` chooses them, which is not there where the instrumentation is alone.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 -- any free one will do
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
