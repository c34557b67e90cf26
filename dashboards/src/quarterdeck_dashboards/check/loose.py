"""JSON that somebody else wrote: what is not of the shape that is looked for is taken for nothing, never an error."""

from __future__ import annotations

from typing import Any


def mapping(value: Any) -> dict[str, Any]:
    """Return *value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def entries(value: Any) -> list[dict[str, Any]]:
    """Return the objects in *value*, in their places: what else is there becomes an empty one."""
    return [mapping(each) for each in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return *value* if it is text, else nothing."""
    return value if isinstance(value, str) else ""
