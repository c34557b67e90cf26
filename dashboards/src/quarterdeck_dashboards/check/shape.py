"""What is known of an expression's samples, what can be wrong with it, and what is known of the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from quarterdeck_dashboards.catalogue.problem import nearest
from quarterdeck_dashboards.units import UNKNOWN, Values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

PLACEHOLDER = "quarterdeck_placeholder"
"""Stands in a query for what only its reader knows: a dashboard's variable. Nothing is said of a name that has it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a query that cannot be as meant."""

    where: str
    """The selector or expression at fault."""
    expected: str
    found: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.where}: expected {self.expected}, found {self.found}{hint}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of an expression's samples."""

    labels: frozenset[str] | None = None
    """Labels its samples can have; None when unknown."""
    is_exact: bool = False
    """Every sample has all of them: so after an aggregation."""
    is_scalar: bool = False
    """A number or text, which has no labels and goes with anything."""
    values: Values = UNKNOWN
    """What its numbers are."""
    number: float | None = None
    """The number, of a literal or of arithmetic on literals."""

    def lacks(self, label: str) -> bool:
        """Say whether no sample can have *label*."""
        return self.labels is not None and PLACEHOLDER not in label and label not in self.labels


SCALAR = Shape(frozenset(), is_exact=True, is_scalar=True)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of the environment that a query is asked in."""

    rate_window: timedelta | None = None
    """Shortest window of a rate: four scrapes; None when the scrape interval is not known."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Names and labels that other environments use → what they are called in this one."""
    path: str = ""
    """How metrics reach Prometheus in this environment, in words."""


HERE = Setting()
"""An environment of which nothing is known."""


def like(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that is most like *word*; remembered, because one rename is found many times."""
    return _like(word, tuple(known))


@lru_cache(maxsize=4096)
def _like(word: str, known: tuple[str, ...]) -> str | None:
    return nearest(word, known)
