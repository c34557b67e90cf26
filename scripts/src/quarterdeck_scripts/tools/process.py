"""Run one child that may start children of its own, so that all of them end with it, whatever happens here."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_GRACE = 1.0
"""Seconds between asking a group of processes to end and ending it."""
_TAIL = 40
"""Lines of output kept for an error message."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended."""

    code: int | None
    """Exit code; negative for a signal; None when it was ended here for saying nothing."""
    tail: str
    """The last lines it wrote."""


def run(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    silence: float,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Finished:
    """Run *arguments* in a process group of their own and pass each line of output, either stream's, to *on_line*.

    Whatever interrupts the caller (Ctrl-C, SIGTERM, an error in *on_line*) ends the whole group first.

    Args:
        arguments: the command, never through a shell.
        environment: the child's whole environment.
        silence: seconds without output after which the child counts as hung and is ended.
        cwd: the child's working directory.
        on_line: called with each line, without its end.

    Raises:
        OSError: the command could not be started.
    """
    tail: deque[str] = deque(maxlen=_TAIL)

    def heard(line: str) -> None:
        tail.append(line)
        if on_line:
            on_line(line)

    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=environment,
        start_new_session=True,
    ) as child:
        try:
            in_time = _listen(child, silence, heard)
            code = child.wait(timeout=silence) if in_time else None
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(child)
    return Finished(code, "\n".join(tail))


def _listen(child: subprocess.Popen[bytes], silence: float, heard: Callable[[str], None]) -> bool:
    """Pass on lines until the output is closed; False when nothing came for *silence* seconds."""
    assert child.stdout is not None  # noqa: S101 -- stdout=PIPE above makes it so; this tells the type checker
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        rest = b""
        while True:
            if not selector.select(timeout=silence):
                return False
            block = os.read(child.stdout.fileno(), 65536)
            *lines, rest = (rest + block).split(b"\n")
            if not block and rest:
                lines.append(rest)
            for line in lines:
                heard(line.decode(errors="replace"))
            if not block:
                return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the child's process group: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            if child.poll() is not None and not _group_exists(child.pid):
                return
            time.sleep(0.02)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
