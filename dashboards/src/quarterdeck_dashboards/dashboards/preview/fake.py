"""A Prometheus that is none: for tests, and for looking at a page without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards.preview.ask import QueryFailedError, Series

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class FakePrometheus:
    """Answers with what it was given, whatever the time."""

    answers: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)
    """Query to what comes back; nothing comes back of any other."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Query to what is said instead of an answer."""

    def at(self, query: str, moment: float) -> tuple[Series, ...]:
        """Return the newest sample of each series."""
        del moment
        return tuple(Series(each.labels, each.points[-1:]) for each in self._of(query))

    def over(self, query: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        """Return every sample."""
        del start, end, step
        return self._of(query)

    def _of(self, query: str) -> tuple[Series, ...]:
        if query in self.refused:
            raise QueryFailedError("an answer", self.refused[query], "ask something else")
        return self.answers.get(query, ())
