"""From an OpenTelemetry name to its Prometheus name: one function, because every path spells it alike or says so.

Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"
(https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
"""

from __future__ import annotations

import enum
import re

from quarterdeck_contract.metrics import Kind, Metric


class Path(enum.Enum):
    """How a metric reaches Prometheus."""

    SCRAPE = "scrape"
    """Our own `/metrics` page, in process."""
    COLLECTOR = "collector"
    """The collector's Prometheus or remote-write exporter, with its default `add_metric_suffixes: true`."""
    OTLP = "otlp"
    """Prometheus' OTLP receiver with its default translation `UnderscoreEscapingWithSuffixes`."""


_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "By": "bytes",
    "1": "ratio",
    "%": "percent",
}
"""UCUM unit to the word Prometheus appends. Units in braces (`{request}`) are annotations: nothing is appended."""


def prometheus_name(metric: Metric, path: Path = Path.SCRAPE) -> str:
    """Return the base name of *metric*'s series in Prometheus, without `_bucket`, `_sum` or `_count`.

    All three paths give the same name today, each because it is configured so; `path` is asked for so that a
    caller has to know which one it speaks of, and so that a path that differs changes this function alone.

    >>> from quarterdeck_contract.metrics import HTTP_SERVER_ACTIVE, HTTP_SERVER_DURATION
    >>> prometheus_name(HTTP_SERVER_DURATION)
    'http_server_request_duration_seconds'
    >>> prometheus_name(HTTP_SERVER_ACTIVE)
    'http_server_active_requests'
    """
    del path
    name = re.sub(r"[^a-zA-Z0-9]+", "_", metric.name).strip("_")
    unit = prometheus_unit(metric)
    if unit and not name.endswith("_" + unit):
        name = f"{name}_{unit}"
    if metric.kind is Kind.COUNTER and not name.endswith("_total"):
        name = f"{name}_total"
    return name


def series_names(metric: Metric, path: Path = Path.SCRAPE) -> tuple[str, ...]:
    """Return every series name that *metric* becomes: three for a histogram, else one.

    >>> from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
    >>> series_names(HTTP_SERVER_DURATION)[0]
    'http_server_request_duration_seconds_bucket'
    """
    name = prometheus_name(metric, path)
    if metric.kind is Kind.HISTOGRAM:
        return (f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return (name,)


def prometheus_unit(metric: Metric) -> str:
    """Return the word Prometheus puts at the end of *metric*'s name for its unit; empty when there is none."""
    if metric.unit.startswith("{") or not metric.unit:
        return ""
    if metric.unit == "1" and metric.kind is not Kind.GAUGE:
        return ""  # the specification adds "ratio" to gauges only
    return _UNITS.get(metric.unit, metric.unit)
