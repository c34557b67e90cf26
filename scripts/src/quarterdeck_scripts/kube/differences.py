"""What differs between two objects, as lines a person reads. Pure; no secret is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.kube.secrets import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json

_BOOKKEEPING = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
"""Metadata that the server writes; it changes with every write and says nothing about it."""

_ABSENT = object()


def differences(before: Json, after: Json) -> tuple[str, ...]:
    """Return one line for each value that is another, new or gone; members of lists go by their names.

    >>> differences({"spec": {"replicas": 3}}, {"spec": {"replicas": 5, "paused": True}})
    ('+ spec.paused: true', '~ spec.replicas: 3 → 5')
    """
    before, after = _comparable(before), _comparable(after)
    return tuple(_differences(before, after, without_secrets(before), without_secrets(after), ""))


def _comparable(found: Json) -> Json:
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _BOOKKEEPING}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _differences(before: Any, after: Any, shown_before: Any, shown_after: Any, where: str) -> Iterator[str]:
    """Yield what differs. Two secrets are compared as they are, and shown as they may be."""
    if before == after:
        return
    old, new = _members(before), _members(after)
    if old is not None and new is not None:
        olds, news = _members(shown_before) or {}, _members(shown_after) or {}
        for key in (
            [*old, *(key for key in new if key not in old)] if isinstance(before, list) else sorted({*old, *new})
        ):
            there = f"{where}[{key}]" if isinstance(before, list) else f"{where}.{key}".lstrip(".")
            yield from _differences(
                old.get(key, _ABSENT), new.get(key, _ABSENT), olds.get(key, _ABSENT), news.get(key, _ABSENT), there
            )
    elif before is _ABSENT:
        yield f"+ {where}: {_text(shown_after)}"
    elif after is _ABSENT:
        yield f"- {where}: {_text(shown_before)}"
    else:
        yield f"~ {where}: {_text(shown_before)} → {_text(shown_after)}"


def _members(value: Any) -> dict[str, Any] | None:
    """Return a map's members, or a list's by their names where all have one; None: it is compared as a whole."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) and "name" in each for each in value):
        return {each["name"]: each for each in value}
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
