"""Flask: applications are measured, and say which rule matched and which exception became a response."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import error_type
from quarterdeck_instrumentation.wsgi import MARK, serve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from quarterdeck_instrumentation.wsgi import Environ, StartResponse


def patch_application(module: ModuleType) -> None:
    """Change `flask.Flask`: the call, the dispatch of a request, and the handling of what nobody caught."""
    application = module.Flask
    current = module.request
    call, dispatch, handle = application.__call__, application.full_dispatch_request, application.handle_exception

    @wraps(call)
    def measured(self: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if getattr(self, "_is_instrumented_by_opentelemetry", False):
            _release(self)
        if MARK in environ:
            body: Iterable[bytes] = call(self, environ, start_response)
            return body
        return serve(call.__get__(self), environ, start_response)

    @wraps(dispatch)
    def dispatching(self: Any, *arguments: Any) -> Any:  # releases differ in whether they pass the context
        own = current._get_current_object()  # noqa: SLF001 -- asked once: each use of the proxy is a search
        request, rule = own.environ.get(MARK), own.url_rule
        if request is not None and rule is not None:
            request.route = request.prefix + rule.rule
            request.module = rule.endpoint.rpartition(".")[0]  # the blueprint, with those around it
        return dispatch(self, *arguments)

    @wraps(handle)
    def handling(self: Any, *arguments: Any) -> Any:
        request = current.environ.get(MARK)
        if request is not None:
            request.error = error_type(arguments[-1])
        return handle(self, *arguments)

    application.__call__ = measured
    application.full_dispatch_request = dispatching
    application.handle_exception = handling


def _release(application: Any) -> None:
    try:
        from quarterdeck_instrumentation.frameworks import peers  # noqa: PLC0415 -- few services instrument themselves

        peers.release_flask(application)
    except Exception as mistake:  # noqa: BLE001 -- then a request is two spans, and is served
        failed("hooks", "OpenTelemetry's own instrumentation of a Flask application stays, beside ours", mistake)
