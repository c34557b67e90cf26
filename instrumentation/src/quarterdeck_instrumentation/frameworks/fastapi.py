"""FastAPI: its own OpenTelemetry stands aside, and routers' prefixes are part of the route."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.frameworks.starlette import telling

if TYPE_CHECKING:
    from types import ModuleType

    from quarterdeck_instrumentation.asgi import Receive, Scope, Send

_NATIVE = "fastapi.telemetry"
"""Key in the scope, from FastAPI 0.165: its presence switches FastAPI's own telemetry off for the request. FastAPI
sets it to None itself, for requests that its `exclude` names and for applications mounted in another."""


def patch_applications(module: ModuleType) -> None:
    """Have `fastapi.FastAPI` measure what it is called for, in place of FastAPI itself."""
    application = module.FastAPI
    call = application.__call__

    @wraps(call)
    async def measured(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope.setdefault(_NATIVE, None)
        if MARK in scope:
            await call(self, scope, receive, send)
        else:
            await serve(call.__get__(self), scope, receive, send)

    application.__call__ = measured


def patch_routing(module: ModuleType) -> None:
    """Have API routes tell the request their template, the prefixes of the routers they are in included."""
    module.APIRoute.handle = telling(module.APIRoute.handle, _of_api_route)


def _of_api_route(route: Any, request: Any, scope: Scope) -> None:
    # From FastAPI 0.165 a route knows only its own router's prefix; the whole is in the context of its inclusion.
    context = scope.get("fastapi", {}).get("effective_route_context")
    found = context if context is not None and context.original_route is route else route
    request.route = request.prefix + found.path_format
    if found.tags:  # the outermost inclusion's come first
        tag = found.tags[0]
        request.module = tag if type(tag) is str else str(getattr(tag, "value", tag))
