"""Event loops, from outside: a callback is put in the queue from another thread, and timed until it runs.

That is what any new event of theirs waits for. The thread that writes the values does it, at most five times a second
under load and every few seconds when idle, so there is no timer, no task and nothing on a request's way; and because
that thread has a clock of its own, what it meets is a fair sample of the loop's time.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from quarterdeck_instrumentation.registry import Registry

_MOST = 16
"""Loops that are watched at once. A worker has one; whoever makes loops by the dozen closes them soon."""


class EventLoops:
    """The running loops that were noticed, until they are closed."""

    def __init__(self, registry: Registry) -> None:
        self._lag = registry.distribution(metrics.EVENT_LOOP_LAG)
        self._stall = registry.cell(metrics.EVENT_LOOP_STALL)
        self._cpu = registry.cell(metrics.EVENT_LOOP_CPU_TIME)
        self._watched: dict[int, _Loop] = {}

    def notice(self) -> None:
        """Watch the loop that runs in this thread, if one does."""
        asyncio = sys.modules.get("asyncio")
        loop = asyncio._get_running_loop() if asyncio is not None else None  # noqa: SLF001 -- documented, raises nothing
        if loop is not None and id(loop) not in self._watched and len(self._watched) < _MOST:
            self._watched[id(loop)] = _Loop(loop)

    def running(self) -> list[AbstractEventLoop]:
        """Return the loops that are watched."""
        return [each.loop for each in list(self._watched.values())]

    def update(self) -> None:
        """Record what the loops have answered, and ask them again."""
        stall = 0.0
        for key, each in list(self._watched.items()):
            self._cpu.add(each.cpu_seconds())
            while each.answers:
                self._lag.observe(each.answers.pop())
            if not each.loop.is_running():
                each.asked_at = 0.0  # nobody waits for a loop that was stopped
                if each.loop.is_closed():
                    del self._watched[key]
            elif each.asked_at:
                stall = max(stall, perf_counter() - each.asked_at)
            else:
                each.ask()
        self._stall.set(stall)


class _Loop:
    """One loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Watch *loop*, which runs in this thread."""
        self.loop = loop
        self.asked_at = 0.0
        """When it was asked what it has not answered yet, by the performance counter; 0 when it answered."""
        self.answers: list[float] = []
        """Seconds each answer took, until they are recorded. Not by the loop: all else here is one thread's."""
        self._clock: int | None = None
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._used = self._now()

    def ask(self) -> None:
        """Have the loop answer as soon as it can."""
        self.asked_at = asked_at = perf_counter()
        with suppress(RuntimeError):  # it was closed at this moment
            self.loop.call_soon_threadsafe(self._answer, asked_at)

    def cpu_seconds(self) -> float:
        """Return the processor time that the loop's thread has used since this was last asked."""
        before, self._used = self._used, self._now()
        return max(self._used - before, 0.0)

    def _answer(self, asked_at: float) -> None:
        if asked_at == self.asked_at:  # else it was stopped in between
            self.answers.append(perf_counter() - asked_at)
            self.asked_at = 0.0

    def _now(self) -> float:
        try:
            return time.clock_gettime(self._clock) if self._clock is not None else 0.0
        except OSError:
            return self._used  # the thread has ended
