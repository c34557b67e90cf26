"""Measures any ASGI application, from outside all of it: one record and at most one span for each request.

The outermost layer measures; layers further in find its mark in the scope and stand aside. What is recorded is
decided when the last byte has been sent, except that a failed response waits for the exception behind it.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.labels import UNMATCHED_ROUTE
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import SERVER_ERROR, error_type, method_label, scheme_label

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from quarterdeck_instrumentation.runtime import Runtime
    from quarterdeck_instrumentation.tracing import ServerSpan

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MARK = "quarterdeck"
"""Key in the scope: the request as it is being measured, or None where it must not be. Its presence says that a
layer further out is in charge; frameworks tell it the route."""


class Instrumented:
    """An application that is measured; what a server is given instead of it."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        await serve(self.app, scope, receive, send)


async def serve(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Call *app*, measured unless a layer further out does that already."""
    runtime = runtime_.current()
    if runtime is None or MARK in scope:
        await app(scope, receive, send)
    elif scope["type"] == "http":
        await _serve_http(runtime, app, scope, receive, send)
    elif scope["type"] == "websocket":
        await _serve_websocket(runtime, app, scope, receive, send)
    elif scope["type"] == "lifespan":
        scope[MARK] = None
        await app(scope, receive, _ends(send))
    else:
        await app(scope, receive, send)


class Request:
    """One request while it is measured."""

    __slots__ = (
        "_active",
        "_disconnected",
        "_ended",
        "_finished",
        "_method",
        "_receive",
        "_runtime",
        "_scope",
        "_send",
        "_started",
        "error",
        "prefix",
        "route",
        "span",
        "status",
    )

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._scope = scope
        self._receive = receive
        self._send = send
        self._disconnected = False
        self._ended: float | None = None
        self._finished = False
        self.route: str | None = None
        """Template of the route that serves it; None until one matches."""
        self.prefix = ""
        """Templates of the mounts above that route."""
        self.status: int | None = None
        self.error = ""
        """Type of the exception behind a failed response, where a framework keeps it to itself."""
        self._method = method_label(scope["method"])
        self._active = runtime.http.active(self._method, scheme_label(scope.get("scheme", "http")))
        self.span: ServerSpan | None = _span(runtime, scope)
        self._active.add(1.0)
        runtime.registry.touch()
        self._started = perf_counter()

    async def receive(self) -> Message:
        """Receive for the application, and notice when the client is gone."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._ended is None:  # servers say so after a response as well
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Send for the application, and notice the status and the end."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        try:
            await self._send(message)
        except OSError:
            self._disconnected = True
            raise
        if (kind == "http.response.body" and not message.get("more_body", False)) or kind == "http.response.pathsend":
            self._ended = perf_counter()
            # A failed response may be followed by the exception that explains it, so it is recorded later.
            if self.status is not None and self.status < SERVER_ERROR:
                self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        """Record the request, once."""
        if self._finished:
            return
        self._finished = True
        try:
            self._record(error)
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a request could not be recorded", mistake)

    def _record(self, error: BaseException | None) -> None:
        seconds = (perf_counter() if self._ended is None else self._ended) - self._started
        status = self.status
        if status is None and not self._disconnected and (error is None or isinstance(error, Exception)):
            status = SERVER_ERROR  # what servers answer for an application that sent nothing
        kind = ""
        if error is not None and not self._disconnected:
            kind = error_type(error)
        elif status is not None and status >= SERVER_ERROR:
            kind = self.error or str(status)
        span = self.span
        exemplar = span.exemplar(seconds, time()) if span is not None else None
        self._active.add(-1.0)
        scheme = scheme_label(self._scope.get("scheme", "http"))
        outcome = (self._method, self.route or UNMATCHED_ROUTE, status, kind, scheme)
        self._runtime.http.record(outcome, seconds, exemplar)
        if span is not None:  # after the metrics: a user's span processor may raise
            span.end(self.route, status, kind)


async def _serve_http(runtime: Runtime, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] in runtime.settings.health_paths:
        await _serve_unseen(runtime, app, scope, receive, send)
        return
    try:
        request = scope[MARK] = Request(runtime, scope, receive, send)
    except Exception as mistake:  # noqa: BLE001 -- ours, or a scope that only the server understands
        failed("requests", "a request could not be measured", mistake)
        scope[MARK] = None
        await app(scope, receive, send)
        return
    try:
        await app(scope, request.receive, request.send)
    except BaseException as error:
        request.finish(error)
        raise
    else:
        request.finish(None)
    finally:
        scope[MARK] = None  # or scope and request would keep each other, and the server's objects, for the collector
        if request.span is not None:
            request.span.leave()


def _span(runtime: Runtime, scope: Scope) -> ServerSpan | None:
    """Begin the span of a request or a WebSocket; None without tracing, or when it fails."""
    try:
        tracing = runtime.tracing()
        return tracing.request(scope) if tracing is not None else None
    except Exception as mistake:  # noqa: BLE001 -- ours, or a user's sampler's or processor's
        failed("traces", "a span could not be begun", mistake)
        return None


async def _serve_unseen(runtime: Runtime, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a probe: nothing of it is measured or traced, down to the last call it makes."""
    scope[MARK] = None
    tracing = runtime.tracing()
    if tracing is None:
        await app(scope, receive, send)
        return
    span = tracing.suppressed()
    try:
        await app(scope, receive, send)
    finally:
        span.leave()


async def _serve_websocket(runtime: Runtime, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket: one span for the whole connection if there is tracing, and no HTTP metrics."""
    span = None if scope["path"] in runtime.settings.health_paths else _span(runtime, scope)
    if span is None:
        await _serve_unseen(runtime, app, scope, receive, send)
        return
    connection = scope[MARK] = Connection()
    error = ""
    try:
        await app(scope, receive, send)
    except BaseException as escaped:
        error = error_type(escaped)
        raise
    finally:
        try:
            span.leave()
            span.end(connection.route, None, error)
        except Exception as mistake:  # noqa: BLE001 -- ours, or a user's span processor's
            failed("traces", "a span could not be ended", mistake)


class Connection:
    """One WebSocket while it is traced."""

    __slots__ = ("error", "prefix", "route")

    def __init__(self) -> None:
        self.error = ""
        """Type of an exception that a framework kept to itself; the close code says enough."""
        self.route: str | None = None
        """Template of the route that serves it; None until one matches."""
        self.prefix = ""
        """Templates of the mounts above that route."""


def _ends(send: Send) -> Send:
    """Return *send* of a lifespan, with telemetry brought to safety before the server hears that it may end.

    Before, because servers end by raising the signal they got, after which nothing of Python runs.
    """

    async def sending(message: Message) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            runtime_.end()
        await send(message)

    return sending
