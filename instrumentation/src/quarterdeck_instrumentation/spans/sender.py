"""Takes finished spans from any thread, without waiting, and posts them from one of its own.

A bounded queue; what finds no room, or could not be sent in time, is counted. A forked child begins with nothing.

A flush may begin early, when a server is told to end, and be asked for when it has served its last request. A collector
that has taken nothing meanwhile is dead, and waited for no longer than from the beginning; one that has, gets the time
anew for what came since.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.spans import target, wire
from quarterdeck_instrumentation.spans.span import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.trace import ReadableSpan

    from quarterdeck_instrumentation.spans.span import LeanSpan

    Post = Callable[[bytes, float], None]
    """Posts a body by a time of the monotonic clock.

    Raises:
        UndeliveredError: nobody took it.
    """


_LOOK_AGAIN = 0.05
"""Seconds after which a flush looks again by itself: the bell wakes one of several that wait."""


class UndeliveredError(Exception):
    """What was posted has not arrived, and why, in words that are the same each time."""


class Sender:
    """The queue, and the thread behind it."""

    def __init__(
        self,
        connect: Callable[[], Post],
        *,
        queue: int,
        batch: int,
        delay: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Post with what *connect* gives, called in the thread, within *timeout* s for each post.

        At most *batch* spans at once, at most *delay* s after the first of them; *queue* wait at most.
        """
        self._connect = connect
        self._clock = clock
        self._most, self._batch, self._delay, self._timeout = queue, batch, delay, timeout
        self._begin()
        if hasattr(os, "register_at_fork"):
            forked = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: (begin := forked()) and begin())

    def _begin(self) -> None:
        self._queue: deque[LeanSpan | ReadableSpan] = deque()
        self._wake = native.Bell()
        self._idle = native.Bell()
        self._starting = native.lock()
        self._taking = native.lock()
        self._post: Post | None = None
        self._sending = 0
        self._ended = 0
        """How many were sent before those, or could not be."""
        self._settled = True
        """Whether it is decided what becomes of those that are being sent: they are taken, or somebody counts them."""
        self._deadline: float | None = None
        """Until when anything is posted, while there is a flush."""
        self._begun: float | None = None
        """Until when a flush that was begun early is waited for."""
        self._answers = False
        """Whether the collector took what was posted last, since a flush was begun."""
        self._runs = False

    def add(self, span: LeanSpan | ReadableSpan) -> None:
        """Take *span*, or count that there was no room; returns at once."""
        queue = self._queue
        if len(queue) >= self._most:
            failed("traces", "spans are dropped, because more of them end than the collector takes")
            return
        queue.append(span)
        if not self._runs:
            self._start()
        elif len(queue) == self._batch:
            self._wake.ring()

    def begin_flush(self, seconds: float) -> None:
        """Have what is queued sent within *seconds*; returns at once, and a flush should follow."""
        if self._begun is None and not self._sent():
            self._answers = False
            self._begun = self._deadline = self._clock() + seconds
            self._wake.ring()

    def flush(self, seconds: float) -> bool:
        """Send what is queued, and say whether that was done within *seconds*; what was not is let go and counted."""
        begun, self._begun = self._begun, None
        if self._sent():
            self._deadline = None
            return True
        deadline = self._clock() + seconds
        if begun is not None and not self._answers:
            deadline = min(deadline, begun)
        self._deadline = deadline
        with self._taking:
            every = self._ended + self._sending + len(self._queue)  # not what ends meanwhile: a server may go on
        self._wake.ring()
        if not self._runs:
            self._drain()  # no thread could be started: the interpreter is ending
        while not (done := self._ended >= every) and self._clock() < deadline:
            self._idle.wait(min(deadline - self._clock(), _LOOK_AGAIN))
        if not done:
            self._lost(self._let_go(), "the last spans could not be sent in time")  # here: there may be no later
        self._deadline = None
        return done

    def _sent(self) -> bool:
        return not self._queue and not self._sending

    def _start(self) -> None:
        with self._starting:
            if not self._runs:
                try:
                    native.start_thread(self._run, "quarterdeck-spans", target.POSTING)
                except RuntimeError:
                    return  # the interpreter is ending: a flush sends
                self._runs = True

    def _run(self) -> None:
        while True:
            self._wake.wait(self._delay)
            self._drain()

    def _drain(self) -> None:
        while batch := self._take():
            self._send(batch)
        self._idle.ring()

    def _take(self) -> list[LeanSpan | ReadableSpan]:
        with self._taking:
            self._ended += self._sending
            self._sending = min(len(self._queue), self._batch)
            self._settled = not self._sending
            return [self._queue.popleft() for _ in range(self._sending)]

    def _settle(self) -> int:
        """Return how many of the spans that are being sent nobody has counted yet, for the caller to do so."""
        with self._taking:
            return self._unsettled()

    def _let_go(self) -> int:
        """Let go of what is queued, and return how many spans the caller has to count: these, and who is being sent."""
        with self._taking:  # at once, or the thread could take a batch in between, which nobody would count in time
            lost = self._unsettled() + len(self._queue)
            self._queue.clear()
            return lost

    def _unsettled(self) -> int:
        settled, self._settled = self._settled, True
        return 0 if settled else self._sending

    def _send(self, batch: list[LeanSpan | ReadableSpan]) -> None:
        limit = self._clock() + self._timeout
        try:
            if self._post is None:
                self._post = self._connect()
            content = body(batch)
            if content:
                self._post(content, limit if self._deadline is None else min(limit, self._deadline))
        except UndeliveredError as why:
            self._answers = False
            self._lost(self._settle(), str(why))
        except Exception as error:  # noqa: BLE001 -- ours: the thread must live on
            for _ in range(self._settle()):
                failed("traces", "a batch of spans could not be sent", error)
        else:
            self._answers = True
            self._settle()

    @staticmethod
    def _lost(spans: int, why: str) -> None:
        if spans:
            failed("traces", why, times=spans)


def body(spans: Iterable[Any]) -> bytes:
    """Return *spans* of one resource as an ExportTraceServiceRequest; one that cannot be encoded is left out."""
    scopes: dict[int, tuple[Any, list[bytes]]] = {}
    last = None
    for span in spans:
        try:
            encoded = encode(span)
        except Exception as error:  # noqa: BLE001 -- a user may call a span anything, or say that it began at "noon"
            failed("traces", "a span could not be encoded, and is not sent", error)
            continue
        last = span
        scope = span.instrumentation_scope
        of_scope = scopes.get(id(scope))  # each tracer has its own one, and its hash is a call of Python's
        if of_scope is None:
            of_scope = scopes[id(scope)] = (scope, [])
        of_scope[1].append(encoded)
    if last is None:
        return b""
    return wire.request(last.resource, [wire.scope_spans(scope, encoded) for scope, encoded in scopes.values()])
