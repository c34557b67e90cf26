"""OpenTelemetry's own instrumentations of servers, where the service applies them itself: they stand aside.

Else a request would be two spans. Whatever the order: what is changed is what runs for each request, not what is
done when they are applied. A request hook that the service gave them is called with our span.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from quarterdeck_instrumentation import asgi, runtime, wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

_FLASK = "opentelemetry.instrumentation.flask"
_FLASK_SPAN = "opentelemetry-flask.span_key"
"""Key in the environ where OpenTelemetry's Flask instrumentation expects its span, and complains if there is none."""


class _Everything:
    """What OpenTelemetry's instrumentations ask which requests to leave alone: all of them."""

    def url_disabled(self, url: str) -> bool:
        """Say that *url* is left alone."""
        del url
        return True


def patch_exclusions(module: Any) -> None:
    """Have an instrumentation that keeps its exclusions in its module (Pyramid, Tornado) leave all requests alone."""
    module._excluded_urls = _Everything()  # noqa: SLF001 -- what it asks for each request


def patch_aiohttp_server(module: Any) -> None:
    """Have the middleware for aiohttp.server find itself suppressed, as it asks for each request."""
    module.is_http_instrumentation_enabled = lambda: False


def patch_grpc(module: Any) -> None:
    """Have the interceptor for gRPC's servers, with threads or with asyncio, pass every call on."""
    names = ("OpenTelemetryAioServerInterceptor", "OpenTelemetryServerInterceptor")
    interceptor = next(getattr(module, name) for name in names if hasattr(module, name))
    intercept = interceptor.intercept_service

    @wraps(intercept)
    def standing_aside(self: Any, continuation: Callable[[Any], Any], details: Any) -> Any:
        return intercept(self, continuation, details) if runtime.current() is None else continuation(details)

    interceptor.intercept_service = standing_aside


def patch_asgi(module: ModuleType) -> None:
    """Have the ASGI middleware, which those for FastAPI and Starlette are made of, be ours."""
    middleware = module.OpenTelemetryMiddleware
    call = middleware.__call__

    @wraps(call)
    async def standing_aside(self: Any, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if runtime.current() is None:
            await call(self, scope, receive, send)
            return

        async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            if callable(self.server_request_hook) and scope.get(asgi.MARK) is not None:
                self.server_request_hook(trace.get_current_span(), scope)
            await self.app(scope, receive, send)

        await asgi.serve(app, scope, receive, send)

    middleware.__call__ = standing_aside


def patch_wsgi(module: ModuleType) -> None:
    """Have the WSGI middleware be ours."""
    middleware = module.OpenTelemetryMiddleware
    call = middleware.__call__

    @wraps(call)
    def standing_aside(self: Any, environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        if runtime.current() is None:
            body: Iterable[bytes] = call(self, environ, start_response)
            return body

        def app(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
            if self.request_hook and environ.get(wsgi.MARK) is not None:
                self.request_hook(trace.get_current_span(), environ)
            body: Iterable[bytes] = self.wsgi(environ, start_response)
            return body

        return wsgi.serve(app, environ, start_response)

    middleware.__call__ = standing_aside


def patch_falcon(module: Any) -> None:
    """Have the class that replaces `falcon.App` call what it derives from, which is ours."""
    application = module._InstrumentedFalconAPI  # noqa: SLF001 -- its only name
    application.__call__ = lambda self, env, start_response: super(application, self).__call__(env, start_response)


def patch_django(module: Any) -> None:
    """Have the middleware do nothing for a request that is measured here; in Django's test client it is not."""
    middleware = module._DjangoMiddleware  # noqa: SLF001 -- its only name
    begin = middleware.process_request

    def hooked(self: Any, request: Any) -> None:
        hook = middleware._otel_request_hook  # noqa: SLF001 -- where it keeps it
        if not _in_charge(request):
            begin(self, request)
        elif hook:
            hook(trace.get_current_span(), request)

    middleware.process_request = hooked
    middleware.process_view = _unless_in_charge(middleware.process_view)
    middleware.process_exception = _unless_in_charge(middleware.process_exception)
    end = middleware.process_response
    middleware.process_response = lambda self, request, response: (
        response if _in_charge(request) else end(self, request, response)
    )


def release_flask(app: Any) -> None:
    """Take from a Flask application what OpenTelemetry's instrumentation put into it."""
    for kind in ("before_request", "teardown_request"):
        functions = getattr(app, f"{kind}_funcs").get(None, [])
        for function in [each for each in functions if each.__module__ == _FLASK]:
            functions[functions.index(function)] = hooked = _hooked(function)
            setattr(app, f"_{kind}", hooked)  # where it looks for what it is to remove
    if getattr(app.wsgi_app, "__module__", "") == _FLASK:  # else a middleware of the service's is around it
        app.wsgi_app = app._original_wsgi_app  # noqa: SLF001 -- where it keeps what it replaced
    app._is_instrumented_by_opentelemetry = False  # noqa: SLF001 -- as its own way of undoing it leaves it


def _hooked(function: Any) -> Callable[..., None]:
    """Return what is called in place of Flask's *function*: the request hook that it was to call."""
    enclosed = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    hook = enclosed["request_hook"].cell_contents if "request_hook" in enclosed else None

    def hooked(*_: Any) -> None:
        from flask import request  # noqa: PLC0415 -- it is imported, or this would not be called

        environ = request.environ
        environ[_FLASK_SPAN] = trace.INVALID_SPAN
        if hook is not None and environ.get(wsgi.MARK) is not None:
            hook(trace.get_current_span(), environ)

    return hooked


def _unless_in_charge(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def guarded(self: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        return None if _in_charge(request) else method(self, request, *arguments, **named)

    return guarded


def _in_charge(request: Any) -> bool:
    """Say whether a Django request is measured here, or must not be measured at all."""
    scope = getattr(request, "scope", None)
    return asgi.MARK in scope if scope is not None else wsgi.MARK in getattr(request, "environ", ())
