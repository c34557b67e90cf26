"""gRPC's servers, with threads and with asyncio: each call is measured, by an interceptor that is outside all others.

From the moment that its handler is looked for until gRPC says that the call is over, so streams count to their end,
and calls that a client gave up are seen as such. The health service is measured and traced as little as a probe by
HTTP. Calls beyond `maximum_concurrent_rpcs`, which gRPC refuses after it has found their handler, are not recorded.
"""

from __future__ import annotations

import asyncio
import inspect
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.metrics import RPC_SERVER_DURATION
from quarterdeck_instrumentation import request as request_
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.call import Call
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import ModuleType

    from quarterdeck_instrumentation.runtime import Runtime

    Enter = Callable[[], Any]

_HEALTH = "/grpc.health.v1.Health/"
"""What the methods of gRPC's own health service begin with."""
_AT_THE_DEADLINE = 0.1
"""Seconds before its deadline from which on a call that is cancelled has missed it: clients give up a little early."""


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
            return None if handler is None else _Unseen(runtime).within(handler)
        call = Call(runtime, details.method.removeprefix("/"), _headers(details), known=handler is not None)
        if handler is None:
            call.record("UNIMPLEMENTED")
            return None
        return _Seen(call).within(handler)
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


class _Unseen:
    """Runs the method of a probe, with nothing below it traced or measured."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def begins(self, context: Any) -> Any:
        """Notice that the method is about to run, and return the context that it is given."""
        return context

    def breaks(self, error: BaseException) -> None:
        """Notice the exception that escaped it."""

    def ends(self) -> None:
        """Notice that it has made its last response."""

    def enter(self) -> Any:
        """Have nothing seen, until what is returned is left."""
        return request_.suppress(self._runtime)

    def within(self, handler: Any) -> Any:
        """Return *handler* with its method run so."""
        streams = (handler.request_streaming, handler.response_streaming)
        kind = "_".join("stream" if each else "unary" for each in streams)
        make = getattr(import_module("grpc"), f"{kind}_rpc_method_handler")
        behaviour = self._around(getattr(handler, kind), streams=handler.response_streaming)
        return make(behaviour, handler.request_deserializer, handler.response_serializer)

    def _around(self, behaviour: Any, *, streams: bool) -> Any:
        if inspect.isasyncgenfunction(behaviour):
            return self._around_generator(behaviour)
        if inspect.iscoroutinefunction(behaviour):
            return self._around_coroutine(behaviour)

        @wraps(behaviour)
        def running(request: Any, context: Any, *more: Any) -> Any:
            given = self.begins(context)
            entered = self.enter()
            try:
                answer = behaviour(request, given, *more)
            except BaseException as error:
                self.breaks(error)
                raise
            finally:
                _leave(entered)
            if streams and answer is not None:
                return _Responses(self, answer)
            self.ends()
            return answer

        return running

    def _around_coroutine(self, behaviour: Any) -> Any:
        @wraps(behaviour)
        async def running(request: Any, context: Any) -> Any:
            self.begins(context)
            entered = self.enter()
            try:
                return await behaviour(request, context)
            except BaseException as error:
                self.breaks(error)
                raise
            finally:
                _leave(entered)

        return running

    def _around_generator(self, behaviour: Any) -> Any:
        @wraps(behaviour)
        async def running(request: Any, context: Any) -> Any:
            self.begins(context)
            entered = self.enter()
            try:
                async for response in behaviour(request, context):
                    yield response
            except BaseException as error:
                self.breaks(error)
                raise
            finally:
                _leave(entered)

        return running


class _Seen(_Unseen):
    """Runs the method of a call that is measured, with its span current, and records it when gRPC says it is over."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._context: Any = None

    def begins(self, context: Any) -> Any:
        """Have gRPC say when the call is over, where it does; return the context that the method is given."""
        self._context = context
        try:
            if hasattr(context, "add_done_callback"):
                context.add_done_callback(lambda _: self._over())
            elif not hasattr(context, "code"):
                self._context = _Noted(context)
            elif not context.add_callback(self._over):
                self._over()  # it is already
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a call's end could not be watched", mistake)
        return self._context

    def breaks(self, error: BaseException) -> None:
        """Keep the exception, unless it is gRPC's own way to end a call with a status that was chosen."""
        self._call.error = None if _chosen(self._context, error) else error
        self.ends()

    def ends(self) -> None:
        """Record the call, where gRPC does not say when it is over."""
        if isinstance(self._context, _Noted):
            self._over()

    def enter(self) -> Any:
        """Make the call's span current, until what is returned is left."""
        return self._call.enter()

    def _over(self) -> None:
        try:
            self._call.record(_code(self._context, self._call.error))
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a call's status could not be read", mistake)
        self._context = None  # or they would keep each other


class _Noted:
    """The context of a method with threads in a server with asyncio, which tells nobody the status it was given."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def set_code(self, code: Any) -> None:
        """Set the status, and note it."""
        self._code = code
        self._context.set_code(code)

    def abort(self, code: Any, *arguments: Any, **named: Any) -> None:
        """End the call with a status, and note it."""
        self._code = code
        self._context.abort(code, *arguments, **named)

    def code(self) -> Any:
        """Return what was noted."""
        return self._code

    def cancelled(self) -> bool:
        """Say whether its deadline is over; that its client has gone it is not told."""
        return bool(self._context.time_remaining() == 0)

    def done(self) -> bool:
        """Say that it is over: it is asked at its end."""
        return True


class _Responses:
    """The responses that a method with threads streams; each is made with the call's span current."""

    def __init__(self, around: _Unseen, responses: Any) -> None:
        self._around = around
        self._responses = responses

    def __iter__(self) -> Iterator[Any]:
        """Go on with them, as any iterator does."""
        return self

    def __next__(self) -> Any:
        """Return the next."""
        entered = self._around.enter()
        try:
            return next(self._responses)
        except StopIteration:
            self._around.ends()
            raise
        except BaseException as error:
            self._around.breaks(error)
            raise
        finally:
            _leave(entered)


def _leave(entered: Any) -> None:
    if entered is not None:
        entered.leave()


def _chosen(context: Any, error: BaseException) -> bool:
    """Say whether *error* is what `context.abort` raised."""
    aborted = getattr(getattr(context, "_state", None), "aborted", False)
    return aborted or type(error).__name__ == "AbortError"


def _code(context: Any, error: BaseException | None) -> str:
    """Return the name of the status code that the call of *context* ended with."""
    if _cancelled(context, error):
        left = context.time_remaining()
        return "CANCELLED" if left is None or left > _AT_THE_DEADLINE else "DEADLINE_EXCEEDED"
    code = context.code()
    if not code:  # nobody chose one
        return "OK" if error is None else "UNKNOWN"
    grpc = import_module("grpc")
    number = code if isinstance(code, int) else code.value[0]
    return next((each.name for each in grpc.StatusCode if each.value[0] == number), "UNKNOWN")


def _cancelled(context: Any, error: BaseException | None) -> bool:
    if hasattr(context, "done"):  # asyncio's, which has a stream closed only later
        return context.cancelled() or not context.done() or isinstance(error, asyncio.CancelledError)
    state = getattr(context, "_state", None)
    return state is not None and not state.statused  # over, and no status was sent
