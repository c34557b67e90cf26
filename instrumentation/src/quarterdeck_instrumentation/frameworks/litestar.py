"""Litestar: applications are measured, and say which template matched and which exception became a response."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.http_server import error_type

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import ModuleType

    from quarterdeck_instrumentation.asgi import Message, Receive, Scope, Send

_TEMPLATE = "path_template"
"""Key in the scope: what Litestar's router matched, with what routers and controllers put before it."""
_NOT_FOUND = 404
"""Status code of a path that a mounted application does not know either."""


def patch_applications(module: ModuleType) -> None:
    """Have `litestar.Litestar` measure what it is called for."""
    application = module.Litestar
    call = application.__call__

    @wraps(call)
    async def measured(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if MARK in scope:
            await call(self, scope, receive, send)
        else:
            await serve(call.__get__(self), scope, receive, send)

    application.__call__ = measured


def patch_routing(module: ModuleType) -> None:
    """Have the router tell the request what it matched, before anything of the answer is sent.

    Not the route's own handler: a middleware below the router may answer in its place.
    """
    router = module.ASGIRouter
    call = router.__call__

    @wraps(call)
    async def routing(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        request = scope.get(MARK)
        if request is None:
            await call(self, scope, receive, send)
            return
        outside = request.prefix

        def telling(message: Message) -> Awaitable[None]:
            status = message.get("status")
            if request.route is None and status is not None:
                told = _tell(request, scope, outside)
                if not told and request.prefix != outside and status != _NOT_FOUND:
                    request.route = request.prefix + "/{path}"  # a mounted application that says no more
            return send(message)

        try:
            await call(self, scope, receive, telling)
        finally:
            if request.route is None:
                _tell(request, scope, outside)

    router.__call__ = routing


def _tell(request: Any, scope: Scope, outside: str) -> bool:
    """Tell *request* what was matched, with the mounts *outside*; False if that is not known."""
    template = scope.get(_TEMPLATE)
    if template:  # of mounts there is none
        request.route = outside + template
        layers = scope["route_handler"].ownership_layers  # from the application to the handler
        request.module = next((min(layer.tags) for layer in layers if getattr(layer, "tags", None)), "")
    return bool(template)


def patch_mounts(module: ModuleType) -> None:
    """Have a mounted application's routes begin with the mount's template."""
    mount = module.ASGIRoute
    handle = mount.handle

    @wraps(handle)
    def mounted(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = scope.get(MARK)
        if request is not None and self.route_handler.is_mount:
            request.prefix += self.path_format.rstrip("/")
        awaitable: Awaitable[None] = handle(self, scope, receive, send)
        return awaitable

    mount.handle = mounted


def patch_errors(module: ModuleType) -> None:
    """Have the request told of the exception that Litestar turns into a response."""
    middleware = module.ExceptionHandlerMiddleware
    handle = middleware.handle_request_exception

    @wraps(handle)
    def handling(self: Any, *arguments: Any, **named: Any) -> Awaitable[None]:
        scope, error = named.get("scope"), named.get("exc")
        request = scope.get(MARK) if scope is not None else None
        if request is not None and error is not None and not hasattr(error, "status_code"):  # else chosen, not failed
            request.error = error_type(error)
        awaitable: Awaitable[None] = handle(self, *arguments, **named)
        return awaitable

    middleware.handle_request_exception = handling
