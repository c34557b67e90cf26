"""Django and all that is built on it, Django REST Framework included; under WSGI and ASGI."""

from __future__ import annotations

from functools import lru_cache, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import asgi, wsgi
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import error_type

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_REGEX = frozenset("^$(?\\")
"""Signs of a regular expression in a route; a template of `path()` has none of them."""


def patch_wsgi(module: ModuleType) -> None:
    """Have `WSGIHandler` measure what it is called for."""
    handler = module.WSGIHandler
    call = handler.__call__

    @wraps(call)
    def measured(self: Any, environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        if wsgi.MARK in environ:
            body: Iterable[bytes] = call(self, environ, start_response)
            return body
        return wsgi.serve(call.__get__(self), environ, start_response)

    handler.__call__ = measured


def patch_asgi(module: ModuleType) -> None:
    """Have `ASGIHandler` measure what it is called for."""
    handler = module.ASGIHandler
    call = handler.__call__

    @wraps(call)
    async def measured(self: Any, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if asgi.MARK in scope:
            await call(self, scope, receive, send)
        else:
            await asgi.serve(call.__get__(self), scope, receive, send)

    handler.__call__ = measured


def patch_routing(module: ModuleType) -> None:
    """Have every handler tell the request which route it resolved."""
    handler = module.BaseHandler
    resolve = handler.resolve_request

    @wraps(resolve)
    def resolving(self: Any, request: Any) -> Any:
        match = resolve(self, request)
        measured = _measured(request)
        if measured is not None:
            measured.route = measured.prefix + template(match.route)
            measured.module = _app_label(getattr(match.func, "__module__", "")) or match.app_name
        return match

    handler.resolve_request = resolving


def patch_errors(module: Any) -> None:
    """Have the request told of the exception that Django turns into a response of status 500."""
    handle = module.handle_uncaught_exception

    @wraps(handle)
    def handling(request: Any, resolver: Any, exc_info: Any) -> Any:
        measured = _measured(request)
        if measured is not None:
            measured.error = error_type(exc_info[1])
        return handle(request, resolver, exc_info)

    module.handle_uncaught_exception = handling


def _measured(request: Any) -> Any:
    """Return the request as it is being measured; None if it is not."""
    environ = getattr(request, "environ", None)
    if environ is not None:
        return environ.get(wsgi.MARK)
    scope = getattr(request, "scope", None)
    return scope.get(asgi.MARK) if scope is not None else None


@lru_cache(maxsize=10_000)
def _app_label(view: str) -> str:
    """Return the label of the application that a view's module is in; empty if it is in none."""
    try:
        config = import_module("django.apps").apps.get_containing_app_config(view)
    except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
        failed("hooks", "the application of a view could not be found", mistake)
        return ""
    return config.label if config is not None else ""


@lru_cache(maxsize=10_000)
def template(route: str) -> str:
    """Return Django's *route*, with what its includes put before it, as a template.

    Of a regular expression, what Django's own documentation shows of it.

    >>> template("orders/<int:order>/")
    '/orders/<int:order>/'
    >>> template(r"api/^orders/(?P<order>[^/.]+)/$")
    '/api/orders/<order>/'
    """
    if _REGEX.intersection(route):
        try:
            utils = import_module("django.contrib.admindocs.utils")  # light, and no application that must be installed
            route = utils.remove_non_capturing_groups(route)
            route = utils.replace_named_groups(route)
            route = utils.replace_metacharacters(utils.replace_unnamed_groups(route))
        except Exception as mistake:  # noqa: BLE001 -- then the expression itself, which is one value as well
            failed("hooks", "a route's regular expression could not be made a template", mistake)
    return "/" + route.removeprefix("/")
