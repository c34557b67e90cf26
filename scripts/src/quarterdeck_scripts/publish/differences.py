"""What differs between what should be there and what is, field by field. Pure.

Only fields that we state are compared: an API adds ids, times and defaults of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.resource import Json

SETS = frozenset({"tags", "monitor_tags", "scope"})
"""Fields whose order means nothing."""


class _Absent:
    """What is not there at all."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as it should be."""

    field: str
    """Its path: `options.thresholds.critical`, `widgets[2].definition.title`."""
    found: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.field}: {self.found!r} → {self.wanted!r}"


def differences(wanted: Json, found: Json, field: str = "") -> Iterator[Difference]:
    """Yield what is to change in *found* for it to be *wanted*.

    >>> wanted, found = {"name": "a", "tags": ["x", "y"]}, {"name": "b", "tags": ["y", "x"], "id": 1}
    >>> [str(each) for each in differences(wanted, found)]
    ["name: 'b' → 'a'"]
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            yield from differences(value, found.get(name, ABSENT), f"{field}.{name}" if field else name)
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _of_lists(wanted, found, field)
    elif wanted != found and not (_is_empty(wanted) and _is_empty(found)):
        yield Difference(field, found, wanted)


def _of_lists(wanted: list[Any], found: list[Any], field: str) -> Iterator[Difference]:
    if field.rpartition(".")[2] in SETS:
        wanted, found = sorted(map(str, wanted)), sorted(map(str, found))
        if wanted != found:
            yield Difference(field, found, wanted)
        return
    for index, (mine, theirs) in enumerate(zip_longest(wanted, found, fillvalue=ABSENT)):
        yield from differences(mine, theirs, f"{field}[{index}]")


def _is_empty(value: Any) -> bool:
    """Return whether *value* says nothing: an API leaves such fields out, or puts them in."""
    return value is ABSENT or value is None or value in ("", [], {})
