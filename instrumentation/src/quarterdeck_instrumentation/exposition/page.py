"""The page's text: Prometheus 0.0.4 or OpenMetrics 1.0.0, as the scraper's Accept header prefers. No I/O.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/. Prometheus 3.16 asks for protobuf first when it reads start
timestamps, then OpenMetrics 1.0.0; it takes whichever of its list it gets.
"""

from __future__ import annotations

import enum
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import OVERFLOW, Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_contract.naming import prometheus_name, prometheus_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_instrumentation.exposition.collector import Sum

_CHUNK = 200
"""Series to a piece of text: about a millisecond's work, after which a request may have the interpreter."""


class Format(enum.Enum):
    """A text format, by its content type."""

    PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def negotiate(accept: str) -> Format:
    """Return the format that an Accept header prefers of ours; the plain one when it prefers neither.

    >>> negotiate("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.3").name
    'OPENMETRICS'
    >>> negotiate("*/*").name
    'PROMETHEUS'
    """
    best, preference = Format.PROMETHEUS, 0.0
    for entry in accept.lower().split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        fields = dict(parameter.partition("=")[::2] for parameter in parameters)
        quality = _quality(fields.get("q", "1"))
        if media == "application/openmetrics-text" and fields.get("version", "1.0.0") in ("1.0.0", "0.0.1"):
            found = Format.OPENMETRICS
        elif media in ("text/plain", "text/*", "*/*"):
            found = Format.PROMETHEUS
        else:
            continue
        if quality > preference:
            best, preference = found, quality
    return best


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def render(metrics: Iterable[Metric], sums: Iterable[Sum], form: Format, *, created: bool = True) -> Iterator[str]:
    """Yield the page in pieces of about a millisecond's work each.

    Args:
        metrics: all that are known, in the order of the page.
        sums: the values.
        form: which text format.
        created: whether OpenMetrics gets `_created` lines; the other format has none.
    """
    by_name: dict[str, list[Sum]] = {metric.name: [] for metric in metrics}
    for each in sums:
        by_name[each.metric.name].append(each)
    openmetrics = form is Format.OPENMETRICS
    for metric in metrics:
        yield _head(metric, openmetrics=openmetrics)
        series = by_name[metric.name]
        write = _histogram if metric.kind is Kind.HISTOGRAM else _number
        for start in range(0, len(series), _CHUNK):
            lines: list[str] = []
            for each in series[start : start + _CHUNK]:
                write(each, lines, exemplars=openmetrics, created=openmetrics and created)
            lines.append("")
            yield "\n".join(lines)
    if openmetrics:
        yield "# EOF\n"


def _head(metric: Metric, *, openmetrics: bool) -> str:
    name = prometheus_name(metric)
    kind = {Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}.get(metric.kind, "gauge")
    description = metric.description.replace("\\", "\\\\").replace("\n", "\\n")
    if not openmetrics:
        return f"# HELP {name} {description}\n# TYPE {name} {kind}\n"
    if metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    unit = prometheus_unit(metric)
    unit_line = f"# UNIT {name} {unit}\n" if unit and name.endswith(f"_{unit}") else ""
    description = description.replace('"', '\\"')
    return f"# TYPE {name} {kind}\n{unit_line}# HELP {name} {description}\n"


def _number(each: Sum, lines: list[str], *, exemplars: bool, created: bool) -> None:
    del exemplars  # a counter's would need one observation that stands for it; ours have none
    if not each.prefixes:
        labels = _labels(each)
        name = prometheus_name(each.metric)
        began = f"{name.removesuffix('_total')}_created" if each.metric.kind is Kind.COUNTER else ""
        each.prefixes = [_series(name, labels), _series(began, labels) if began else ""]
    value, began = each.prefixes
    lines.append(value + number(each.numbers[0]))
    if created and began:
        lines.append(began + repr(each.created))


def _histogram(each: Sum, lines: list[str], *, exemplars: bool, created: bool) -> None:
    if not each.prefixes:
        labels = _labels(each)
        name = prometheus_name(each.metric)
        bounds = [*map(repr, map(float, each.metric.buckets)), "+Inf"]
        each.prefixes = [_series(f"{name}_bucket", [*labels, f'le="{bound}"']) for bound in bounds]
        each.prefixes += [_series(f"{name}_{part}", labels) for part in ("sum", "count", "created")]
    *buckets, total, count, began = each.prefixes
    counts = list(map(str, map(int, accumulate(each.numbers[1:]))))
    first = len(lines)
    lines.extend(map(add, buckets, counts))
    if exemplars:
        for bucket, exemplar in each.exemplars.items():
            lines[first + bucket] += (
                f' # {{trace_id="{exemplar.trace_id}",span_id="{exemplar.span_id}"}}'
                f" {exemplar.value!r} {exemplar.timestamp!r}"
            )
    lines.append(total + number(each.numbers[0]))
    lines.append(count + counts[-1])
    if created:  # after its buckets: Prometheus looks ahead for it, and stops at the next series' one
        lines.append(began + repr(each.created))


def number(value: float) -> str:
    """Return *value* as both formats want it: whole numbers without a fraction.

    >>> number(3.0), number(0.25)
    ('3', '0.25')
    """
    return str(int(value)) if value.is_integer() else repr(value)


def _labels(each: Sum) -> list[str]:
    if each.metric.labels and not each.labels:
        return [_label(OVERFLOW, "true")]
    pairs = zip(each.metric.labels, each.labels, strict=False)  # a tampered file may name too few
    return [_label(label, value) for label, value in pairs if value]  # an empty label is no label, in Prometheus


def _label(label: Label, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{label.prometheus}="{escaped}"'


def _series(name: str, labels: list[str]) -> str:
    return f"{name}{{{','.join(labels)}}} " if labels else f"{name} "
