"""Which time series exist, and what may be asked of each: the contract's, Prometheus' own, and external ones.

A metric of the contract becomes one to three series under its derived name; service discovery adds the
target labels to each. Series of other programs are known from recorded expositions: the text that their
`/metrics` page really said.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import TARGET_LABELS, Label
from quarterdeck_contract.naming import Path, Translation, prometheus_name
from quarterdeck_dashboards.units import NONE, UNKNOWN, Part, Unit, Values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JOB = Label("job", "The scrape job; put on every scraped series by Prometheus.")
INSTANCE = Label("instance", "Address that was scraped; put on every scraped series by Prometheus.")
TARGETED = (*TARGET_LABELS, JOB, INSTANCE)
"""Labels of any series that is scraped from a discovered pod."""

LE = Label("le", "Upper bound of a histogram bucket, as `bucket_bound` spells it.")
SLO = Label("slo", "The objective's name in the catalogue, on recorded series and alerts.")
ALERTNAME = Label("alertname", "The alert's name.")
ALERTSTATE = Label("alertstate", "State of an alert.", ("pending", "firing"))


class SeriesKind(enum.Enum):
    """What may be asked of a series."""

    COUNTER = "counter"
    """Only goes up: ask for its rate or increase."""
    BUCKET = "bucket"
    """A counter per `le`: the series of a classic histogram that quantiles are computed from."""
    GAUGE = "gauge"
    """A current value, or a recorded one: never a rate."""


@dataclass(frozen=True, slots=True)
class Series:
    """Every time series of one name."""

    name: str
    kind: SeriesKind
    labels: tuple[Label, ...] | None
    """The labels it can have; None when that is unknown, so that no label is refused."""
    bounds: tuple[str, ...] = ()
    """Values of `le`, when they are known."""
    values: Values = UNKNOWN
    """What its numbers are: unit, and whether adding them up means anything."""

    def label(self, name: str) -> Label | None:
        """Return the label that Prometheus calls *name*, or None."""
        return next((label for label in self.labels or () if label.prometheus == name), None)


def bucket_bound(bound: float) -> str:
    """Return how Prometheus 3 spells *bound* as a value of `le`: always as a float, whatever the exposition wrote.

    >>> bucket_bound(0.25), bucket_bound(1)
    ('0.25', '1.0')
    """
    return repr(float(bound))


class _Verbatim(Label):
    """A label that keeps its dots in Prometheus."""

    __slots__ = ()

    @property
    def prometheus(self) -> str:
        return self.name


def of_metric(
    metric: metrics.Metric, path: Path = Path.SCRAPE, translation: Translation = Translation.ESCAPED
) -> tuple[Series, ...]:
    """Return the series that *metric* of the contract becomes in Prometheus."""
    name = prometheus_name(metric, path, translation)
    labels = (*metric.labels, *TARGETED)
    if path is not Path.SCRAPE and translation.keeps_dots:
        labels = (*(_Verbatim(each.name, each.description, each.values) for each in metric.labels), *TARGETED)
    unit = Unit.parse(metric.unit)
    if metric.kind is metrics.Kind.HISTOGRAM:
        bounds = (*map(bucket_bound, metric.buckets), "+Inf")
        highest = max(metric.buckets, default=None)
        buckets, total, number = (
            Values(unit if part is Part.SUM else NONE, part=part, measured=unit, bound=highest)
            for part in (Part.BUCKET, Part.SUM, Part.COUNT)
        )
        return (
            Series(f"{name}_bucket", SeriesKind.BUCKET, (*labels, LE), bounds, buckets),
            Series(f"{name}_sum", SeriesKind.COUNTER, labels, values=total),
            Series(f"{name}_count", SeriesKind.COUNTER, labels, values=number),
        )
    if metric.kind is metrics.Kind.GAUGE and metric.name.endswith(".utilization"):  # by the conventions, of a limit
        return (Series(name, SeriesKind.GAUGE, labels, values=Values(unit, greatest=1.0, average="a share")),)
    kind = SeriesKind.COUNTER if metric.kind is metrics.Kind.COUNTER else SeriesKind.GAUGE
    return (Series(name, kind, labels, values=Values(unit)),)


def buckets(metric: metrics.Metric) -> Series:
    """Return the `_bucket` series of a histogram of the contract."""
    return of_metric(metric)[0]


def count(metric: metrics.Metric) -> Series:
    """Return the `_count` series of a histogram of the contract."""
    return of_metric(metric)[-1]


def only(metric: metrics.Metric) -> Series:
    """Return the one series of a counter or gauge of the contract."""
    (series,) = of_metric(metric)
    return series


UP = Series("up", SeriesKind.GAUGE, TARGETED)
"""Made by Prometheus for each target: 1 when the last scrape worked."""

SYNTHETIC = (
    UP,
    *(
        Series(name, SeriesKind.GAUGE, TARGETED)
        for name in (
            "scrape_duration_seconds",
            "scrape_samples_scraped",
            "scrape_samples_post_metric_relabeling",
            "scrape_series_added",
        )
    ),
    Series("ALERTS", SeriesKind.GAUGE, None),
    Series("ALERTS_FOR_STATE", SeriesKind.GAUGE, None),
)
"""What Prometheus makes by itself, without anything emitting it. Source: Prometheus documentation, "Jobs and
instances" (https://prometheus.io/docs/concepts/jobs_instances/) and "Alerting rules"."""

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? ')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"')


