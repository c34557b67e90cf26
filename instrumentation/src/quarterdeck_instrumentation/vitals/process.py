"""What the kernel says of this process, each answer a system call or two; None where this system has no answer."""

from __future__ import annotations

import os
import resource
import time

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_FREE_LINKS = 2
"""Links that a folder of Linux's `/proc` has besides one for each folder in it."""


def cpu_seconds() -> float:
    """Return the processor time this process has used, user and system, in seconds."""
    return time.process_time()


def resident_bytes() -> float:
    """Return the memory this process has in RAM, in bytes; its greatest so far where there is no `/proc`."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:
            return float(int(statm.read().split()[1]) * _PAGE)
    except OSError:
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


def threads() -> int | None:
    """Return how many threads the kernel runs for this process, those that Python does not know included."""
    try:
        return os.stat("/proc/self/task").st_nlink - _FREE_LINKS
    except OSError:
        return None


def open_files() -> int | None:
    """Return how many file descriptors are open; Linux says it in one call since 6.2."""
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1  # one to list them
    except OSError:
        return None


def open_files_limit() -> int | None:
    """Return how many file descriptors may be open; None when any number may."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def context_switches() -> tuple[int, int]:
    """Return how often this process gave up the processor (to wait), and how often it was taken from it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw, usage.ru_nivcsw
