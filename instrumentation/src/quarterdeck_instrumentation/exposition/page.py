"""The page's text: Prometheus 0.0.4 or OpenMetrics 1.0.0, as the scraper's Accept header prefers. No I/O.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/. Prometheus 3.16 asks for protobuf first when it reads start
timestamps, then OpenMetrics 1.0.0; it takes whichever of its list it gets.
"""

from __future__ import annotations

import enum
from itertools import accumulate
from math import isfinite, isnan
from operator import add
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import OVERFLOW
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_contract.naming import prometheus_unit
from quarterdeck_instrumentation.foreign import Foreign, bare, encodable, family, form_of, label_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_instrumentation.exemplars import Exemplar
    from quarterdeck_instrumentation.exposition.collector import Sum

_PLAIN_FORMS = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}
"""OpenMetrics' types that the plain format has no word for."""
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
    families = {family(metric): metric for metric in metrics}
    by_family: dict[str, list[Sum]] = {name: [] for name in families}
    for each in sums:
        by_family[each.family].append(each)
    openmetrics = form is Format.OPENMETRICS
    for name, metric in families.items():
        yield _head(name, metric, openmetrics=openmetrics)
        series = by_family[name]
        write = _histogram if metric.kind is Kind.HISTOGRAM else _number
        for start in range(0, len(series), _CHUNK):
            lines: list[str] = []
            for each in series[start : start + _CHUNK]:
                write(each, lines, exemplars=openmetrics, created=openmetrics and created)
            lines.append("")
            yield "\n".join(lines)
    if openmetrics:
        yield "# EOF\n"


def _head(name: str, metric: Metric, *, openmetrics: bool) -> str:
    kind = form_of(metric)
    description = encodable(metric.description).replace("\\", "\\\\").replace("\n", "\\n")
    if not openmetrics:
        return f"# HELP {name} {description}\n# TYPE {name} {_PLAIN_FORMS.get(kind, kind)}\n"
    name = bare(metric)
    unit = metric.unit if isinstance(metric, Foreign) and metric.spelt else prometheus_unit(metric)
    unit_line = f"# UNIT {name} {unit}\n" if unit and name.endswith(f"_{unit}") else ""
    description = description.replace('"', '\\"')
    return f"# TYPE {name} {kind}\n{unit_line}# HELP {name} {description}\n"


def _number(each: Sum, lines: list[str], *, exemplars: bool, created: bool) -> None:
    if not each.prefixes:
        labels = _labels(each)
        name = each.family
        began = f"{name.removesuffix('_total')}_created" if each.metric.kind is Kind.COUNTER else ""
        each.prefixes = [_series(name, labels), _series(began, labels) if began else ""]
    value, began = each.prefixes
    lines.append(value + number(each.numbers[0]))
    if exemplars and each.exemplars:
        lines[-1] += _exemplar(each.exemplars[0])
    if created and began:
        lines.append(began + repr(each.created))


def _histogram(each: Sum, lines: list[str], *, exemplars: bool, created: bool) -> None:
    if not each.prefixes:
        labels = _labels(each)
        name = each.family
        bounds = [*map(repr, map(float, each.metric.buckets)), "+Inf"] if form_of(each.metric) == "histogram" else []
        each.prefixes = [_series(f"{name}_bucket", [*labels, f'le="{bound}"']) for bound in bounds]
        each.prefixes += [_series(f"{name}_{part}", labels) for part in ("sum", "count", "created")]
    *buckets, total, count, began = each.prefixes
    counts = list(map(str, map(int, accumulate(each.numbers[1:]))))
    first = len(lines)
    lines.extend(map(add, buckets, counts))
    if exemplars and buckets:
        for bucket, exemplar in each.exemplars.items():
            lines[first + bucket] += _exemplar(exemplar)
    lines.append(total + number(each.numbers[0]))
    lines.append(count + counts[-1])
    if created:  # after its buckets: Prometheus looks ahead for it, and stops at the next series' one
        lines.append(began + repr(each.created))


def _exemplar(exemplar: Exemplar) -> str:
    labels = exemplar.labels or f'trace_id="{exemplar.trace_id}",span_id="{exemplar.span_id}"'
    return f" # {{{labels}}} {exemplar.value!r} {exemplar.timestamp!r}"


def number(value: float) -> str:
    """Return *value* as both formats want it: whole numbers without a fraction.

    >>> number(3.0), number(0.25), number(float("-inf"))
    ('3', '0.25', '-Inf')
    """
    if value.is_integer():
        return str(int(value))
    if isfinite(value):
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


def _labels(each: Sum) -> list[str]:
    """Return the labels of *each*: none twice, and none that is the page's own, or Prometheus takes nothing of it.

    Its own are a bucket's `le` and what begins with two underscores; a service's has `exported_` before it.
    """
    if each.metric.labels and not each.labels:
        return [label_text(OVERFLOW.prometheus, "true")]
    of_buckets = "le" if each.metric.kind is Kind.HISTOGRAM else ""
    found: dict[str, str] = {}
    for label, value in zip(each.metric.labels, each.labels, strict=False):  # a tampered file may name too few
        name = label.prometheus
        if value:  # an empty label is no label, in Prometheus
            own = name == of_buckets or name.startswith("__")
            found.setdefault(f"exported_{name}" if own else name, value)
    return [label_text(name, value) for name, value in found.items()]


def _series(name: str, labels: list[str]) -> str:
    return f"{name}{{{','.join(labels)}}} " if labels else f"{name} "
