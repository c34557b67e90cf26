"""aiohttp's server: each request is measured in the task that serves it, outside of all middlewares.

From the parsed header to the last byte of the response, so streams count to their end, and responses that aiohttp
makes itself (of an `HTTPException`, of an error) are seen as they are sent. What is no HTTP is no request.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import request as request_
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from types import ModuleType

    from quarterdeck_instrumentation.runtime import Runtime
    from quarterdeck_instrumentation.tracing import ServerSpan, Tracing

MARK = "quarterdeck.request"
"""Key in aiohttp's request: the request as it is being measured."""
_SWITCHING_PROTOCOLS = 101
"""What a WebSocket is answered."""


def patch_protocol(module: ModuleType) -> None:
    """Have `RequestHandler`, which serves one connection, measure its requests."""
    handler = module.RequestHandler
    handle, fail = handler._handle_request, handler.handle_error  # noqa: SLF001 -- around middlewares, and the sending

    @wraps(handle)
    async def handling(self: Any, request: Any, start_time: Any, request_handler: Any) -> Any:
        runtime = runtime_.current()
        measurable = request_handler is self._request_handler  # which another one is, for what is no HTTP
        if runtime is None or not measurable or _measured(request) is not None:
            return await handle(self, request, start_time, request_handler)
        if request.path in runtime.settings.health_paths:
            span = request_.suppress(runtime)
            try:
                return await handle(self, request, start_time, request_handler)
            finally:
                if span is not None:
                    span.leave()
        try:
            measured = Request(runtime, request)
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a request could not be measured", mistake)
            return await handle(self, request, start_time, request_handler)
        try:
            done = await handle(self, request, start_time, request_handler)
        except BaseException as error:
            measured.broken(error)
            raise
        else:
            measured.answered(getattr(done[0], "status", None), reset=done[-1])
            return done
        finally:
            measured.leave()

    @wraps(fail)
    def failing(self: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        measured = _measured(request)
        if measured is not None:
            measured.cause = sys.exc_info()[1]
        return fail(self, request, *arguments, **named)

    handler._handle_request, handler.handle_error = handling, failing  # noqa: SLF001 -- likewise


def patch_responses(module: ModuleType) -> None:
    """Have the request told when a response, of whatever kind, is begun."""
    response = module.StreamResponse
    start = response._start  # noqa: SLF001 -- called once, whatever prepares the response

    @wraps(start)
    def starting(self: Any, request: Any, *arguments: Any) -> Any:
        measured = _measured(request)
        if measured is not None:
            measured.begun(self.status)
        return start(self, request, *arguments)

    response._start = starting  # noqa: SLF001 -- likewise


def patch_runners(module: ModuleType) -> None:
    """Have telemetry begin and end with a runner, which is what `web.run_app` and gunicorn's workers use as well."""
    runner = module.BaseRunner
    setup, cleanup = runner.setup, runner.cleanup

    @wraps(setup)
    async def setting_up(self: Any) -> None:
        await setup(self)
        begun = runtime_.current()  # the page is there before the first request
        if begun is not None:
            begun.vitals.loops.notice()

    @wraps(cleanup)
    async def cleaning_up(self: Any) -> None:
        try:
            await cleanup(self)
        finally:
            runtime_.end()

    runner.setup, runner.cleanup = setting_up, cleaning_up


class Request(request_.Request):
    """One request while it is measured."""

    __slots__ = ("_request", "cause")

    def __init__(self, runtime: Runtime, request: Any) -> None:
        self._request = request
        self.cause: BaseException | None = None
        """What aiohttp made a failed response of."""
        super().__init__(runtime, request.method, request.scheme, request, _begin)
        request._state[MARK] = self  # noqa: SLF001 -- the public way warns of keys that are text

    def begun(self, status: int) -> None:
        """Notice that a response is begun; nothing of it arrives where the client is gone already."""
        if not self._gone():
            self.status = status
            if status == _SWITCHING_PROTOCOLS:
                self.upgrade()

    def answered(self, status: int | None, *, reset: bool) -> None:
        """Record the request; *reset*: its client went away before it had the whole response."""
        self._find_route()
        if reset:
            self.record(self.status, None if isinstance(self.cause, ConnectionError) else self.cause)
        else:
            self.record(status, self.cause)

    def broken(self, error: BaseException) -> None:
        """Record the request, which *error* ended without a response, or in the middle of one."""
        self._find_route()
        cause = self.cause or error
        if isinstance(cause, asyncio.CancelledError):
            lost = self._request.protocol._manager is None  # noqa: SLF001 -- a server that gives up has it still
        else:
            lost = isinstance(cause, ConnectionError) and self._gone()
        self.record(self.status, None if lost else cause)  # that a client went away is no error of the service

    def leave(self) -> None:
        """Make current again what was before; and let go, or the two requests would keep each other."""
        self._request._state.pop(MARK, None)  # noqa: SLF001 -- see `__init__`
        super().leave()

    def _gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def _find_route(self) -> None:
        try:
            match = getattr(self._request, "_match_info", None)  # a plain `web.Server` has no routes
            if match is None or match.route.resource is None:
                return  # nothing matched
            self.route = match.route.resource.canonical
            self.module = _module(match.route.handler)
        except Exception as mistake:  # noqa: BLE001 -- ours, or a router of the service's own
            failed("hooks", "a request's route could not be found", mistake)


def _module(handler: Any) -> str:
    """Return the Python module of *handler*: aiohttp has no other name for a part of a service."""
    while isinstance(handler, partial):
        handler = handler.func
    name = str(getattr(handler, "__module__", ""))
    return "" if name.startswith("aiohttp.") else name  # static files


def _measured(request: Any) -> Request | None:
    state = getattr(request, "_state", None)
    return state.get(MARK) if isinstance(state, dict) else None


def _begin(tracing: Tracing, request: Any) -> ServerSpan:
    """Begin the span of *request*, which is told in ASGI's terms."""
    version = request.version
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "scheme": request.scheme,
        "http_version": f"{version.major}.{version.minor}",
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
    }
    return tracing.request(scope)
