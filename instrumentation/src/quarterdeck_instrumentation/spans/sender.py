"""Takes finished spans from any thread, without waiting, and posts them from one of its own.

A bounded queue; what finds no room, or could not be sent in time, is counted. A forked child begins with nothing.
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

    def __init__(self, connect: Callable[[], Post], *, queue: int, batch: int, delay: float, timeout: float) -> None:
        """Post with what *connect* gives, called in the thread, within *timeout* s for each post.

        At most *batch* spans at once, at most *delay* s after the first of them; *queue* wait at most.
        """
        self._connect = connect
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
        self._post: Post | None = None
        self._sending = 0
        self._let_go = False
        self._deadline: float | None = None
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

    def flush(self, seconds: float) -> bool:
        """Send what is queued, and say whether that was done within *seconds*; what was not is let go and counted."""
        deadline = time.monotonic() + seconds
        if self._sent():
            return True
        self._deadline = deadline
        self._wake.ring()
        if not self._runs:
            self._drain()  # no thread could be started: the interpreter is ending
        while not (done := self._sent()) and time.monotonic() < deadline:
            self._idle.wait(min(deadline - time.monotonic(), _LOOK_AGAIN))
        if not done:
            self._let_go = True  # counted here: there may be no later
            lost = len(self._queue) + self._sending
            self._queue.clear()
            self._lost(lost, f"the last spans could not be sent within {seconds:g} s")
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
        while self._queue:
            self._sending = min(len(self._queue), self._batch)
            self._let_go = False
            self._send([self._queue.popleft() for _ in range(self._sending)])
        self._sending = 0
        self._idle.ring()

    def _send(self, batch: list[LeanSpan | ReadableSpan]) -> None:
        limit = time.monotonic() + self._timeout
        try:
            if self._post is None:
                self._post = self._connect()
            content = body(batch)
            if content:
                self._post(content, limit if self._deadline is None else min(limit, self._deadline))
        except UndeliveredError as why:
            if not self._let_go:
                self._lost(len(batch), str(why))
        except Exception as error:  # noqa: BLE001 -- ours: the thread must live on
            for _ in batch:
                failed("traces", "a batch of spans could not be sent", error)

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
