"""OTLP's protobuf bytes, written by hand: what `opentelemetry-proto` decodes, without its 30 ms at every start.

Field numbers are those of opentelemetry/proto/{trace,common,resource}/v1 of https://github.com/open-telemetry/
opentelemetry-proto. A tag byte is `number << 3 | wire type`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status

    from quarterdeck_instrumentation.spans.event import Event
    from quarterdeck_instrumentation.spans.resource import Whose

_DOUBLE = struct.Struct("<d").pack
_FIXED32 = struct.Struct("<I").pack
_TIMES = struct.Struct("<BQBQ").pack
_FIXED64 = struct.Struct("<Q").pack
_ONE_BYTE = 128
"""Numbers below this are one byte."""
_TWO_BYTES = 1 << 14
"""And numbers below this at most two."""
_SMALL = [bytes((number,)) for number in range(_ONE_BYTE)]
_INT64 = 1 << 63
"""Integers are below this, and at least its negative."""
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
"""Bits of a span's flags."""


def varint(number: int) -> bytes:
    """Return *number* in base 128; a negative one as the 64-bit number it is in two's complement."""
    if 0 <= number < _ONE_BYTE:
        return _SMALL[number]
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= _ONE_BYTE:
        out.append(number & 127 | _ONE_BYTE)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag: bytes, content: bytes) -> bytes:
    """Return a field that has a length: a message, bytes or UTF-8."""
    return tag + varint(len(content)) + content


def text(string: str) -> bytes:
    """Return *string* in UTF-8; what UTF-8 has no code for, as the client's bytes may, becomes a question mark."""
    try:
        return string.encode()
    except UnicodeEncodeError:
        return string.encode("utf-8", "replace")


def attributes(tag: bytes, pairs: Mapping[str, Any] | None) -> bytes:
    """Return one KeyValue field for each of *pairs*."""
    if not pairs:
        return b""
    parts: list[bytes] = []
    for key, value in pairs.items():
        name = _names.get(key) or _name(key)
        if type(value) is str:  # most are, and most are short: no call of a function for these
            try:
                raw = value.encode()
            except UnicodeEncodeError:
                raw = text(value)
            size = len(raw)
            whole = len(name) + size + _AROUND
            if whole < _ONE_BYTE:
                parts += (tag, _SMALL[whole], name, _STRINGS[size], raw)
                continue
        parts.append(field(tag, name + field(b"\x12", _any_value(value))))
    return b"".join(parts)


def string(tag: bytes, key: str, value: str) -> bytes:
    """Return one KeyValue field: of text, as `attributes` makes it of a pair."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raw = text(value)
    name = _names.get(key) or _name(key)
    size = len(raw)
    whole = len(name) + size + _AROUND
    if whole < _ONE_BYTE:
        return b"".join((tag, _SMALL[whole], name, _STRINGS[size], raw))
    return field(tag, name + field(b"\x12", field(b"\x0a", raw)))


_AROUND = 4
"""Bytes of a KeyValue besides its key and a short string."""
_STRINGS = [bytes((0x12, size + 2, 0x0A, size)) for size in range(_ONE_BYTE - _AROUND)]
"""By length of a string: those bytes, which go between the two."""
_names: dict[str, bytes] = {}
"""Encoded keys: there are few, and they come again and again."""
_KEPT = 4096
"""Encodings that are kept: only a mistake makes more keys, or more names of spans, than this."""


def _name(key: str) -> bytes:
    encoded = field(b"\x0a", text(key))
    if len(_names) < _KEPT:
        _names[key] = encoded
    return encoded


def _any_value(value: Any) -> bytes:  # noqa: PLR0911 -- one line for each kind of value
    if isinstance(value, str):
        return field(b"\x0a", text(value))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        # OTLP has no larger ones; as text nothing of it is lost, and no other number is claimed.
        return b"\x18" + varint(value) if -_INT64 <= value < _INT64 else field(b"\x0a", text(str(value)))
    if isinstance(value, float):
        return b"\x21" + _DOUBLE(value)
    if isinstance(value, bytes):
        return field(b"\x3a", value)
    if isinstance(value, Mapping):
        return field(b"\x32", attributes(b"\x0a", {str(key): item for key, item in value.items()}))
    if isinstance(value, Sequence):
        return field(b"\x2a", b"".join([field(b"\x0a", _any_value(item)) for item in value]))
    return b""  # None; anything else has become text when it was set


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | _IS_REMOTE if context is not None and context.is_remote else _HAS_IS_REMOTE


def _count(tag: bytes, number: int) -> bytes:
    return tag + varint(number) if number else b""


def _event(event: Event) -> bytes:
    return b"".join(
        (
            b"\x09",
            _FIXED64(event.timestamp),
            field(b"\x12", text(event.name)),
            attributes(b"\x1a", event.attributes),
            _count(b"\x20", event.dropped_attributes),
        )
    )


def _link(link: Link) -> bytes:
    context = link.context
    return b"".join(
        (
            b"\x0a\x10",
            context.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            context.span_id.to_bytes(8, "big"),
            attributes(b"\x22", link.attributes),
            _count(b"\x28", link.dropped_attributes),
            b"\x35",
            _FIXED32(_flags(context)),
        )
    )


def _status(status: Status) -> bytes:
    if status.status_code is StatusCode.UNSET:
        return b"\x7a\x00"
    said = field(b"\x12", text(status.description)) if status.description else b""
    return field(b"\x7a", said + b"\x18" + varint(status.status_code.value))


def span(own: Any, parent: Any, times: tuple[int | None, int | None], said: bytes, more: bytes) -> bytes:
    """Return one span as a field of ScopeSpans.

    Args:
        own: its identity or its SpanContext: they read alike.
        parent: likewise its parent's; None: it has none.
        times: when it began and ended, Unix time in nanoseconds.
        said: its name, kind and attributes, as `called` and `attributes` return them.
        more: what few spans have, as `more` returns it, or `NOTHING_MORE`.
    """
    trace_state = own.trace_state
    content = b"".join(
        (
            b"\x0a\x10",
            own.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            own.span_id.to_bytes(8, "big"),
            _trace_state(trace_state) if trace_state else b"",
            _OF_LOCAL if parent is None else _parent(parent),
            _TIMES(0x39, times[0], 0x41, times[1]),
            said,
            more,
        )
    )
    size = len(content)
    if _ONE_BYTE <= size < _TWO_BYTES:  # as most are: no call of a function for these
        return b"\x12" + bytes((size & 127 | _ONE_BYTE, size >> 7)) + content
    return field(b"\x12", content)


def _parent(parent: Any) -> bytes:
    own: bytes = parent.span_id.to_bytes(8, "big")
    return b"\x22\x08" + own + (_OF_REMOTE if parent.is_remote else _OF_LOCAL)


def called(name: str, kind: SpanKind) -> bytes:
    """Return a span's name and kind."""
    return _called.get((name, id(kind))) or _call(name, kind)


