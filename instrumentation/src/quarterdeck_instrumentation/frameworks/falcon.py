"""Falcon: applications are measured, under WSGI and ASGI, and say which route answers and what made it fail."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import asgi, wsgi
from quarterdeck_instrumentation.http_server import error_type

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def patch_wsgi(module: ModuleType) -> None:
    """Have `falcon.App` measure what it is called for, and both kinds of application say what they route to."""
    application = module.App
    call, find = application.__call__, application._get_responder  # noqa: SLF001 -- the one place that knows the route

    @wraps(call)
    def measured(self: Any, env: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        if wsgi.MARK in env:
            body: Iterable[bytes] = call(self, env, start_response)
            return body
        return wsgi.serve(call.__get__(self), env, start_response)

    @wraps(find)
    def finding(self: Any, req: Any) -> Any:
        found = find(self, req)
        template = found[3]  # after the responder, its parameters and the resource
        scope = getattr(req, "scope", None)
        request = req.env.get(wsgi.MARK) if scope is None else scope.get(asgi.MARK)
        if request is not None and template is not None:
            request.route = request.prefix + template
            request.module = type(found[2]).__module__
        return found

    application.__call__ = measured
    application._get_responder = finding  # noqa: SLF001 -- likewise
    _tell_of_errors(application)


def patch_asgi(module: ModuleType) -> None:
    """Have `falcon.asgi.App` measure what it is called for."""
    application = module.App
    call = application.__call__

    @wraps(call)
    async def measured(self: Any, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if asgi.MARK in scope:
            await call(self, scope, receive, send)
        else:
            await asgi.serve(call.__get__(self), scope, receive, send)

    application.__call__ = measured
    _tell_of_errors(application)


def _tell_of_errors(application: Any) -> None:
    """Have the request told of the exception that Falcon makes a response of; those that are responses are chosen."""
    handle = application._handle_exception  # noqa: SLF001 -- every exception passes it, whoever handles it

    @wraps(handle)
    def handling(self: Any, req: Any, resp: Any, ex: BaseException, *arguments: Any, **named: Any) -> Any:
        request = _measured(req)
        if request is not None and not hasattr(ex, "status"):
            request.error = error_type(ex)
        return handle(self, req, resp, ex, *arguments, **named)

    application._handle_exception = handling  # noqa: SLF001 -- likewise


def _measured(req: Any) -> Any:
    """Return the request as it is being measured; None if it is not."""
    scope = getattr(req, "scope", None)
    return req.env.get(wsgi.MARK) if scope is None else scope.get(asgi.MARK)
