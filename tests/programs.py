"""Programs that tests start, and how tests wait for what these do."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from itertools import cycle
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
_PORTS = range(11_000, 20_000)
"""What `free_port` gives: below what `quarterdeck_scripts.local.network` chooses from and what Linux gives to outgoing
connections. Of two tests that each draw one at random before they use it, one time in many thousands both have it."""


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
    """Return a port of loopback that nobody listens on, and that no other test of this run is given meanwhile."""
    while True:
        port = next(_own_ports)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _ports() -> Iterator[int]:
    """Yield the ports of this worker of pytest-xdist, each after all others, and from another one on in each run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(_PORTS.start + worker, _PORTS.stop, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    begin = random.randrange(len(own))  # noqa: S311 -- for the sake of other runs on this machine
    return cycle((*own[begin:], *own[:begin]))


_own_ports = _ports()
