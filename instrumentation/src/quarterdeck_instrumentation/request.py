"""One request of an HTTP server while it is measured, whatever serves it: one record, and at most one span.

Belongs here: what all servers have in common. What a server alone knows stays with it: when a response is complete,
what its client has got of it, and how to reach the request from inside a framework.
"""

from __future__ import annotations

import sys
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.labels import UNMATCHED_ROUTE
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import SERVER_ERROR, error_type
from quarterdeck_instrumentation.registry import VALUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_instrumentation.runtime import Runtime
    from quarterdeck_instrumentation.tracing import ServerSpan, Tracing

    Begin = Callable[[Tracing, Any], ServerSpan]
    """Begins the span of a request, as its server has that."""


class Request:
    """One request while it is measured; what makes it is measured from then on, until `record`."""

    __slots__ = (
        "_active",
        "_method",
        "_recorded",
        "_runtime",
        "_scheme",
        "_started",
        "_upgraded",
        "broken_by",
        "ended",
        "error",
        "module",
        "prefix",
        "route",
        "span",
        "status",
    )

    def __init__(
        self,
        runtime: Runtime,
        method: str,
        scheme: str,
        received: Any,
        begin: Begin | None = None,
    ) -> None:
        """Begin to measure.

        Args:
            runtime: this process's telemetry.
            method: request method, as sent.
            scheme: `http`, `https`, `ws` or `wss`.
            received: the request as the server has it.
            begin: what begins the span of *received*; None: it is an ASGI scope, or reads like one.
        """
        self._runtime = runtime
        self._recorded = False
        self._upgraded = False
        self.ended: float | None = None
        """When the last byte was sent, by `perf_counter`; None: when it is recorded."""
        self.route: str | None = None
        """Template of the route that serves it; None until one matches."""
        self.prefix = ""
        """Templates of the mounts above that route."""
        self.module = ""
        """The part of the service that the route belongs to, as the contract's label has it; empty: none."""
        self.status: int | None = None
        """Status code of the response; None while there is none."""
        self.error = ""
        """Type of the exception behind a failed response, where a framework keeps it to itself."""
        self.broken_by = ""
        """Type of the exception that broke a response off, where a framework sends its end all the same."""
        self._method, self._scheme, self._active = runtime.http.accept(method, scheme)
        self.span: ServerSpan | None = begin_span(runtime, received, begin)
        self._active.values[VALUE] += 1.0
        runtime.registry.touch()
        self._started = perf_counter()

    def record(self, status: int | None, error: BaseException | None) -> None:
        """Record the request, once, and end its span; never raises.

        Args:
            status: the status code that the client has got, or will get from the server; None: nothing at all.
            error: the exception that ended it.
        """
        if self._recorded:
            return
        self._recorded = True
        try:
            seconds = (perf_counter() if self.ended is None else self.ended) - self._started
            kind = ""
            if error is not None:
                kind = error_type(error)
            elif status is not None and status >= SERVER_ERROR:
                kind = self.error or str(status)
            else:
                kind = self.broken_by
            span = self.span
            route, module = self.route, self.module
            if not self._upgraded:
                exemplar = span.exemplar(seconds, time()) if span is not None else None
                self._active.values[VALUE] -= 1.0
                outcome = (self._method, route or UNMATCHED_ROUTE, status, kind, self._scheme, module)
                self._runtime.http.record(outcome, seconds, exemplar)
            if span is not None:  # after the metrics: a user's span processor may raise
                span.end((route, status, kind, module))
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a request could not be recorded", mistake)

    def discard(self) -> None:
        """Keep nothing of it, neither record nor span: what it asks for is telemetry's own."""
        if not self._recorded:
            self._recorded = True
            self._active.add(-1.0)
            self._runtime.registry.touch()  # or a worker whose values were just written would have it run for seconds

    def upgrade(self) -> None:
        """Have it be a WebSocket from now on, and no request: one span for all of it, and no HTTP metrics."""
        if not self._upgraded and not self._recorded:
            self._upgraded = True
            self._active.add(-1.0)

    def leave(self) -> None:
        """Make current again what was before; in the task or thread that made the request."""
        if self.span is not None:
            self.span.leave()


class Connection:
    """One WebSocket while it is traced: one span for all of it, and no HTTP metrics."""

    __slots__ = ("_span", "error", "module", "prefix", "route")

    def __init__(self, span: ServerSpan | None = None) -> None:
        self._span = span
        self.error = ""
        """Type of an exception that a framework kept to itself; the close code says enough."""
        self.route: str | None = None
        """Template of the route that serves it; None until one matches."""
        self.prefix = ""
        """Templates of the mounts above that route."""
        self.module = ""
        """The part of the service that the route belongs to."""

    def finish(self, error: BaseException | None) -> None:
        """Make current again what was before and end the span, with the exception that ended it; never raises."""
        if self._span is None:
            return
        try:
            self._span.leave()
            self._span.end((self.route, None, error_type(error) if error is not None else "", self.module))
        except Exception as mistake:  # noqa: BLE001 -- ours, or a user's span processor's
            failed("traces", "a span could not be ended", mistake)


def begin_span(runtime: Runtime, received: Any, begin: Begin | None = None) -> ServerSpan | None:
    """Begin the span of a request or a WebSocket; None without tracing, or when it fails. See `Request`."""
    try:
        tracing = runtime.tracing()
        if tracing is None:
            return None
        return tracing.request(received) if begin is None else begin(tracing, received)
    except Exception as mistake:  # noqa: BLE001 -- ours, or a user's sampler's or processor's
        failed("traces", "a span could not be begun", mistake)
        return None


def suppress(runtime: Runtime) -> ServerSpan | None:
    """Have nothing traced or measured below here, until the span that is returned is left: for probes.

    None where nobody could: without tracing, and without OpenTelemetry's instrumentors of libraries.
    """
    if runtime.tracing() is None and "opentelemetry.instrumentation.utils" not in sys.modules:
        return None
    from quarterdeck_instrumentation.tracing import suppressed  # noqa: PLC0415 -- imported long since, where it is used

    return suppressed()
