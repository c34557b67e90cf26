"""FastAPI: its own OpenTelemetry stands aside, and routers' prefixes are part of the route."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.frameworks.starlette import telling

if TYPE_CHECKING:
    from types import ModuleType

    from quarterdeck_instrumentation.asgi import Receive, Scope, Send

_NATIVE = "fastapi.telemetry"
"""Key in the scope, from FastAPI 0.165: its presence switches FastAPI's own telemetry off for the request. FastAPI
sets it to None itself, for requests that its `exclude` names and for applications mounted in another."""


_PATCHED: list[Any] = []
"""The class that is measured, once there is one."""


def patch_applications(module: ModuleType) -> None:
    """Have `fastapi.FastAPI` measure what it is called for, in place of FastAPI itself."""
    application = module.FastAPI
    call = application.__call__

    @wraps(call)
    async def measured(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if getattr(scope.get(MARK), "span", None) is not None:  # as nearly always: no more to find out
            scope.setdefault(_NATIVE, None)
            await call(self, scope, receive, send)
            return
        try:
            _settle(self, scope)
        except Exception as mistake:  # noqa: BLE001 -- then a request may be two spans, and is served
            failed("hooks", "FastAPI's own telemetry could not be told to stand aside", mistake)
        if MARK in scope:
            await call(self, scope, receive, send)
        else:
            await serve(call.__get__(self), scope, receive, send)

    application.__call__ = measured
    _PATCHED[:] = [application]


def native_telemetry() -> str:
    """Say, for whoever looks for doubled or missing spans, whether FastAPI's own telemetry runs here, and why."""
    applications = sys.modules.get("fastapi.applications")
    if applications is None:
        return "off, because FastAPI is not imported"
    if not hasattr(applications, "NativeTelemetry"):
        return f"none, because FastAPI {sys.modules['fastapi'].__version__} brings none"
    if applications.FastAPI not in _PATCHED:
        return "on as soon as a provider is configured, because FastAPI is not instrumented by Quarterdeck"
    return "off, because Quarterdeck makes the one span and the metrics of each request, at a tenth of the cost"


def _settle(application: Any, scope: Scope) -> None:
    """Have one of the two make the span of what *scope* is of."""
    request = scope.get(MARK)
    lifespan = scope["type"] == "lifespan"
    if lifespan or MARK not in scope:
        _adopt(application)
    if not lifespan and not _is_native_alone(application, request):
        scope.setdefault(_NATIVE, None)


def _adopt(application: Any) -> None:
    """Have spans go where the service told FastAPI to send them; before the first request, or it comes too late."""
    provider = _chosen_provider(application)
    runtime = runtime_.current() if provider is not None else None
    if runtime is not None:
        runtime.adopt(provider)


def _is_native_alone(application: Any, request: Any) -> bool:
    """Say whether nobody but FastAPI makes a span: not our runtime, and the service gave FastAPI its own provider."""
    if request is None:
        return runtime_.current() is None
    traced = getattr(request, "span", request) is not None  # a WebSocket is measured only where it is traced
    return not traced and _chosen_provider(application) is not None


def _chosen_provider(application: Any) -> Any:
    telemetry = getattr(application, "_telemetry", None)  # from FastAPI 0.165
    return telemetry.get("tracer_provider") if telemetry else None


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
