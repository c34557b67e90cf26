"""Pyramid: applications are measured, and say which pattern matched and which exception became a response."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from quarterdeck_instrumentation.http_server import error_type
from quarterdeck_instrumentation.wsgi import MARK, serve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from quarterdeck_instrumentation.wsgi import Environ, StartResponse

_modules: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Route → module of its view."""


def patch_router(module: ModuleType) -> None:
    """Change `pyramid.router.Router`: the call, and what tells the request its pattern once there is a response.

    Where traversal alone finds the view there is no pattern, and the request stays unmatched.
    """
    router = module.Router
    call, invoke = router.__call__, router.invoke_request

    @wraps(call)
    def measured(self: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if MARK in environ:
            body: Iterable[bytes] = call(self, environ, start_response)
            return body
        return serve(call.__get__(self), environ, start_response)

    @wraps(invoke)
    def invoking(self: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return invoke(self, request, *arguments, **named)
        finally:
            measured_request = request.environ.get(MARK)
            if measured_request is not None:
                _tell(measured_request, request)

    router.__call__ = measured
    router.invoke_request = invoking


def _tell(measured: Any, request: Any) -> None:
    route = getattr(request, "matched_route", None)
    if route is not None:
        measured.route = measured.prefix + "/" + route.pattern.lstrip("/")
        module = _modules.get(route)
        if module is None:
            module = _modules[route] = _module(request.registry.introspector, route.name)
        measured.module = module
    error = getattr(request, "exception", None)
    if error is not None and not hasattr(error, "status_code"):  # else chosen, not failed
        measured.error = error_type(error)


def _module(introspector: Any, route: str) -> str:
    """Return the module of the view that *route* leads to, the first if there are several; empty if that is unknown."""
    for each in introspector.get_category("views") or ():
        view = each["introspectable"]
        if view.get("route_name") == route:
            return getattr(view.get("callable"), "__module__", "")
    return ""
