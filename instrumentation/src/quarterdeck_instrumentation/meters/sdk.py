"""A reader that brings the OpenTelemetry SDK's data to the page: for services with a MeterProvider of their own.

Views, and everything else that the SDK does, have been done by then. Sums and histograms come as what changed since
the last reading and are added up here: so a forked child shows what it counted itself, and an exponential histogram,
whose buckets change with the values, has the same classic buckets each time. A bucket of it is counted whole in the
classic one that its upper bound falls into, so a quantile can be too high by the width of one of its buckets.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics as api
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Gauge,
    Histogram,
    MetricReader,
    Sum,
)
from opentelemetry.trace import format_span_id, format_trace_id

from quarterdeck_contract.metrics import SECONDS_BUCKETS, Kind
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.meters.attributes import labels
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Owner
from quarterdeck_instrumentation.meters.provider import DEFAULT_BUCKETS, of_instrument
from quarterdeck_instrumentation.meters.readings import Reading, Readings
from quarterdeck_instrumentation.registry import BUCKETS, VALUE, Distribution, TracedCell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData

    from quarterdeck_instrumentation.foreign import Foreign
    from quarterdeck_instrumentation.registry import Registry

_DELTA = AggregationTemporality.DELTA
_SPACING = 0.75
"""Seconds at least between two readings: callbacks of the provider's observable instruments are asked in each, and may
ask a database; with a write it is less than a second that SIGKILL can lose."""


class PageReader(MetricReader):
    """Shows what a `MeterProvider` of the SDK measures on the `/metrics` page of its service.

    Every provider is given one when it is made; a service need not name it, but may.
    """

    spacing = 0.0

    def __init__(self) -> None:
        super().__init__({sdk.Counter: _DELTA, sdk.UpDownCounter: _DELTA, sdk.Histogram: _DELTA})
        self._readings = Readings()
        self._reading: Reading | None = None
        self._provider: weakref.ref[Any] | None = None
        self._pid = os.getpid()
        self._news = False
        home.add(self)

    def belongs_to(self, provider: Any) -> bool:
        """Say whether it collects from *provider*, or from whom is not known."""
        return self._provider is None or self._provider() is provider

    def belong_to(self, provider: Any) -> None:
        """Collect from *provider* alone, while it is the global one, and soon after it has measured something."""
        self._provider = weakref.ref(provider)
        consumer: Any = getattr(provider, "_measurement_consumer", None)
        consume = getattr(consumer, "consume_measurement", None)
        if consume is None:
            return  # an SDK of another make: it is read every few seconds

        def consuming(measurement: Any) -> None:
            consume(measurement)
            if not self._news:
                self._news = True
                home.wake()

        consumer.consume_measurement = consuming
        self.spacing = _SPACING

    def read(self, registry: Registry) -> None:
        """Collect from the provider, unless it is not the global one: another is some library's affair."""
        if self._collect is None:
            return  # its provider is still being made
        if self._provider is not None and self._provider() is not api.get_meter_provider():
            return
        self._news = False
        with self._readings.of(registry) as self._reading:
            self.collect()

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect no more, at once."""
        del timeout_millis, kwargs
        if self in home.sources:
            home.sources.remove(self)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        del timeout_millis, kwargs
        reading = self._reading
        if reading is None:
            return  # somebody else flushes the provider: the next reading takes what has changed by then
        inherited, self._pid = self._pid != os.getpid(), os.getpid()
        for resource in metrics_data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    try:
                        self._take(reading, metric, inherited=inherited)
                    except Exception as error:  # noqa: BLE001 -- one metric must not take the others with it
                        failed("metrics", f"{metric.name} cannot be shown on the page", error)

    def _take(self, reading: Reading, metric: Any, *, inherited: bool) -> None:
        """Bring one metric to the page; *inherited*: its changes are those of the process this one was forked from."""
        data = metric.data
        changes = getattr(data, "aggregation_temporality", None) is _DELTA
        for point in data.data_points:
            if isinstance(data, Histogram | ExponentialHistogram):
                bounds, counts = _classic(point, metric.unit)
                kind = Kind.HISTOGRAM
            else:
                bounds, counts = (), []
                kind = Kind.GAUGE if isinstance(data, Gauge) else Kind.UP_DOWN_COUNTER
                if isinstance(data, Sum) and data.is_monotonic:
                    kind = Kind.COUNTER
            of = of_instrument(metric.name, metric.unit or "", metric.description or "", kind, bounds, elsewhere=True)
            if not home.names.take(of, Owner.OPENTELEMETRY):
                return
            if changes:
                if not inherited:
                    _add(reading, of, point, counts)
            elif counts:
                reading.distribution(of, labels(point.attributes), point.sum, counts, exemplars=_of(point, of))
            else:
                reading.number(of, labels(point.attributes), point.value)


def _add(reading: Reading, metric: Foreign, point: Any, counts: Sequence[float]) -> None:
    """Add what changed since the last reading."""
    found = labels(point.attributes)
    if not counts:
        cell = reading.child(TracedCell, metric, found)
        cell.values[VALUE] += point.value
        cell.exemplars.update(_of(point, metric))
        return
    child = reading.child(Distribution, metric, found)
    if child.bounds != metric.buckets:
        raise ValueError(f"the bounds of {metric.name} are others than they were")
    child.values[VALUE] += point.sum
    for bucket, count in enumerate(counts):
        child.values[BUCKETS + bucket] += count
    child.exemplars.update(_of(point, metric))


def _classic(point: Any, unit: str | None) -> tuple[tuple[float, ...], list[float]]:
    """Return bounds, and the counts between them, of a point of either kind of histogram."""
    if hasattr(point, "explicit_bounds"):
        return tuple(map(float, point.explicit_bounds)), list(map(float, point.bucket_counts))
    bounds = tuple(map(float, SECONDS_BUCKETS if unit == "s" else DEFAULT_BUCKETS))
    counts = [0.0] * (len(bounds) + 1)
    counts[bisect_left(bounds, 0.0)] += point.zero_count
    for upper, count in _exponential(point):
        counts[bisect_left(bounds, upper)] += count
    return bounds, counts


def _exponential(point: Any) -> Iterable[tuple[float, float]]:
    """Yield the upper bound of each bucket of an exponential histogram, and its count."""
    ratio = 2.0**-point.scale
    for sign, side, step in ((1.0, point.positive, 1), (-1.0, point.negative, 0)):
        for position, count in enumerate(side.bucket_counts):
            if count:
                yield sign * 2.0 ** ((side.offset + position + step) * ratio), count


def _of(point: Any, metric: Foreign) -> dict[int, Exemplar]:
    """Return the exemplars of *point* by bucket; those of a sum are all in the first."""
    return {
        bisect_left(metric.buckets, each.value): Exemplar(
            float(each.value),
            each.time_unix_nano / 1e9,
            format_trace_id(each.trace_id),
            format_span_id(each.span_id),
        )
        for each in point.exemplars or ()
        if each.trace_id and each.span_id
    }
