"""Measures any WSGI application, from outside all of it: one record and at most one span for each request.

The outermost layer measures; layers further in find its mark in the environ and stand aside. What is recorded is
decided when the body is exhausted, or closed before that: a body that streams counts to its end.
"""

from __future__ import annotations

from operator import itemgetter
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import request as request_
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation import wsgi_environ
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import SERVER_ERROR, error_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from quarterdeck_instrumentation.runtime import Runtime
    from quarterdeck_instrumentation.tracing import ServerSpan

    Environ = wsgi_environ.Environ
    StartResponse = Callable[..., Any]
    Application = Callable[[Environ, StartResponse], Iterable[bytes]]

MARK = "quarterdeck.request"
"""Key in the environ: the request as it is being measured, or None where it must not be. Its presence says that a
layer further out is in charge; frameworks tell it the route."""
_FILE_WRAPPER = "wsgi.file_wrapper"
"""Key in the environ: what a server offers for files, and knows again when it gets it back."""


class Instrumented:
    """An application that is measured; what a server is given instead of it."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 has it."""
        return serve(self.app, environ, start_response)


def serve(app: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Call *app*, measured unless a layer further out does that already."""
    runtime = runtime_.current()
    if runtime is None or MARK in environ:
        return app(environ, start_response)
    if _left:
        _undo()
    try:
        unseen = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") in runtime.settings.health_paths
        request = environ[MARK] = None if unseen else Request(runtime, environ, start_response)
    except Exception as mistake:  # noqa: BLE001 -- ours, or an environ that only the server understands
        failed("requests", "a request could not be measured", mistake)
        environ[MARK] = None
        return app(environ, start_response)
    if request is None:
        return _serve_unseen(runtime, app, environ, start_response)
    try:
        body = app(environ, request.start_response)
    except BaseException as error:
        request.finish(error)
        request.leave()
        raise
    return _watched(request, body, environ.get(_FILE_WRAPPER))


class Request(request_.Request):
    """One request while it is measured."""

    __slots__ = ("_begun", "_start_response", "_thread", "_write")

    def __init__(self, runtime: Runtime, environ: Environ, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._begun = False
        self._thread = get_ident()
        scheme = environ.get("wsgi.url_scheme", "http")
        # Named, because `super()` makes an object for each request.
        request_.Request.__init__(self, runtime, environ["REQUEST_METHOD"], scheme, environ, wsgi_environ.begin_span)

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Start the response for the application, and notice the status."""
        start = self._start_response
        self._write = start(status, headers, exc_info) if exc_info else start(status, headers)
        try:
            self.status = _codes.get(status) or _code(status)
            if exc_info:
                self.error = error_type(exc_info[1])
        except Exception as mistake:  # noqa: BLE001 -- what only a lenient server takes for a status or an exception
            failed("requests", "the status of a response could not be read", mistake)
        return self._written

    def _written(self, data: bytes) -> Any:
        """Write for an application that does so itself: the status has been sent with it."""
        said = self._write(data)
        self._begun = True
        return said

    def begun(self) -> None:
        """Notice that the server has bytes of the body, and with them has sent the status."""
        self._begun = True

    def finish(self, error: BaseException | None) -> None:
        """Record the request, once; *error* is what the application raised."""
        if self._recorded:
            return  # with the last item of its body, as most are
        status = self.status
        if error is not None and not self._begun:  # the server has sent nothing yet, and answers by itself
            status = SERVER_ERROR if isinstance(error, Exception) else None
        self.record(status, error)

    def leave(self) -> None:
        """Make current again what was before; from another thread, once this one's begins something anew."""
        span = self.span
        if span is None:
            return
        if get_ident() == self._thread:
            span.leave()
        else:
            _leave_later(self._thread, self._started, span)


_codes: dict[str, int] = {}
"""Status lines, and the codes in them: a service has few."""
_STATUS_LINES = 256
"""Of so many at most; one that makes them up has each read."""


def _code(status: str) -> int | None:
    """Return the code that *status* begins with; None if it begins with none."""
    digits = status[:3]
    if not digits.isdecimal():
        return None
    code = int(digits)
    if len(_codes) < _STATUS_LINES:
        _codes[status] = code
    return code


class Body:
    """What an application returned, handed on item by item and watched for its end."""

    __slots__ = ("_body", "_iterator", "_request")

    def __init__(self, request: Request | _Probe, body: Any) -> None:
        self._request = request
        self._body = body
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Begin with the body; asked again, go on with it, as any iterator does."""
        if self._iterator is None:
            self._iterator = self._items()
        return self._iterator

    def __next__(self) -> bytes:
        """Return the next item, for a server that takes any body for an iterator."""
        return next(iter(self))

    def _items(self) -> Iterator[bytes]:
        """Yield the items; the request ends with the last. A generator, because an object's `__next__` costs more."""
        request = self._request
        try:
            for item in self._body:
                if item:
                    request.begun()
                yield item
        except GeneratorExit:
            raise  # nobody reads on, and whoever closes the body says so
        except BaseException as error:
            request.finish(error)
            raise
        request.finish(None)

    def close(self) -> None:
        """Close the body, if it can be closed; at the latest the request ends here."""
        _close(self._request, getattr(self._body, "close", None))


class SizedBody(Body):
    """A body with a length: of one item, servers derive `Content-Length` from it."""

    __slots__ = ()

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._body)


