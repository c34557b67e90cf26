"""What happened in a lean span; it reads like the SDK's `Event`."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.attributes import BoundedAttributes


class Event:
    """One thing that happened."""

    __slots__ = ("attributes", "name", "timestamp")

    def __init__(self, name: str, attributes: BoundedAttributes, timestamp: int | None) -> None:
        self.name = name
        self.attributes = attributes
        self.timestamp = time_ns() if timestamp is None else timestamp
        """Unix time in nanoseconds."""

    @property
    def dropped_attributes(self) -> int:
        """Attributes beyond the limit."""
        return self.attributes.dropped
