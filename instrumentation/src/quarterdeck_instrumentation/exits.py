"""The ways a process ends that Python's `atexit` never sees, and how telemetry is brought to safety before them.

`os._exit` is how `multiprocessing` ends a forked child (granian's workers are such), and how watchdogs and task runners
end a process. It is wrapped, in the module `os` alone: what comes before it is bounded in time and happens in a thread
of its own, so that neither a lock that the caller holds nor a dead collector can keep the process from ending. The
alternatives lose spans on every recycled worker, or need a hook for each caller there is.

SIGTERM kills a process that has no handler for it, which is every development server, and every worker of a server that
leaves signals to its parent. A handler is set only where that default is in place, and only once telemetry has begun,
or a server is made that may run in another thread: in a process that serves. It brings telemetry to safety and has the
same signal kill the process after all, so whoever waits for it sees the death it would have seen. A server that sets
its own handler later replaces ours, as it would have replaced the default.

Nothing can be done about SIGKILL or a crash: what was written down by then stays, which the runtime sees to.
"""

from __future__ import annotations

import os
import signal
from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import native

if TYPE_CHECKING:
    from collections.abc import Callable

_SLACK = 0.25
"""Seconds beyond the flush deadline that an end may take, for writing the values down."""


class _Watch:
    """What has to be done before this process ends."""

    def __init__(self) -> None:
        self.end: Callable[[], None] | None = None
        self.pid = 0
        self.seconds = 0.0
        self.wrapped = False
        self.busy = False
        """Whether it is being done at this moment, and the process ends after it."""

    def over(self) -> None:
        """Have it done, for as long as it may take; once, and not in a child that was forked since."""
        end, self.end = self.end, None
        if end is None or self.pid != os.getpid():
            return
        self.busy = True
        try:
            self._do(end)
        finally:
            self.busy = False

    def _do(self, end: Callable[[], None]) -> None:
        done = native.Bell()

        def run() -> None:
            try:
                end()
            finally:
                done.ring()

        try:
            native.start_thread(run, "quarterdeck-end")
        except RuntimeError:
            return  # the interpreter is ending, so `atexit` has seen to it
        done.wait(self.seconds + _SLACK)


_watch = _Watch()


def watch(end: Callable[[], None], seconds: float) -> None:
    """Have *end* called before this process ends in one of these ways; it is waited for about *seconds*.

    Call it in the main thread if it is to come before SIGTERM: Python sets handlers nowhere else.
    """
    _watch.end, _watch.pid, _watch.seconds = end, os.getpid(), seconds
    if not _watch.wrapped:
        _watch.wrapped = True
        os._exit = _wrapped(os._exit)
    expect()


def expect() -> None:
    """Have SIGTERM wait for the end of what is watched, now or later, where nobody else handles it.

    Nothing is done outside the main thread, where Python sets no handlers.
    """
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and not _caught(signal.SIGTERM):
            signal.signal(signal.SIGTERM, _terminated)
    except ValueError:
        return  # not the main thread


def forked() -> None:
    """Let go, in a forked child, of what watches over its parent."""
    _watch.end, _watch.busy = None, False
    if signal.getsignal(signal.SIGTERM) is _terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _wrapped(leave: Any) -> Any:
    @wraps(leave)
    def _exit(status: int) -> None:
        _watch.over()
        leave(status)

    return _exit


def _caught(number: int) -> bool:
    """Say whether the process has a handler for a signal that Python does not know of, set in C: uWSGI has."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            (caught,) = (line.split()[1] for line in status if line.startswith("SigCgt:"))
    except (OSError, ValueError):
        return False
    return int(caught, 16) >> (number - 1) & 1 == 1


def _terminated(number: int, frame: Any) -> None:
    del frame
    if signal.getsignal(number) is not _terminated:
        return  # called by a handler that was set later, as what it replaced: the default would not have been called
    if _watch.busy:
        return  # told again, as `multiprocessing` tells children: whom this interrupts ends the process
    _watch.over()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
