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


class Translation(enum.StrEnum):
    """How names are spelt where it is not our own page: `translation_strategy` of Prometheus and of the collector.

    Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/, section `otlp`.
    """

    ESCAPED = "UnderscoreEscapingWithSuffixes"
    """`http_server_request_duration_seconds`: as on our own page."""
    ESCAPED_WITHOUT_SUFFIXES = "UnderscoreEscapingWithoutSuffixes"
    """`http_server_request_duration`: the collector's `add_metric_suffixes: false`."""
    UTF8 = "NoUTF8EscapingWithSuffixes"
    """`http.server.request.duration_seconds`; labels keep their dots too."""
    NONE = "NoTranslation"
    """`http.server.request.duration`; labels keep their dots too."""

    @property
    def keeps_dots(self) -> bool:
        """Whether names and labels stay as OpenTelemetry has them."""
        return self in {Translation.UTF8, Translation.NONE}

    @property
    def has_suffixes(self) -> bool:
        """Whether the unit, and `total`, are part of a name."""
        return self in {Translation.ESCAPED, Translation.UTF8}


_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
"""UCUM unit to the word Prometheus appends. Units in braces (`{request}`) are annotations: nothing is appended.

These are the words of Prometheus' OTLP receiver: so a service's own metric has one name, scraped or pushed."""
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
"""The unit after a slash, in the singular."""


def prometheus_name(metric: Metric, path: Path = Path.SCRAPE, translation: Translation = Translation.ESCAPED) -> str:
    """Return the base name of *metric*'s series in Prometheus, without `_bucket`, `_sum` or `_count`.

    All three paths give the same name by default; `path` is asked for so that a caller has to know which one it speaks
    of, and `translation` is how the collector, or Prometheus' OTLP receiver, is configured. Our own page has but one.

    >>> from quarterdeck_contract.metrics import HTTP_SERVER_ACTIVE, HTTP_SERVER_DURATION
    >>> prometheus_name(HTTP_SERVER_DURATION)
    'http_server_request_duration_seconds'
    >>> prometheus_name(HTTP_SERVER_ACTIVE)
    'http_server_active_requests'
    >>> prometheus_name(HTTP_SERVER_DURATION, Path.OTLP, Translation.UTF8)
    'http.server.request.duration_seconds'
    """
    if path is not Path.SCRAPE and translation is not Translation.ESCAPED:
        return _otherwise(metric, translation)
    words = [word for word in re.split(r"[^a-zA-Z0-9:]+", metric.name) if word]
    words += [word for word in _unit_words(metric.unit) if word not in words]
    last = _LAST.get((metric.kind, metric.unit)) or _LAST.get((metric.kind, ""))
    if last:
        words = [word for word in words if word != last] + [last]
    name = "_".join(words)
    return f"_{name}" if name[:1].isdigit() else name


def _otherwise(metric: Metric, translation: Translation) -> str:
    """Return the name that another than the default *translation* gives *metric*."""
    words = [word for word in re.split(r"[^a-zA-Z0-9:]+", metric.name) if word]
    name = metric.name if translation.keeps_dots else "_".join(words)
    if not translation.has_suffixes:
        return name
    suffixes = [word for word in _unit_words(metric.unit) if word not in words]
    last = _LAST.get((metric.kind, metric.unit)) or _LAST.get((metric.kind, ""))
    return "_".join((name, *suffixes, *([last] if last and words[-1] != last else [])))


def series_names(
    metric: Metric, path: Path = Path.SCRAPE, translation: Translation = Translation.ESCAPED
) -> tuple[str, ...]:
    """Return every series name that *metric* becomes: three for a histogram, else one.

    >>> from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
    >>> series_names(HTTP_SERVER_DURATION)[0]
    'http_server_request_duration_seconds_bucket'
    """
    name = prometheus_name(metric, path, translation)
    if metric.kind is Kind.HISTOGRAM:
        return (f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return (name,)


def prometheus_unit(metric: Metric) -> str:
    """Return the words Prometheus puts at the end of *metric*'s name for its unit; empty when there are none.

    >>> prometheus_unit(Metric("disk.io", "By/s", Kind.GAUGE, ""))
    'bytes_per_second'
    """
    words = _unit_words(metric.unit)
    if (metric.kind, metric.unit) == _RATIO:
        words.append(_LAST[_RATIO])
    return "_".join(words)


_RATIO = (Kind.GAUGE, "1")
"""The specification adds "ratio" to gauges only: some count things in the unit 1."""
_LAST = {_RATIO: "ratio", (Kind.COUNTER, ""): "total"}
"""Kind, and unit if it matters → the word that comes last in a name, and nowhere else."""


def _unit_words(unit: str) -> list[str]:
    main, _, per = (part.strip() for part in unit.partition("/"))
    words = [_spelt(_UNITS.get(main, main))] if "{" not in main else []
    if per and "{" not in per:
        words.append(f"per_{_spelt(_PER.get(per, per))}")
    return [word for word in words if word]


def _spelt(unit: str) -> str:
    return re.sub(r"[^a-zA-Z0-9:]+", "_", unit).strip("_")
