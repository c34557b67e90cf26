"""Programs that tests start, and how tests wait for what these do."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

DEADLINE = 120.0
"""Seconds that any condition may take, where a test does not say less."""


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


def until(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Wait until *condition* holds, at most *deadline* seconds; a server that does not answer yet is waited for."""
    end = time.monotonic() + deadline
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass  # not listening yet, or 503 while it starts
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.1)