def more(each: Any) -> bytes:
    """Return of a span what few have: events, links, what was dropped, and a status."""
    return b"".join(
        (
            _count(b"\x50", each.dropped_attributes),
            *[field(b"\x5a", _event(event)) for event in each.events],
            _count(b"\x60", each.dropped_events),
            *[field(b"\x6a", _link(link)) for link in each.links],
            _count(b"\x70", each.dropped_links),
            _status(each.status),
        )
    )


NOTHING_MORE = b"\x7a\x00"
"""What `more` returns of a span without any of it."""
_FLAGS = b"\x85\x01"
_OF_LOCAL = _FLAGS + _FIXED32(_HAS_IS_REMOTE)
_OF_REMOTE = _FLAGS + _FIXED32(_HAS_IS_REMOTE | _IS_REMOTE)
_called: dict[tuple[str, int], bytes] = {}
"""Encoded name and kind, by the name and the kind's identity: the hash of an Enum's member is a call of Python's."""


def _call(name: str, kind: SpanKind) -> bytes:
    encoded = field(b"\x2a", text(name)) + b"\x30" + _SMALL[kind.value + 1]
    if len(_called) >= _KEPT:
        _called.clear()
    if len(encoded) < _ONE_BYTE:
        _called[name, id(kind)] = encoded
    return encoded


def _trace_state(state: Any) -> bytes:
    return field(b"\x1a", text(",".join(f"{key}={value}" for key, value in state.items())))


def scope_spans(scope: InstrumentationScope | None, spans: Iterable[bytes]) -> bytes:
    """Return *spans* of one instrumentation scope as a field of ResourceSpans."""
    if scope is None:
        return field(b"\x12", field(b"\x0a", b"") + b"".join(spans))
    own = (
        field(b"\x0a", text(scope.name))
        + (field(b"\x12", text(scope.version)) if scope.version else b"")
        + attributes(b"\x1a", scope.attributes)
    )
    schema = field(b"\x1a", text(scope.schema_url)) if scope.schema_url else b""
    return field(b"\x12", field(b"\x0a", own) + b"".join(spans) + schema)


def request(resource: Whose, scopes: Iterable[bytes]) -> bytes:
    """Return an ExportTraceServiceRequest."""
    own = field(b"\x0a", attributes(b"\x0a", resource.attributes))
    schema = field(b"\x1a", text(resource.schema_url)) if resource.schema_url else b""
    return field(b"\x0a", own + b"".join(scopes) + schema)
