"""Test clients of frameworks, which call an application as no server does: their requests count as a server's do."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import asgi, wsgi

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_EMPTY = ("204", "304")
"""Status codes of responses that have no body, and need not say how long it is."""


def patch_django(module: ModuleType) -> None:
    """Have `Client` and `AsyncClient` measured, whose handlers are not those that servers call.

    A request ends with its response here, a streaming one's too: who reads it is the test.
    """
    handler, handler_async = module.ClientHandler, module.AsyncClientHandler
    call, call_async = handler.__call__, handler_async.__call__

    @wraps(call)
    def measured(self: Any, environ: wsgi.Environ) -> Any:
        responses = []

        def application(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
            responses.append(call(self, environ))
            start_response(f"{responses[0].status_code} {responses[0].reason_phrase}", [])
            return []

        _read(wsgi.serve(application, environ, lambda *_: None))
        return responses[0]

    @wraps(call_async)
    async def measured_async(self: Any, scope: asgi.Scope) -> Any:
        responses = []

        async def application(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            del receive
            responses.append(await call_async(self, scope))
            await send({"type": "http.response.start", "status": responses[0].status_code, "headers": []})
            await send({"type": "http.response.body"})

        await asgi.serve(application, scope, _receive, _send)
        return responses[0]

    handler.__call__, handler_async.__call__ = measured, measured_async


def patch_werkzeug(module: Any) -> None:
    """Have Werkzeug's client, which Flask's is made of, read a response that says how long it is to its end.

    It leaves that to the test, which may look at the status alone: to us such a request would still be running.
    """
    run = module.run_wsgi_app

    @wraps(run)
    def running(app: wsgi.Application, *arguments: Any, **options: Any) -> Any:
        def application(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
            whole = False

            def starting(status: str, headers: Any, *exc_info: Any) -> Any:
                nonlocal whole
                whole = status[:3] in _EMPTY or any(name.lower() == "content-length" for name, _ in headers)
                return start_response(status, headers, *exc_info)

            body = app(environ, starting)
            return _read(body) if whole else body

        return run(application, *arguments, **options)

    module.run_wsgi_app = running


def _read(body: Iterable[bytes]) -> list[bytes]:
    try:
        return list(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


async def _receive() -> asgi.Message:
    return {"type": "http.disconnect"}


async def _send(message: asgi.Message) -> None:
    del message
