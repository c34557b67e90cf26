"""How a method of a gRPC server is run: with its call's span current, or with nothing of it seen.

Methods are functions, generators, coroutines or asynchronous generators, and each stays what it is, because gRPC asks.
Whether they run in threads or in tasks, and what gRPC tells of their end, is seen by their context.
"""

from __future__ import annotations

import asyncio
import inspect
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import request as request_
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_instrumentation.call import Call
    from quarterdeck_instrumentation.runtime import Runtime

_AT_THE_DEADLINE = 0.1
"""Seconds before its deadline from which on a call that is cancelled has missed it: clients give up a little early."""


class Unseen:
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


class Seen(Unseen):
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
        self._call.error = None if _chosen(self._context) else error
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
        self.aborted = False
        """Whether the method has ended the call itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def set_code(self, code: Any) -> None:
        """Set the status, and note it."""
        self._code = code
        self._context.set_code(code)

    def abort(self, code: Any, *arguments: Any, **named: Any) -> None:
        """End the call with a status, and note it."""
        self._code, self.aborted = code, True
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

    def __init__(self, around: Unseen, responses: Any) -> None:
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


def _chosen(context: Any) -> bool:
    """Say whether `context.abort` has ended the call, now that an exception escapes its method.

    By what was sent rather than by what was raised: a loop that stops may cancel the method while it is in there.
    """
    if isinstance(context, _Noted):
        return context.aborted
    if hasattr(context, "done"):  # asyncio's, for which nothing else sends a status before the method has ended
        return bool(context.done())
    return getattr(getattr(context, "_state", None), "aborted", False)


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
