"""The MeterProvider and its meters: the instruments of whoever asks OpenTelemetry's API, on the page without the SDK.

No `otel_scope_…` labels are put on series, although the specification's Prometheus exporter has them: Prometheus'
OTLP receiver puts none either, unless it is told to, so a series has the same labels scraped and pushed; the contract's
have none; and a library's new release would begin all of its series anew. Two scopes with one instrument share it.
"""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from math import isinf
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import metrics

from quarterdeck_contract.metrics import Kind
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.foreign import Foreign, Merge, family
from quarterdeck_instrumentation.meters import instruments
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.util.types import Attributes

Made = TypeVar("Made")

DEFAULT_BUCKETS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""Bounds of a histogram whose instrument gives no advice: the specification's."""
SDK = "opentelemetry.sdk.metrics"
_NAME = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")
"""The specification's syntax of instrument names."""


class LeanMeterProvider(metrics.MeterProvider):
    """Makes meters. Those of all scopes share one registry, whose page tells nothing of scopes."""

    def __init__(self) -> None:
        self.made: dict[tuple[Callable[..., Any], str], Any] = {}
        """Instruments by class and name on the page: who asks again gets the same."""

    @property  # type: ignore[misc]  # read-only here, which it is everywhere else but in principle
    def __class__(self) -> type:  # what `isinstance` asks when the type itself is another
        """The SDK's class, for libraries that look whether metrics are configured by `isinstance`.

        Without importing the SDK's metrics, which cost 40 ms: who compares with its class has imported it.
        """
        kind: type = getattr(sys.modules.get(SDK), "MeterProvider", LeanMeterProvider)
        return kind

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,  # noqa: ARG002 -- the API's signature
    ) -> metrics.Meter:
        """Return a meter, as the API has it."""
        return LeanMeter(self, name, version, schema_url)

    def add_metric_reader(self, metric_reader: Any) -> None:
        """Refuse a reader: it needs the SDK's own provider, set before the first request."""
        failed("metrics", f"{type(metric_reader).__name__} gets nothing, because the page's own provider is in use")

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 -- the SDK's signature
        """Do nothing: values are written down as they change, and pushed at the end."""
        return True

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Do nothing: telemetry ends with its worker."""


class LeanMeter(metrics.Meter):
    """Makes instruments. One that cannot be on the page does nothing, which is said once."""

    def __init__(
        self, provider: LeanMeterProvider, name: str, version: str | None = None, schema_url: str | None = None
    ) -> None:
        super().__init__(name, version, schema_url)
        self._made = provider.made
        self._nothing = metrics.NoOpMeter(name, version, schema_url)

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        """Return a counter."""
        made = self._made_of(instruments.Counter, _metric(name, unit, description, Kind.COUNTER))
        return made or self._nothing.create_counter(name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        """Return a counter that goes both ways."""
        made = self._made_of(instruments.UpDownCounter, _metric(name, unit, description, Kind.UP_DOWN_COUNTER))
        return made or self._nothing.create_up_down_counter(name, unit, description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return a gauge."""
        made = self._made_of(instruments.Gauge, _metric(name, unit, description, Kind.GAUGE))
        return made or self._nothing.create_gauge(name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        """Return a histogram with the bounds that are advised, if they ascend."""
        bounds = _bounds(name, explicit_bucket_boundaries_advisory)
        made = self._made_of(instruments.Histogram, _metric(name, unit, description, Kind.HISTOGRAM, bounds))
        return made or self._nothing.create_histogram(name, unit, description)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        """Return a counter that is asked."""
        made = self._made_of(instruments.ObservableCounter, _metric(name, unit, description, Kind.COUNTER), callbacks)
        return made or self._nothing.create_observable_counter(name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        """Return a counter that goes both ways and is asked."""
        metric = _metric(name, unit, description, Kind.UP_DOWN_COUNTER)
        made = self._made_of(instruments.ObservableUpDownCounter, metric, callbacks)
        return made or self._nothing.create_observable_up_down_counter(name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        """Return a gauge that is asked."""
        made = self._made_of(instruments.ObservableGauge, _metric(name, unit, description, Kind.GAUGE), callbacks)
        return made or self._nothing.create_observable_gauge(name, callbacks, unit, description)

    def _made_of(
        self, make: Callable[[Foreign], Made], metric: Foreign | None, callbacks: Sequence[Any] | None = None
    ) -> Made | None:
        """Return the instrument of *metric*, a new one if it is the first of its class and name; None without one."""
        if metric is None:
            return None
        key = (make, family(metric))
        made: Made | None = self._made.get(key)
        if made is None:
            made = self._made[key] = make(metric)
        if callbacks:
            made.ask(callbacks)  # type: ignore[attr-defined]  # only observable instruments have any
        return made


def of_instrument(
    name: str,
    unit: str,
    description: str,
    kind: Kind,
    bounds: tuple[float, ...] = (),
    *,
    elsewhere: bool = False,
) -> Foreign:
    """Return the metric of an OpenTelemetry instrument; *elsewhere* says that somebody else pushes it."""
    merge = Merge.GREATEST if kind is Kind.GAUGE else Merge.SUM
    return Foreign(name, unit, kind, description, (), bounds, merge, elsewhere=elsewhere)


def _metric(
    name: str, unit: str | None, description: str | None, kind: Kind, bounds: tuple[float, ...] = ()
) -> Foreign | None:
    """Return the metric that an instrument records; None if it may not."""
    if _NAME.fullmatch(str(name)) is None:
        failed("metrics", f"an instrument cannot be called {name!r}, so its measurements are lost")
        return None
    metric = of_instrument(name, unit or "", description or "", kind, bounds)
    if not home.names.take(metric, Owner.OPENTELEMETRY):
        return None
    return metric


def _bounds(name: str, advice: Sequence[float] | None) -> tuple[float, ...]:
    if advice is None:
        return tuple(map(float, DEFAULT_BUCKETS))
    try:
        bounds = tuple(bound for bound in map(float, advice) if not isinf(bound))
    except (TypeError, ValueError):
        bounds = (1.0, 0.0)
    if any(not low < high for low, high in pairwise(bounds)):
        failed("metrics", f"the bounds advised for {name} do not ascend, so the usual ones are used")
        return tuple(map(float, DEFAULT_BUCKETS))
    return bounds
