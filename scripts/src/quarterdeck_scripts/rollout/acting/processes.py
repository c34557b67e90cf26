"""A process, named so that its own machine can see later that it has ended."""

from __future__ import annotations

import json
import os
from pathlib import Path


def mark() -> str:
    """Return this process's name: JSON of machine, process id and when it started."""
    pid = os.getpid()
    return json.dumps({"machine": _machine(), "pid": pid, "started": _started(pid)}, sort_keys=True)


def has_ended(text: str) -> bool:
    """Return whether the process with that mark was one of this machine, and has ended; false if that is unknown."""
    try:
        named = json.loads(text)
        machine, pid, started = named["machine"], int(named["pid"]), named["started"]
    except (KeyError, ValueError, TypeError):
        return False
    return bool(machine) and machine == _machine() and started is not None and _started(pid) != started


def _machine() -> str:
    """Return what tells this machine's processes from any other's; empty where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return when the process *pid* started, in clock ticks since boot; None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return None
