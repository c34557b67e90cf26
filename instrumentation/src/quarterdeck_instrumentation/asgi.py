"""Measures any ASGI application, from outside all of it: one record and at most one span for each request.

The outermost layer measures; layers further in find its mark in the scope and stand aside. What is recorded is
decided when the last byte has been sent, except that a failed response waits for the exception behind it.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import request as request_
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import SERVER_ERROR

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


_LAST = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})
"""Messages that end a response, unless they say that there is more or trailers were promised."""


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
        runtime.vitals.loops.notice()
        await app(scope, receive, _ends(send))
    else:
        await app(scope, receive, send)


class Request(request_.Request):
    """One request while it is measured."""

    __slots__ = ("_disconnected", "_receive", "_send", "_trailers")

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._disconnected = False
        self._trailers = False
        super().__init__(runtime, scope["method"], scope.get("scheme", "http"), scope)

    async def receive(self) -> Message:
        """Receive for the application, and notice when the client is gone."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and self.ended is None:  # servers say so after a response as well
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Send for the application, and notice the status and the end."""
        kind = ""
        try:
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
                self.status = status if isinstance(status, int) else None
                self._trailers = "trailers" in message and message["trailers"]
        except (LookupError, TypeError):
            pass  # no message of ASGI's: it is for the server to say so, in its own way
        try:
            await self._send(message)
        except OSError:
            self._disconnected = True
            raise
        if (kind in _LAST and not message.get("more_body", False) and not self._trailers) or (
            kind == "http.response.trailers" and not message.get("more_trailers", False)
        ):
            self.ended = perf_counter()
            # A failed response may be followed by the exception that explains it, so it is recorded later.
            if self.status is not None and self.status < SERVER_ERROR:
                self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        """Record the request, once; *error* is what the application raised."""
        if self._recorded:
            return  # when its last byte was sent, as most are
        status = self.status
        if self._disconnected:
            error = None  # the server's way to say so, or what came of it
        elif status is None and (error is None or isinstance(error, Exception)):
            status = SERVER_ERROR  # what servers answer for an application that sent nothing
        self.record(status, error)


class Connection(request_.Connection):
    """One WebSocket while it is traced."""

    __slots__ = ("_disconnected", "_receive")

    def __init__(self, span: ServerSpan, receive: Receive) -> None:
        super().__init__(span)
        self._receive = receive
        self._disconnected = False

    async def receive(self) -> Message:
        """Receive for the application, and notice when the client is gone."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._disconnected = True
        return message

    def finish(self, error: BaseException | None) -> None:
        """End the span; *error* is what the application raised, which after the client has gone is how it ends."""
        super().finish(None if self._disconnected else error)


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
        request.leave()


async def _serve_unseen(runtime: Runtime, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a probe: nothing of it is measured or traced, down to the last call it makes."""
    scope[MARK] = None
    span = request_.suppress(runtime)
    try:
        await app(scope, receive, send)
    finally:
        if span is not None:
            span.leave()


async def _serve_websocket(runtime: Runtime, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket: one span for the whole connection if there is tracing, and no HTTP metrics."""
    span = None if scope["path"] in runtime.settings.health_paths else request_.begin_span(runtime, scope)
    if span is None:
        await _serve_unseen(runtime, app, scope, receive, send)
        return
    connection = scope[MARK] = Connection(span, receive)
    try:
        await app(scope, connection.receive, send)
    except BaseException as error:
        connection.finish(error)
        raise
    connection.finish(None)


def _ends(send: Send) -> Send:
    """Return *send* of a lifespan, with telemetry brought to safety before the server hears that it may end.

    Before, because servers end by raising the signal they got, after which nothing of Python runs.
    """

    async def sending(message: Message) -> None:
        if message.get("type") in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            runtime_.end()
        await send(message)

    return sending
