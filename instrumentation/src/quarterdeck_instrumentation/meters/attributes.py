"""OpenTelemetry's attributes as labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from quarterdeck_contract.labels import Label

if TYPE_CHECKING:
    from collections.abc import Mapping


class Labels(NamedTuple):
    """One set of attributes."""

    names: tuple[Label, ...]
    """In the order of their names: two orders of the same attributes are one series."""
    values: tuple[str, ...]
    attributes: Mapping[str, Any] | None
    """The attributes themselves, where some are not text, for OTLP."""


def labels(attributes: Mapping[str, Any] | None) -> Labels:
    """Return *attributes* as labels; one without a name or a value is none.

    Keys that Prometheus spells alike become one label, with the values in the order of the keys and a semicolon
    between them, as OpenTelemetry's specification has it.
    """
    if not attributes:
        return Labels((), (), None)
    kept = {str(key): value for key, value in attributes.items() if key and value is not None}
    merged: dict[str, tuple[Label, list[str]]] = {}
    for key in sorted(kept):
        label = Label(key, "")
        merged.setdefault(label.prometheus, (label, []))[1].append(text(kept[key]))
    plain = all(isinstance(value, str) for value in kept.values()) and len(merged) == len(kept)
    return Labels(
        tuple(label for label, _ in merged.values()),
        tuple(";".join(values) for _, values in merged.values()),
        None if plain else kept,
    )


def text(value: Any) -> str:
    """Return an attribute's value as a label has it: as JSON, but for text, which has no quotes.

    >>> text("a"), text(True), text(1.5), text(("a", 2))
    ('a', 'true', '1.5', '["a",2]')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, separators=(",", ":"), default=str, ensure_ascii=False)
