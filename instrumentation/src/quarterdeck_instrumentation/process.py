"""What one worker says of itself: processor time, memory, when it started."""

from __future__ import annotations

import os
import time

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def cpu_seconds() -> float:
    """Return the processor time this process has used, user and system, in seconds."""
    return time.process_time()


def resident_bytes() -> float:
    """Return the memory this process has in RAM, in bytes; its greatest so far where there is no `/proc`."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:
            return float(int(statm.read().split()[1]) * _PAGE)
    except OSError:
        import resource  # noqa: PLC0415 -- only where there is no /proc

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS, which this is for


def start_time(now: float) -> float:
    """Return the Unix time at which this process started, given the present one; *now* where it cannot be told."""
    try:
        with open("/proc/self/stat", "rb", buffering=0) as stat, open("/proc/uptime", "rb", buffering=0) as uptime:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
            since_boot = float(uptime.read().split()[0])
        return round(now - since_boot + ticks / os.sysconf("SC_CLK_TCK"), 2)
    except (OSError, ValueError, IndexError):
        return now
