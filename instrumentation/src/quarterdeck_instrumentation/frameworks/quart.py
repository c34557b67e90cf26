"""Quart: applications are measured, and say which rule matched and which exception became a response."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.http_server import error_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from quarterdeck_instrumentation.asgi import Receive, Scope, Send


def patch_application(module: ModuleType) -> None:
    """Change `quart.Quart`: the call, both kinds of dispatch, and the handling of what nobody caught."""
    application = module.Quart
    call, handle = application.__call__, application.handle_exception

    @wraps(call)
    async def measured(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if MARK in scope:
            await call(self, scope, receive, send)
        else:
            await serve(call.__get__(self), scope, receive, send)

    @wraps(handle)
    def handling(self: Any, error: Exception) -> Awaitable[Any]:
        request = module.request.scope.get(MARK) if module.has_request_context() else None
        if request is not None:
            request.error = error_type(error)
        awaitable: Awaitable[Any] = handle(self, error)
        return awaitable

    application.__call__ = measured
    application.full_dispatch_request = _telling(application.full_dispatch_request, module.request)
    application.full_dispatch_websocket = _telling(application.full_dispatch_websocket, module.websocket)
    application.handle_exception = handling


def _telling(dispatch: Callable[..., Awaitable[Any]], current: Any) -> Callable[..., Awaitable[Any]]:
    """Return *dispatch*, with the rule of *current*, a request or a WebSocket, told before it."""

    @wraps(dispatch)
    def dispatching(self: Any, *arguments: Any) -> Awaitable[Any]:
        request, rule = current.scope.get(MARK), current.url_rule
        if request is not None and rule is not None:
            request.route = request.prefix + rule.rule
            request.module = rule.endpoint.rpartition(".")[0]  # the blueprint, with those around it
        return dispatch(self, *arguments)

    return dispatching
