"""Starlette, and all that is built on it: applications are measured, routes say which of them matched."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.http_server import error_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from quarterdeck_instrumentation.asgi import Receive, Scope, Send


def patch_applications(module: ModuleType) -> None:
    """Have `starlette.applications.Starlette` measure what it is called for."""
    application = module.Starlette
    call = application.__call__

    @wraps(call)
    async def measured(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if MARK in scope:
            await call(self, scope, receive, send)
        else:
            await serve(call.__get__(self), scope, receive, send)

    application.__call__ = measured


def patch_middleware(module: ModuleType) -> None:
    """Have `BaseHTTPMiddleware` say which exception broke off a response.

    It runs what is below it in a task, and raises what that raised only after it has sent the end of the response, as
    if that were whole.
    """
    middleware = module.BaseHTTPMiddleware
    make = middleware.__init__

    @wraps(make)
    def making(self: Any, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        self.app = _Noting(self.app)

    middleware.__init__ = making


class _Noting:
    """What is below such a middleware."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = scope.get(MARK)
        if request is None or scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def sending(message: Any) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if begun:  # else a middleware may still answer in its place
                request.broken_by = error_type(error)
            raise


def patch_routing(module: ModuleType) -> None:
    """Have routes and mounts tell the request their template when they handle it.

    Read from the route that handles, not from the scope afterwards: a middleware that copies the scope hides what
    is put into the copy, and a mount leaves only the path it matched there, not its template.
    """
    for route in (module.Route, module.WebSocketRoute):
        route.handle = telling(route.handle, _of_route)
    module.Mount.handle = telling(module.Mount.handle, _of_mount)


def telling(
    handle: Callable[..., Awaitable[None]], tell: Callable[[Any, Any, Scope], None]
) -> Callable[..., Awaitable[None]]:
    """Return *handle* of a route class, with *tell* called before it if the request is measured.

    Not a coroutine itself: the one of *handle* is returned, which spares a frame for each level of routing.
    """

    @wraps(handle)
    def told(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = scope.get(MARK)
        if request is not None:
            tell(self, request, scope)
        return handle(self, scope, receive, send)

    return told


def _of_route(route: Any, request: Any, scope: Scope) -> None:
    del scope
    request.route = request.prefix + route.path_format


def _of_mount(mount: Any, request: Any, scope: Scope) -> None:
    del scope
    request.prefix += mount.path_format.removesuffix("/{path}")
    if mount.name:
        request.module = mount.name
    if not mount.routes:  # static files and foreign applications: nothing below will say more
        request.route = request.prefix + "/{path}"
