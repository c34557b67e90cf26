"""Spans of which many say the same, as all of one statement do: that is kept, and encoded, once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_instrumentation.spans import wire
from quarterdeck_instrumentation.spans.span import ATTRIBUTE, LeanSpan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import SpanKind
    from opentelemetry.util.types import AttributeValue


class Description:
    """What many spans say alike, encoded once for all of them."""

    __slots__ = ("attributes", "encoded", "kind", "name")

    def __init__(self, name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue]) -> None:
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.encoded = b""
        """All that, once one of the spans has been encoded."""


class DescribedSpan(LeanSpan):
    """A span with a description."""

    __slots__ = ("description",)

    description: Description

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """What the description says, and what was set besides."""
        return {**self.description.attributes, **(self._attributes or {})}

    def _said(self) -> bytes:
        said = self.description
        if self._attributes or self.name is not said.name:  # which may say otherwise what is said in the description
            return wire.called(self.name, self.kind) + wire.attributes(ATTRIBUTE, self.attributes)
        if not said.encoded:
            said.encoded = wire.called(said.name, said.kind) + wire.attributes(ATTRIBUTE, said.attributes)
        return said.encoded

    def _limit(self) -> int:
        return super()._limit() - len(self.description.attributes)
