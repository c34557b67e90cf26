"""Processes by identity: pid and start time together, because a pid alone may be somebody else's by now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATE_VARIABLE = "QUARTERDECK_LOCAL_STATE"
"""Environment variable that every process of a local environment carries: its state folder, absolute. Whatever
a killed run leaves behind is found by it."""

_LOADING = 1.0
"""Seconds that the kernel is given to load a process' program, until it counts as one without an environment."""

_LAUNCHER = Path(__file__).with_name("launch.py")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, never confused with a later one of the same pid."""

    pid: int
    started: int
    """Clock ticks from boot to the start of the process: field 22 of /proc/PID/stat."""


def identify(pid: int) -> ProcessId | None:
    """Return the identity of a living process; None for one that is gone or a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # after the name, which may hold blanks and brackets
    state, started = fields[0], fields[19]
    return None if state in {"Z", "X"} else ProcessId(pid, int(started))


def alive(process: ProcessId) -> bool:
    """Say whether exactly this process still runs."""
    return identify(process.pid) == process


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; return whether it was there to receive it."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not alive(process):  # checked while the pidfd pins the pid
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def marked(variable: str, value: str, *, spare: Iterable[int] = ()) -> list[ProcessId]:
    """Return the living processes whose environment at start had `variable=value`, except the pids in *spare*."""
    wanted = f"{variable}={value}".encode()
    found = []
    for pid in (int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()):
        if pid in spare or wanted not in environment_of(pid).split(b"\0"):
            continue
        if (process := identify(pid)) is not None:
            found.append(process)
    return found


def environment_of(pid: int) -> bytes:
    """Return a process' environment at start; nothing of one that is gone, is another user's, or has none.

    While the kernel loads its program a process has neither arguments nor an environment, and whoever started it goes
    on already: it is asked again, or it would be left alone by who looks for its mark.
    """
    folder, deadline = _PROC / str(pid), time.monotonic() + _LOADING
    try:
        while True:
            loaded = (folder / "cmdline").read_bytes() != b""
            environment = (folder / "environ").read_bytes()
            if environment or loaded or time.monotonic() > deadline:
                return environment
            (folder / "exe").readlink()  # the kernel's own threads and zombies have none
            time.sleep(0.001)
    except OSError:
        return b""


def kill_marked(variable: str, value: str, *, spare: Iterable[int] = (), deadline: float = 10.0) -> None:
    """SIGKILL every process marked `variable=value` until none is left.

    Args:
        variable: name of the environment variable.
        value: its value.
        spare: pids to leave alone: the caller's own.
        deadline: seconds; a process in uninterruptible sleep can outlast SIGKILL.

    Raises:
        QuarterdeckError: some are still there.
    """
    spared = frozenset(spare)
    end = time.monotonic() + deadline
    while found := marked(variable, value, spare=spared):
        if time.monotonic() > end:
            pids = ", ".join(str(process.pid) for process in found)
            raise QuarterdeckError(
                "every process of the environment to end on SIGKILL",
                f"pids {pids} still there after {deadline:.0f} s",
                "see what they wait for (`ps -o pid,stat,wchan,cmd`), then run this again",
            )
        for process in found:
            send(process, signal.SIGKILL)
        time.sleep(0.01)


def dependent(command: list[str]) -> list[str]:
    """Return *command* so that it is killed when the calling thread's process dies, however that happens."""
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "--", *command]


def start_detached(command: list[str], *, environment: Mapping[str, str], log: Path) -> ProcessId | None:
    """Start *command* in a session of its own that outlives us, its output in *log*.

    Returns:
        Its identity; None when it has ended already.
    """
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), "--detach", "--", *command]
    with log.open("ab") as output:
        answer = subprocess.run(
            launcher,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            check=True,
        )
    return identify(int(answer.stdout))
