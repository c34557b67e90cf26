"""A span that is current in a `with` block, or in each call of a function that it decorates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode
from opentelemetry.util._decorator import _agnosticcontextmanager

from quarterdeck_instrumentation import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import TracebackType
    from typing import Any

    from opentelemetry.context import Context
    from opentelemetry.trace import Span


class Block:
    """What `start_as_current_span` returns: the API's own does the same with two generators, at five times the cost."""

    __slots__ = ("_ends", "_records", "_says", "_span", "_start", "_token")

    _span: Span
    _token: Token[Context]

    def __init__(  # by position, once for each span: keywords cost time
        self,
        start: tuple[Callable[..., Span], tuple[Any, ...]],
        ends: bool = True,  # noqa: FBT001, FBT002 -- likewise
        records: bool = True,  # noqa: FBT001, FBT002 -- likewise
        says: bool = True,  # noqa: FBT001, FBT002 -- likewise
    ) -> None:
        """Make what begins nothing yet.

        Args:
            start: what begins the span, and what it is called with.
            ends: whether the span ends with the block.
            records: whether an exception that leaves the block is an event of the span.
            says: whether such an exception makes the span's status an error.
        """
        self._start = start
        self._ends, self._records, self._says = ends, records, says

    def __enter__(self) -> Span:
        begin, arguments = self._start
        span = self._span = begin(*arguments)
        self._token = current.enter(span)
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        current.leave(self._token)
        span = self._span
        if (
            error is not None and isinstance(error, Exception) and span.is_recording()
        ):  # not GeneratorExit and the like, as the API has it
            if self._records:
                span.record_exception(error)
            if self._says:
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        if self._ends:
            span.end()

    def __call__(self, function: Any) -> Any:
        """Return *function*, a coroutine function or any other, with each call of it in a block of its own."""
        return _blocks(self)(function)

    def again(self) -> Block:
        """Return another block like this one."""
        return Block(self._start, self._ends, self._records, self._says)


@_agnosticcontextmanager
def _blocks(like: Block) -> Iterator[Span]:
    with like.again() as span:
        yield span