def of_exposition(text: str) -> tuple[Series, ...]:
    """Return the series in a page in the Prometheus text format, as scraped with target labels.

    Counters in the format without types of OpenMetrics are told by their name.
    """
    kinds: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if header := _TYPE.fullmatch(line):
            kinds[header[1]] = header[2]
        elif sample := _SAMPLE.match(line):
            found.setdefault(sample[1], set()).update(_LABEL.findall(sample[2] or ""))
    return tuple(
        Series(
            name,
            _exposed_kind(name, kinds),
            (*(Label(label, "") for label in sorted(labels)), *TARGETED),
            values=_exposed_values(name),
        )
        for name, labels in found.items()
    )


_UNIT_WORDS = re.compile(r".*_(seconds|milliseconds|bytes)(?:_(total|sum|bucket|count))?")
_UNITS = {"seconds": Unit.parse("s"), "milliseconds": Unit.parse("ms"), "bytes": Unit.parse("By")}


def _exposed_values(name: str) -> Values:
    """Return the unit that a name speaks of, by Prometheus' conventions (https://prometheus.io/docs/practices/naming/).

    >>> str(_exposed_values("apiserver_request_duration_seconds_sum").unit)
    's'
    """
    match = _UNIT_WORDS.fullmatch(name)
    if match is None:
        return UNKNOWN
    unit, ending = _UNITS[match[1]], match[2]
    if ending not in {"sum", "bucket", "count"}:
        return Values(unit)
    return Values(unit if ending == "sum" else NONE, part=Part(ending), measured=unit)


def _exposed_kind(name: str, kinds: Mapping[str, str]) -> SeriesKind:
    for suffix, kind in (
        ("_bucket", SeriesKind.BUCKET),
        ("_sum", SeriesKind.COUNTER),
        ("_count", SeriesKind.COUNTER),
    ):
        if name.endswith(suffix) and kinds.get(name.removesuffix(suffix)) in {"histogram", "summary"}:
            return kind
    is_counter = kinds.get(name) == "counter" or kinds.get(name.removesuffix("_total")) == "counter"
    return SeriesKind.COUNTER if is_counter else SeriesKind.GAUGE


@cache
def external(name: str = "prometheus") -> dict[str, Series]:
    """Return the series of another program, by name, from its exposition recorded in `external/`."""
    page = resources.files("quarterdeck_dashboards") / "external" / f"{name}.prom"
    return by_name(of_exposition(page.read_text(encoding="utf-8")))


def by_name(series: Iterable[Series]) -> dict[str, Series]:
    """Return *series* keyed by name."""
    return {each.name: each for each in series}


def contract(path: Path = Path.SCRAPE, translation: Translation = Translation.ESCAPED) -> dict[str, Series]:
    """Return every series of the contract, by name, as it is called on *path*."""
    return by_name(series for metric in metrics.ALL for series in of_metric(metric, path, translation))