def _watched(request: Request | _Probe, body: Any, wrapper: Any) -> Iterable[bytes]:
    """Return what the server is given for *body*.

    A file in the server's own wrapper stays that very object, or the server would not send it as a file. Where the
    wrapper is a function (uWSGI), whatever can be read is taken for such a file.
    """
    if wrapper is not None and (isinstance(body, wrapper) if isinstance(wrapper, type) else hasattr(body, "read")):
        close = getattr(body, "close", None)
        request.begun()
        try:
            body.close = lambda: _close(request, close)  # as gunicorn's own sets it
        except (AttributeError, TypeError):
            request.finish(None)  # an object of C: its sending cannot be watched
            request.leave()
        file: Iterable[bytes] = body
        return file
    return SizedBody(request, body) if hasattr(body, "__len__") else Body(request, body)


def _close(request: Request | _Probe, close: Callable[[], None] | None) -> None:
    try:
        if close is not None:
            close()
    except BaseException as error:
        request.finish(error)
        raise
    finally:
        request.finish(None)
        request.leave()


def _serve_unseen(
    runtime: Runtime, app: Application, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve a probe: nothing of it is measured or traced, down to the last call it makes."""
    span = request_.suppress(runtime)
    if span is None:
        return app(environ, start_response)
    probe = _Probe(span)
    try:
        body = app(environ, start_response)
    except BaseException:
        probe.leave()
        raise
    return _watched(probe, body, environ.get(_FILE_WRAPPER))


class _Probe:
    """A request that is not to be seen, until its body is closed: what a generator does, it does while it is read."""

    __slots__ = ("_span", "_started", "_thread")

    def __init__(self, span: ServerSpan) -> None:
        self._span = span
        self._started = perf_counter()
        self._thread = get_ident()

    def begun(self) -> None:
        """Pass over it."""

    def finish(self, error: BaseException | None) -> None:
        """Pass over it."""

    def leave(self) -> None:
        """Make current again what was before; from another thread, once this one's begins something anew."""
        if get_ident() == self._thread:
            self._span.leave()
        else:
            _leave_later(self._thread, self._started, self._span)


_left: dict[int, list[tuple[float, ServerSpan]]] = {}
"""Thread → when it made what current, which another thread has ended since: only a thread itself can undo that."""
_THREADS = 1000
"""Of so many at most: a thread that has ended comes for nothing any more."""


def _leave_later(thread: int, began: float, span: ServerSpan) -> None:
    if len(_left) >= _THREADS:
        _left.clear()
    _left.setdefault(thread, []).append((began, span))


def _undo() -> None:
    """Make current again in this thread what was before all that other threads have ended; the oldest comes last."""
    for _, span in sorted(_left.pop(get_ident(), ()), key=itemgetter(0), reverse=True):
        span.leave()
