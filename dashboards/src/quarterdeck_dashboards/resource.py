"""What a service of somebody else's keeps for us: one dashboard, monitor or objective, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = Any
"""Decoded JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing as it should be there."""

    kind: str
    """`slo`, `monitor`, `dashboard`, `downtime`."""
    key: str
    """Ours, and the same for ever: `slo/checkout/availability`. What is called otherwise is another thing."""
    name: str
    """What people see."""
    body: Json
    """As its API takes it, without what says that it is ours; may have `reference`s in its texts."""


def reference(key: str) -> str:
    """Return what stands, in a body's text, for the id that the resource with *key* is given when it is made."""
    return f"${{{key}}}"
