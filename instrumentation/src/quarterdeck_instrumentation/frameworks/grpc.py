"""gRPC's servers, with threads and with asyncio: each call is measured, by an interceptor that is outside all others.

From the moment that its handler is looked for until gRPC says that the call is over, so streams count to their end,
and calls that a client gave up are seen as such. The health service is measured and traced as little as a probe by
HTTP. Calls beyond `maximum_concurrent_rpcs`, which gRPC refuses after it has found their handler, are not recorded.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.metrics import RPC_SERVER_DURATION
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.call import Call
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.frameworks.grpc_methods import Seen, Unseen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

_HEALTH = "/grpc.health.v1.Health/"
"""What the methods of gRPC's own health service begin with."""


def patch_servers(module: ModuleType) -> None:
    """Have servers with threads made with our interceptor, and telemetry begin when one is started."""
    create, server = module.create_server, module._Server  # noqa: SLF001 -- what `grpc.server` makes
    start = server.start

    @wraps(create)
    def creating(thread_pool: Any, handlers: Any, interceptors: Any, *arguments: Any, **named: Any) -> Any:
        return create(thread_pool, handlers, _with(_Interceptor(), interceptors), *arguments, **named)

    @wraps(start)
    def starting(self: Any) -> None:
        start(self)
        _begin()

    module.create_server, server.start = creating, starting  # type: ignore[attr-defined]  # it is there


def patch_asyncio_servers(module: ModuleType) -> None:
    """Have servers with asyncio made with our interceptor, and telemetry begin when one is started."""
    server = module.Server
    make, start = server.__init__, server.start
    interceptor = type("_AsyncioInterceptor", (_AsyncioInterceptor, module.ServerInterceptor), {})

    @wraps(make)
    def making(self: Any, thread_pool: Any, handlers: Any, interceptors: Any, *arguments: Any, **named: Any) -> None:
        make(self, thread_pool, handlers, _with(interceptor(), interceptors), *arguments, **named)

    @wraps(start)
    async def starting(self: Any) -> None:
        await start(self)
        _begin()

    server.__init__, server.start = making, starting


def _with(ours: Any, theirs: Any) -> tuple[Any, ...]:
    """Return all interceptors, ours outermost, and once."""
    others = tuple(theirs or ())
    return others if others and type(others[0]).intercept_service is type(ours).intercept_service else (ours, *others)


def _begin() -> None:
    begun = runtime_.current()  # the page is there before the first call
    if begun is not None:
        begun.registry.declare(RPC_SERVER_DURATION)
        begun.vitals.loops.notice()


class _Interceptor:
    """Outermost in a server with threads."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Return the handler that the others have for a call, measured."""
        try:
            handler = continuation(details)
        except Exception as error:
            _broken(details, error)
            raise
        return _measured(handler, details)


class _AsyncioInterceptor:
    """Outermost in a server with asyncio."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return the handler that the others have for a call, measured."""
        try:
            handler = await continuation(details)
        except Exception as error:
            _broken(details, error)
            raise
        return _measured(handler, details)


def _measured(handler: Any, details: Any) -> Any:
    runtime = runtime_.current()
    if runtime is None:
        return handler
    try:
        if details.method.startswith(_HEALTH):
            return None if handler is None else Unseen(runtime).within(handler)
        call = Call(runtime, details.method.removeprefix("/"), _headers(details), known=handler is not None)
        if handler is None:
            call.record("UNIMPLEMENTED")
            return None
        return Seen(call).within(handler)
    except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
        failed("requests", "a call could not be measured", mistake)
        return handler


def _broken(details: Any, error: Exception) -> None:
    """Record a call that another interceptor broke: gRPC says UNKNOWN of it, whether or not there is such a method."""
    runtime = runtime_.current()
    try:
        if runtime is not None:
            call = Call(runtime, details.method.removeprefix("/"), _headers(details), known=False)
            call.error = error
            call.record("UNKNOWN")
    except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
        failed("requests", "a call could not be measured", mistake)


def _headers(details: Any) -> list[tuple[bytes, bytes]]:
    return [
        (key.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        for key, value in details.invocation_metadata or ()
    ]
