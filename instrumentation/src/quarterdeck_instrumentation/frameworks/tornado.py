"""Tornado: each request of an application is measured, from the choice of its handler to `finish`.

A WebSocket is measured until its handler returns. Tornado's routes are regular expressions; of the one that matched
a template is made. Telemetry begins with the first server that listens, which is after a fork; for its end Tornado
has no place, so `atexit` and the handler of SIGTERM see to that.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from functools import lru_cache, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import request as request_
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from types import ModuleType

    from quarterdeck_instrumentation.runtime import Runtime
    from quarterdeck_instrumentation.tracing import ServerSpan, Tracing

MARK = "_quarterdeck"
"""Attribute of Tornado's request: the request as it is being measured."""
_PATTERN = "_quarterdeck_pattern"
"""Attribute of Tornado's request: the regular expression that matched its path last."""
_SWITCHING_PROTOCOLS = 101
"""What a WebSocket is answered."""


def patch_servers(module: ModuleType) -> None:
    """Have telemetry begin with a server for HTTP that listens."""
    server = module.TCPServer
    listen = server.add_sockets

    @wraps(listen)
    def listening(self: Any, sockets: Any) -> None:
        listen(self, sockets)
        begun = runtime_.current() if hasattr(self, "start_request") else None
        if begun is not None:
            module.IOLoop.current().add_callback(begun.vitals.loops.notice)

    server.add_sockets = listening


def patch_routing(module: ModuleType) -> None:
    """Have the request told which regular expression matched its path; the innermost router's is the last."""
    matcher, router = module.PathMatches, module.RuleRouter
    match, find = matcher.match, router.find_handler

    @wraps(match)
    def matching(self: Any, request: Any) -> Any:
        found = match(self, request)
        if found is not None:
            with suppress(Exception):  # a request of another kind, which takes no attributes
                setattr(request, _PATTERN, self.regex.pattern)
        return found

    @wraps(find)
    def finding(self: Any, request: Any, **named: Any) -> Any:
        before = getattr(request, _PATTERN, None)
        found = find(self, request, **named)
        if found is None:
            with suppress(Exception):  # likewise
                setattr(request, _PATTERN, before)
        return found

    matcher.match, router.find_handler = matching, finding


def patch_handlers(module: ModuleType) -> None:
    """Have applications measure what they make a handler for, which is every request."""
    _patch_beginning(module._HandlerDelegate)  # noqa: SLF001 -- the one place that makes handlers
    _patch_end(module.RequestHandler)
    _patch_errors(module.RequestHandler, (module.HTTPError, module.Finish))


def _patch_beginning(delegate: Any) -> None:
    begin = delegate.execute

    @wraps(begin)
    def beginning(self: Any) -> Any:
        runtime = runtime_.current()
        if runtime is None or getattr(self.request, MARK, None) is not None:
            return begin(self)
        if self.request.path in runtime.settings.health_paths:
            span = request_.suppress(runtime)
            try:
                return begin(self)
            finally:
                if span is not None:
                    span.leave()
        try:
            measured = Request(runtime, self.request, self.handler_class)
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a request could not be measured", mistake)
            return begin(self)
        try:
            return begin(self)  # what runs now and later does so in a copy of the context made here
        except BaseException as error:
            measured.end(None, error)
            raise
        finally:
            measured.leave()

    delegate.execute = beginning


def _patch_end(handler: Any) -> None:
    run, finish = handler._execute, handler.finish  # noqa: SLF001 -- where a handler's own coroutine is awaited

    @wraps(run)
    async def running(self: Any, *arguments: Any, **named: Any) -> None:
        measured: Request | None = getattr(self.request, MARK, None)
        try:
            await run(self, *arguments, **named)
        except BaseException as error:
            if measured is not None:
                measured.cause = error
            raise
        finally:
            if measured is not None:
                measured.returned(self)

    @wraps(finish)
    def finishing(self: Any, *arguments: Any, **named: Any) -> Any:
        measured: Request | None = getattr(self.request, MARK, None)
        if measured is None:
            return finish(self, *arguments, **named)
        arrives = self._headers_written or not measured.gone()
        try:
            return finish(self, *arguments, **named)
        finally:
            if self._finished:
                measured.finished(self._status_code, arrives=arrives)

    handler._execute, handler.finish = running, finishing  # noqa: SLF001 -- likewise


def _patch_errors(handler: Any, responses: tuple[type[BaseException], ...]) -> None:
    """Have the request told of exceptions that reach Tornado, but for those that are *responses*."""
    fail = handler._handle_request_exception  # noqa: SLF001 -- `log_exception` is often overridden, and told less

    @wraps(fail)
    def failing(self: Any, e: BaseException) -> None:
        measured: Request | None = getattr(self.request, MARK, None)
        if measured is not None and not isinstance(e, responses):
            measured.cause = e
        fail(self, e)

    handler._handle_request_exception = failing  # noqa: SLF001 -- likewise


