"""The span of a request: its attributes stay where they are until it is sent, and the bytes of most are reused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, StatusCode

from quarterdeck_instrumentation.http_server import SERVER_ERROR
from quarterdeck_instrumentation.server_attributes import PATH, Facts, Outcome, of_outcome, of_request
from quarterdeck_instrumentation.spans import wire
from quarterdeck_instrumentation.spans.span import ATTRIBUTE, LeanSpan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    _Shared = tuple[str, Facts, Outcome]
    """What many requests have in common: the name of their spans, what was received, how it ended."""

_OWN = 10
"""Attributes a server span can have of its own."""
_KEPT = 4096
"""Encodings that are kept; beyond that all are forgotten, because a client chooses some of what is in them."""
_LONGEST = 1024
"""Bytes of an encoding that is kept, for the same reason."""

_encodings: dict[_Shared, bytes] = {}
_NONE_YET: Outcome = (None, None, "", "")


class LeanServerSpan(LeanSpan):
    """The span of a request or a WebSocket."""

    __slots__ = ("_facts", "_outcome", "_path")

    _facts: Facts
    _path: str
    _outcome: Outcome

    def received(self, facts: Facts, path: str) -> None:
        """Say what the request is; before anything else."""
        self._facts = facts
        self._path = path
        self._outcome = _NONE_YET

    def finish(self, method: str, outcome: Outcome) -> None:
        """End it: what it was called, how it ended."""
        if self.end_time is not None:
            return
        self._outcome = outcome
        route, status, error, _ = outcome
        if route is not None:
            self.name = f"{method} {route}"
        if error or (status is not None and status >= SERVER_ERROR):
            self.set_status(StatusCode.ERROR)
        self.end()

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """All attributes: what was received, what users said of it, how it ended."""
        received = {**of_request(self._facts), PATH: self._path}
        return {**received, **(self._attributes or {}), **of_outcome(self._outcome)}

    def _said(self) -> bytes:
        if self._attributes:  # which may say otherwise what is said here
            return wire.called(self.name, self.kind) + wire.attributes(ATTRIBUTE, self.attributes)
        key = (self.name, self._facts, self._outcome)
        return (_encodings.get(key) or _shared(key)) + wire.string(ATTRIBUTE, PATH, self._path)

    def _limit(self) -> int:
        return super()._limit() - _OWN


def _shared(key: _Shared) -> bytes:
    """Return the encoding of what many requests have in common, made once for all of them."""
    name, facts, outcome = key
    attributes = {**of_request(facts), **of_outcome(outcome)}
    encoded = wire.called(name, SpanKind.SERVER) + wire.attributes(ATTRIBUTE, attributes)
    if len(_encodings) >= _KEPT:
        _encodings.clear()
    if len(encoded) <= _LONGEST:
        _encodings[key] = encoded
    return encoded
