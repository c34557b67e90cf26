"""What a dashboard is, whoever draws it: values without a word of Grafana's or Datadog's.

Colours, sizes and spellings are the renderers'. A text may have `{http.route}`: the value of that label.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_contract.labels import Label
    from quarterdeck_dashboards.dashboards.datadog_query import Formula
    from quarterdeck_dashboards.promql import Selector, Vector

COLUMNS = 24
"""A row's width, in which panels' widths are given."""


class Draw(enum.StrEnum):
    """How a panel shows its numbers."""

    LINES = "lines"
    """Over time, a line for each series."""
    BARS = "bars"
    """Over time, stacked: parts of a whole."""
    STAT = "stat"
    """The present number, large, in the colour of its threshold."""
    GAUGE = "gauge"
    """The present numbers as bars between `minimum` and `maximum`."""
    TABLE = "table"
    """The present numbers, a row for each combination of labels and a column for each query."""
    HEATMAP = "heatmap"
    """A distribution over time: one query, of a histogram's buckets."""
    ALERTS = "alerts"
    """What is firing, as a list; queries are of `ALERTS`."""
    TEXT = "text"
    """`says`, and nothing measured."""


class Unit(enum.Enum):
    """What a panel's numbers are in."""

    SHARE = "share"
    """0 to 1, read as percent."""
    PER_SECOND = "per second"
    SECONDS = "seconds"
    BYTES = "bytes"
    CORES = "cores"
    """Seconds of processor time a second."""
    COUNT = "count"
    FACTOR = "factor"
    """Times as much as allowed."""


class Level(enum.IntEnum):
    """How bad a number is, from its threshold on."""

    GOOD = 0
    WARNING = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Threshold:
    """From `above` on a number is as bad as `level` says. The lowest numbers' level is the panel's `base`."""

    above: float
    level: Level


@dataclass(frozen=True, slots=True)
class Link:
    """Somewhere to go on: a runbook, a repository, or another dashboard."""

    title: str
    url: str = ""
    """Absolute; empty for a dashboard."""
    dashboard: str = ""
    """The `uid` of a dashboard, or empty."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question, in each language it can be asked in."""

    legend: str
    """A series' name; `{label}` is that label's value."""
    promql: Vector
    datadog: Formula | None = None
    """None where Datadog has no such series: what recording rules make."""
    exemplars: bool = False
    """Show the traces that the histogram's buckets remember."""
    instant: bool = False
    """Ask for the present alone."""
    unit: Unit | None = None
    """What a table's column is in, where that is not what the panel is in."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    says: str
    """What it shows, and what to do when it looks wrong."""
    draw: Draw
    unit: Unit = Unit.COUNT
    queries: tuple[Query, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    """Ascending."""
    base: Level = Level.GOOD
    """How bad a number below every threshold is: BAD where more is better."""
    minimum: float | None = 0
    maximum: float | None = None
    width: int = 8
    """Of COLUMNS."""
    links: tuple[Link, ...] = ()
    service: str = ""
    """The one service it speaks of, if it does."""
    is_of_objectives: bool = False
    """Its numbers are of objectives: where these are kept by somebody else, that one's own list stands for it."""
    quiet: bool = False
    """Without data while all is well, so that being empty is no fault."""

    def __post_init__(self) -> None:
        """Refuse what no renderer could draw."""
        if [step.above for step in self.thresholds] != sorted({step.above for step in self.thresholds}):
            raise ValueError(f"{self.title}: expected thresholds that ascend")
        if (self.draw is Draw.TEXT) != (not self.queries):
            raise ValueError(f"{self.title}: expected queries, or a text alone")

    def wide(self, width: int) -> Panel:
        """Return it with another *width*."""
        return replace(self, width=width)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that answer one question, side by side."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """Something the reader chooses; conditions are written with `chosen`."""

    label: Label
    of: Selector
    """Whose values of the label there are to choose from."""
    title: str = ""

    @property
    def name(self) -> str:
        """What conditions call it, after a dollar sign."""
        return self.label.prometheus


@dataclass(frozen=True, slots=True)
class Annotation:
    """Moments, or times, that are marked on every picture."""

    title: str
    promql: Vector
    """A sample is a moment to be marked."""
    text: str
    """What the mark says; `{label}` is that label's value."""
    level: Level = Level.GOOD
    datadog: str | None = None
    """A search of Datadog's events."""
    told: tuple[str, ...] = ()
    """Tags of what somebody tells Grafana of the same by its API, with a reason; all must be on it."""


ROLLOUT = "quarterdeck-rollout"
"""Tag of what rollouts tell Grafana and Datadog."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page, from the most to the least urgent."""

    uid: str
    """Its name in URLs: at most 40 characters, stable for ever."""
    title: str
    description: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    links: tuple[Link, ...] = ()
    span: str = "6h"
    """How far back it looks at first."""

    def panels(self) -> Iterator[Panel]:
        """Yield every panel, in reading order."""
        for row in self.rows:
            yield from row.panels