def patch_websockets(module: ModuleType) -> None:
    """Have the connection told of the exception for which it is torn down."""
    protocol = module.WebSocketProtocol
    abort = protocol._abort  # noqa: SLF001 -- what catches a handler's exception calls it

    @wraps(abort)
    def aborting(self: Any) -> None:
        measured = getattr(getattr(self.handler, "request", None), MARK, None)
        if measured is not None and measured.cause is None:
            measured.cause = sys.exc_info()[1]
        abort(self)

    protocol._abort = aborting  # noqa: SLF001 -- likewise


class Request(request_.Request):
    """One request while it is measured."""

    __slots__ = ("_handler_class", "_request", "cause")

    def __init__(self, runtime: Runtime, request: Any, handler_class: type) -> None:
        self._request = request
        self._handler_class = handler_class
        self.cause: BaseException | None = None
        """What Tornado made a failed response of, or tore a WebSocket down for."""
        super().__init__(runtime, request.method, request.protocol, request, _begin)
        setattr(request, MARK, self)

    def gone(self) -> bool:
        """Say whether the client has gone away."""
        stream = getattr(self._request.connection, "stream", None)
        return stream is None or stream.closed()

    def finished(self, status: int, *, arrives: bool) -> None:
        """Notice the end of the response; *arrives*: its client was there when it began."""
        if status == _SWITCHING_PROTOCOLS:
            self.status = status
            self.upgrade()
        else:
            self.end(status if arrives else None, self.cause)

    def returned(self, handler: Any) -> None:
        """Notice that *handler* is done, with a response or without: it may leave that to whoever it told."""
        if self.status == _SWITCHING_PROTOCOLS:
            self.end(self.status, self.cause)
        elif self.gone():
            self._lost(handler)
        elif not handler._finished:  # noqa: SLF001 -- Tornado has no other word for it

            def closed() -> None:
                try:
                    handler.on_connection_close()
                finally:
                    self._lost(handler)

            self._request.connection.set_close_callback(closed)

    def end(self, status: int | None, error: BaseException | None) -> None:
        """Record the request, and let go: it and Tornado's would keep each other."""
        try:
            pattern = getattr(self._request, _PATTERN, None)
            if pattern is not None:
                self.route = template(pattern)
                module = self._handler_class.__module__
                self.module = "" if module.startswith("tornado.") else module  # redirections, static files
            setattr(self._request, MARK, None)
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("hooks", "a request's route could not be found", mistake)
        lost = error is not None and self.gone() and isinstance(error, _closed())
        self.record(status, None if lost else error)

    def _lost(self, handler: Any) -> None:
        self.end(handler._status_code if handler._headers_written else None, self.cause)  # noqa: SLF001 -- likewise


def _closed() -> Any:
    """Return the exception that says a client went away."""
    return import_module("tornado.iostream").StreamClosedError


@lru_cache(maxsize=10_000)
def template(pattern: str) -> str:
    r"""Return the template of a regular expression: what is in groups becomes `{name}`, or `{1}` where it has none.

    Anything else that stands for many texts becomes `*`; what may be left out, is.

    >>> template(r"/orders/(?P<order>[0-9]+)/items/([^/]+)/?$")
    '/orders/{order}/items/{2}'
    >>> template(r"/v[12]/files/.*")
    '/v*/files/*'
    """
    try:
        tree = re._parser.parse(pattern)  # type: ignore[attr-defined]  # noqa: SLF001 -- no other knows the grammar
        names = {number: name for name, number in tree.state.groupdict.items()}
        return re.sub(r"\*+", "*", "".join(_parts(tree, names)))
    except Exception as mistake:  # noqa: BLE001 -- then the expression itself, which is one value as well
        failed("hooks", "a route's regular expression could not be made a template", mistake)
        return pattern


def _parts(tree: Any, names: dict[int, str]) -> list[str]:
    parts = []
    for operation, what in tree:
        kind = str(operation)
        if kind == "LITERAL":
            parts.append(chr(what))
        elif kind == "SUBPATTERN" and what[0] is not None:
            parts.append(f"{{{names.get(what[0], what[0])}}}")
        elif kind == "SUBPATTERN":
            parts += _parts(what[-1], names)
        elif kind in ("MAX_REPEAT", "MIN_REPEAT") and (what[0], what[1]) == (0, 1):
            inner = _parts(what[2], names)
            parts += inner if any("{" in part for part in inner) else []
        elif kind not in ("AT", "ASSERT", "ASSERT_NOT"):
            parts.append("*")
    return parts


def _begin(tracing: Tracing, request: Any) -> ServerSpan:
    """Begin the span of *request*, which is told in ASGI's terms."""
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in request.headers.get_all()
    ]
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "scheme": request.protocol,
        "http_version": request.version.removeprefix("HTTP/"),
        "headers": headers,
    }
    return tracing.request(scope)
