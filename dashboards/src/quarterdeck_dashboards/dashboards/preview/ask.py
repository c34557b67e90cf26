"""Asking every question of every dashboard: what came back, what is empty, what failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_dashboards.dashboards.description import Draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from quarterdeck_dashboards.dashboards.description import Dashboard, Panel, Query, Variable

AT_PRESENT = frozenset({Draw.STAT, Draw.GAUGE, Draw.TABLE, Draw.ALERTS})
"""Kinds of panel that show the present alone."""
POINTS = 240
"""Of a line: as many as can be told apart in a third of a page."""


class QueryFailedError(QuarterdeckError):
    """Prometheus refused a query, or did not answer it."""


@dataclass(frozen=True, slots=True)
class Series:
    """What came back of one time series."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Unix time and value, ascending."""

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Prometheus(Protocol):
    """A Prometheus, as far as a preview needs it."""

    def at(self, query: str, moment: float) -> Sequence[Series]:
        """Return the samples of *query* at *moment*, a Unix time.

        Raises:
            QueryFailedError: it was refused or not answered.
        """

    def over(self, query: str, start: float, end: float, step: float) -> Sequence[Series]:
        """Return the samples of *query* from *start* to *end*, every *step* seconds.

        Raises:
            QueryFailedError: it was refused or not answered.
        """


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one query."""

    query: Query
    series: tuple[Series, ...] = ()
    failure: str = ""
    """What Prometheus said instead of an answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A panel with its answers."""

    dashboard: Dashboard
    panel: Panel
    answers: tuple[Answer, ...]

    @property
    def where(self) -> str:
        """The panel's name, for messages."""
        return f"{self.dashboard.title} / {self.panel.title}"

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed."""
        return tuple(answer.failure for answer in self.answers if answer.failure)

    @property
    def is_empty(self) -> bool:
        """Whether nothing came back that should have: of a table, in any of its columns."""
        of_all = all if self.panel.draw is Draw.TABLE else any
        nothing = [not answer.series and not answer.failure for answer in self.answers]
        return bool(nothing) and not self.panel.quiet and of_all(nothing)


@dataclass(frozen=True, slots=True)
class Period:
    """The times that are drawn, as Unix times."""

    start: float
    end: float

    @classmethod
    def until(cls, now: datetime, span: timedelta) -> Period:
        """Return the *span* before *now*."""
        return cls((now - span).timestamp(), now.timestamp())

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return max(1.0, (self.end - self.start) / POINTS)


def ask(prometheus: Prometheus, made: Iterable[Dashboard], period: Period) -> tuple[Seen, ...]:
    """Ask every question of every dashboard; nothing is raised for one that fails."""
    return tuple(
        Seen(dashboard, panel, tuple(_answer(prometheus, dashboard, panel, query, period) for query in panel.queries))
        for dashboard in made
        for panel in dashboard.panels()
    )


def chosen(query: str, variables: Iterable[Variable]) -> str:
    """Return *query* with everything chosen."""
    for variable in variables:
        query = query.replace(f'"${variable.name}"', '".*"')
    return query


def _answer(prometheus: Prometheus, dashboard: Dashboard, panel: Panel, query: Query, period: Period) -> Answer:
    text = chosen(str(query.promql), dashboard.variables)
    try:
        if query.instant or panel.draw in AT_PRESENT:
            return Answer(query, tuple(prometheus.at(text, period.end)))
        return Answer(query, tuple(prometheus.over(text, period.start, period.end, period.step)))
    except QueryFailedError as error:
        return Answer(query, failure=error.found)
