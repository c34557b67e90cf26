"""A query where it stands: whichever file, panel, gate or page asks it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck_dashboards.check.shape import Fault
    from quarterdeck_dashboards.units import Unit


class Language(enum.Enum):
    """What a query is written in."""

    PROMQL = "promql"
    DATADOG = "datadog"


@dataclass(frozen=True, slots=True)
class Question:
    """A query, where it stands, and how its answer is shown."""

    where: str
    """`file:line` or `file: JSON path`, and what it belongs to."""
    text: str
    language: Language = Language.PROMQL
    unit: Unit | None = None
    """What the answer is shown in; None when that is not said."""
    thresholds: tuple[float, ...] = ()
    """From which numbers on it is shown as bad."""
    names: tuple[str, ...] = ()
    """Of a formula: the queries that it may speak of."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, and where the query stands that has it."""

    where: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}"

    def document(self) -> dict[str, str | None]:
        """Return it for programs."""
        return {
            "where": self.where,
            "query": self.fault.where,
            "expected": self.fault.expected,
            "found": self.fault.found,
            "nearest": self.fault.nearest,
        }
