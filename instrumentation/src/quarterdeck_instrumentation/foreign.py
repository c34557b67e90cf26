"""Metrics that are not the contract's: the service's own, or a library's, as the page and OTLP show them.

Everything outside `quarterdeck_contract.metrics.ALL` is foreign. A foreign metric can never have a name of the
contract's, so a series' name alone tells whose it is.
"""

from __future__ import annotations

import enum
import re

from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_contract.naming import prometheus_name
from quarterdeck_contract.records import record

_INVALID = re.compile(r"[^a-zA-Z0-9_:]")


class Merge(enum.Enum):
    """How several workers' values become one."""

    SUM = "sum"
    GREATEST = "max"
    LEAST = "min"
    LATEST = "mostrecent"
    """The value that was set last; a child's time of creation is then the time it was set."""


@record(frozen=True, slots=True)
class Foreign(Metric):
    """A metric of somebody else's. Its series may differ in their label names: one `Foreign` for each set of names."""

    merge: Merge = Merge.SUM
    lasts: bool = False
    """Whether what an ended worker said of it still counts."""
    form: str = ""
    """OpenMetrics' word for its type, where `kind` does not say it: `summary`, `info`, `stateset`, `unknown`. A
    summary is a histogram without bounds."""
    spelt: bool = False
    """Whether `name` and `unit` are as Prometheus has them, not as OpenTelemetry has."""
    elsewhere: bool = False
    """Whether somebody else pushes it, so that we must not."""


def family(metric: Metric) -> str:
    """Return the name that *metric* has on the page, without `_bucket`, `_sum` or `_count`."""
    if isinstance(metric, Foreign) and metric.spelt:
        return _INVALID.sub("_", metric.name)  # from prometheus_client 0.22 it may be any UTF-8, which few can read
    return prometheus_name(metric)


def merge_of(metric: Metric) -> Merge:
    """Return how several workers' values of *metric* become one."""
    if isinstance(metric, Foreign):
        return metric.merge
    return Merge.GREATEST if metric.kind is Kind.GAUGE else Merge.SUM


def lasts(metric: Metric) -> bool:
    """Say whether an ended worker leaves its values of *metric* behind; a gauge ends with it, unless it says not."""
    return metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) or (isinstance(metric, Foreign) and metric.lasts)


def form_of(metric: Metric) -> str:
    """Return OpenMetrics' word for the type of *metric*."""
    if isinstance(metric, Foreign) and metric.form:
        return metric.form
    return {Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}.get(metric.kind, "gauge")


def bare(metric: Metric) -> str:
    """Return the family's name as OpenMetrics has it: without the suffix that is its type's.

    >>> bare(Foreign("jobs", "", Kind.COUNTER, ""))
    'jobs'
    """
    return family(metric).removesuffix({"counter": "_total", "info": "_info"}.get(form_of(metric), ""))


_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "info": ("_info",),
}


def page_names(metric: Metric) -> set[str]:
    """Return every name that *metric* needs on a page, so that no other metric may have it."""
    name = bare(metric)
    return {name, *[name + suffix for suffix in _SUFFIXES.get(form_of(metric), ())]}


def encodable(text: str) -> str:
    r"""Return *text* with what UTF-8 has no code for, as Python makes it of bytes that are no text, as an escape.

    >>> encodable("\udcff")
    '\\udcff'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def label_text(name: str, value: str) -> str:
    """Return a label as the page writes it; *name* as Prometheus has it."""
    escaped = encodable(value).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{name}="{escaped}"'
