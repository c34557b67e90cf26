"""A span that keeps what it is told and builds nothing until somebody asks.

It reads like the SDK's ReadableSpan (name, attributes, status, …), because users' code reads the current span so.
"""

from __future__ import annotations

import traceback
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode

from quarterdeck_instrumentation.spans import wire
from quarterdeck_instrumentation.spans.event import Event
from quarterdeck_instrumentation.spans.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.util.types import Attributes, AttributeValue

    from quarterdeck_instrumentation.spans.limits import Limits
    from quarterdeck_instrumentation.spans.resource import Whose

_PLAIN = frozenset((str, int, float, bool))
"""Types of values that are kept as they are; all others are cleaned as the SDK cleans them."""
_TEXT = frozenset((str,))
"""Types of keys that are kept as they are."""
_UNSET = Status(StatusCode.UNSET)
_ERROR = Status(StatusCode.ERROR)
ATTRIBUTE = b"\x4a"
"""Tag of a span's attributes."""


class Origin:
    """What all spans of one tracer share."""

    __slots__ = ("ended", "limits", "resource", "scope")

    def __init__(
        self,
        scope: InstrumentationScope | None,
        limits: Limits,
        resource: Callable[[], Whose],
        ended: Callable[[LeanSpan], None],
    ) -> None:
        self.scope = scope
        self.limits = limits
        self.resource = resource
        """Returns the provider's resource: a fork changes it."""
        self.ended = ended
        """Called with each span that has ended, once."""


class LeanSpan(Span):
    """A span that is kept."""

    __slots__ = ("_attributes", "_origin", "_parent", "end_time", "identity", "kind", "name", "start_time")

    # Not slots: few spans ever differ in these, and those alone have anything in `__dict__`.
    status = _UNSET
    dropped_attributes = 0
    _events: BoundedList[Event] | None = None
    _links: BoundedList[Link] | None = None
    _records_exceptions = _sets_status = True

    def __init__(  # noqa: PLR0917 -- by position, once for each span: keywords cost time
        self,
        origin: Origin,
        name: str,
        identity: Identity,
        parent: SpanContext | Identity | None,
        kind: SpanKind,
        start_time: int | None,
    ) -> None:
        self._origin = origin
        self.name = name
        self.identity = identity
        self._parent = parent
        self.kind = kind
        self.start_time = time_ns() if start_time is None else start_time
        self.end_time: int | None = None
        self._attributes: dict[str, AttributeValue] | None = None

    def get_span_context(self) -> SpanContext:
        """Return its identity as the API has it."""
        return self.identity.get_span_context()

    def is_recording(self) -> bool:
        """Say whether it has not ended."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""
        if type(value) in _PLAIN and key and type(key) is str and self.end_time is None:
            kept = self._attributes
            if kept is None:
                kept = self._attributes = {}
            kept[key] = value
            if len(kept) > self._limit():
                self._shrink()
        elif key and isinstance(key, str):
            self.set_attributes({key: value})
        elif self.end_time is None:
            self.dropped_attributes += 1  # as the SDK, which makes text only of keys that come in a mapping

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes; the oldest make place when they are too many."""
        if self.end_time is not None:
            return
        plain = _PLAIN.issuperset(map(type, attributes.values())) and _TEXT.issuperset(map(type, attributes))
        if not plain or not all(attributes):
            cleaned = BoundedAttributes(None, attributes, immutable=False)
            self.dropped_attributes += cleaned.dropped
            attributes = cleaned
        kept = self._attributes
        if kept is None:
            kept = self._attributes = {}
        kept.update(attributes)
        if len(kept) > self._limit():
            self._shrink()

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Note that something happened."""
        if self.end_time is None:
            limits = self._origin.limits
            kept = BoundedAttributes(limits.max_event_attributes, attributes, True, limits.max_attribute_length)
            if self._events is None:
                self._events = BoundedList(limits.max_events)
            self._events.append(Event(name, kept, timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Point to another span."""
        if self.end_time is None and (context.is_valid or attributes or context.trace_state):
            limits = self._origin.limits
            kept = BoundedAttributes(limits.max_link_attributes, attributes, True, limits.max_attribute_length)
            if self._links is None:
                self._links = BoundedList(limits.max_links)
            self._links.append(Link(context, kept))

    def update_name(self, name: str) -> None:
        """Call it otherwise."""
        if self.end_time is None:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it went; what a user found OK stays OK, and nothing becomes unset again."""
        if isinstance(status, StatusCode):
            plain = status is StatusCode.ERROR and description is None
            status = _ERROR if plain else Status(status, description)
        if self.end_time is not None or StatusCode.OK is self.status.status_code or status.is_unset:
            return
        self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 -- the API's signature
    ) -> None:
        """Note an exception as an event, with its stack."""
        kind = type(exception)
        builtin = kind.__module__ in (None, "builtins")
        said: dict[str, AttributeValue] = {
            "exception.type": kind.__qualname__ if builtin else f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**said, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End it; only the first time counts."""
        if self.end_time is None:
            self.end_time = time_ns() if end_time is None else end_time
            self._origin.ended(self)

    def catching(self, *, record: bool, set_status: bool) -> None:
        """Say what becomes of an exception that leaves the `with` block of this span."""
        self._records_exceptions, self._sets_status = record, set_status

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if error is not None and self.end_time is None:
            if self._records_exceptions:
                self.record_exception(error, escaped=True)
            if self._sets_status:
                self.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self.end()

    @property
    def parent(self) -> SpanContext | None:
        """Whose child it is."""
        parent = self._parent
        return parent.get_span_context() if isinstance(parent, Identity) else parent

    @property
    def context(self) -> SpanContext:
        """Its identity."""
        return self.identity.get_span_context()

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """Its attributes."""
        return self._attributes or {}

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in it."""
        return tuple(self._events or ())

    @property
    def links(self) -> tuple[Link, ...]:
        """What it points to."""
        return tuple(self._links or ())

    @property
    def dropped_events(self) -> int:
        """Events beyond the limit."""
        return self._events.dropped if self._events else 0

    @property
    def dropped_links(self) -> int:
        """Links beyond the limit."""
        return self._links.dropped if self._links else 0

    @property
    def resource(self) -> Whose:
        """What made it."""
        return self._origin.resource()

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        """Which library made it."""
        return self._origin.scope

    def encode(self) -> bytes:
        """Return it as a field of OTLP's ScopeSpans."""
        plain = self.status is _UNSET and self._events is None and self._links is None and not self.dropped_attributes
        more = wire.NOTHING_MORE if plain else wire.more(self)
        return wire.span(self.identity, self._parent, (self.start_time, self.end_time), self._said(), more)

    def _said(self) -> bytes:
        """Return what it is called, of which kind it is, and its attributes, as fields of OTLP's Span."""
        return wire.called(self.name, self.kind) + wire.attributes(ATTRIBUTE, self._attributes)

    def _limit(self) -> int:
        limit = self._origin.limits.max_span_attributes
        return 1 << 31 if limit is None else limit

    def _shrink(self) -> None:
        kept = self._attributes or {}
        while len(kept) > self._limit():
            del kept[next(iter(kept))]
            self.dropped_attributes += 1


def encode(span: Any) -> bytes:
    """Return a lean span or the SDK's ReadableSpan as a field of OTLP's ScopeSpans."""
    lean: Callable[[], bytes] | None = getattr(span, "encode", None)
    if lean is not None:
        return lean()
    said = wire.called(span.name, span.kind) + wire.attributes(ATTRIBUTE, span.attributes)
    return wire.span(span.get_span_context(), span.parent, (span.start_time, span.end_time), said, wire.more(span))
