"""OpenTelemetry's instruments on the lean record path: a look-up by attributes, then the registry's own addition.

What a call costs is what it costs the registry, plus the look-up: nothing is allocated for attributes that were seen
before, and no lock is taken. A measurement that makes no sense is left out and counted; no call ever raises.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from time import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions
from opentelemetry.metrics import _Gauge as ApiGauge
from opentelemetry.trace import TraceFlags

from quarterdeck_contract.metrics import Kind
from quarterdeck_instrumentation import current
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.meters.attributes import labels
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.readings import Readings
from quarterdeck_instrumentation.registry import VALUE, Distribution, TracedCell

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Observation
    from opentelemetry.util.types import Attributes

    from quarterdeck_instrumentation.foreign import Foreign
    from quarterdeck_instrumentation.registry import Registry

    Callback = Callable[[CallbackOptions], Iterable[Observation]]

_KEPT = 10_000
"""Sets of attributes whose child is kept. Beyond the registry's own limit they share one, so this bounds memory."""
_SAMPLED = int(TraceFlags.SAMPLED)
_OPTIONS = CallbackOptions(timeout_millis=1000.0)
"""What callbacks are told: the page waits for them about as long."""

Child = TypeVar("Child", TracedCell, Distribution)


class _Children(Generic[Child]):
    """The children of one synchronous instrument, by attributes as they are given."""

    def __init__(self, metric: Foreign, make: type[Child]) -> None:
        self._metric = metric
        self._make: type[Child] = make
        self._variants: dict[tuple[Any, ...], Foreign] = {}
        self._children: dict[tuple[tuple[str, Any], ...], Child] = {}
        self._registry = home.follow(self)

    def moved(self, registry: Registry) -> None:
        """Record in *registry* from now on."""
        self._registry = registry
        before, self._children = self._children, {}
        if self._metric.kind is Kind.GAUGE:
            for attributes, child in before.items():
                self._born(dict(attributes)).values[VALUE] = child.values[VALUE]

    def _born(self, attributes: Attributes) -> Child:
        found = labels(attributes)
        metric = self._variants.get(found.names)
        if metric is None:
            metric = self._variants[found.names] = replace(self._metric, labels=found.names)
        child: Child = self._registry.child(self._make, metric, found.values, found.attributes)
        if len(self._children) < _KEPT:
            try:
                self._children[tuple(attributes.items()) if attributes else ()] = child
            except TypeError:  # a list among the values: looked up anew each time
                return child
        return child

    def _refused(self, amount: object, error: Exception | None = None) -> None:
        failed("metrics", f"a measurement of {self._metric.name} cannot be recorded, {type(amount).__name__}", error)


class Counter(_Children[TracedCell], metrics.Counter):
    """A sum that grows."""

    def __init__(self, metric: Foreign) -> None:
        super().__init__(metric, TracedCell)

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:  # noqa: ARG002 -- the API's signature
        """Add *amount*, which is not negative."""
        try:
            if not 0 <= amount < inf:
                self._refused(amount)
                return
            try:
                child = self._children[tuple(attributes.items()) if attributes else ()]
            except (KeyError, TypeError):
                child = self._born(attributes)
            child.values[VALUE] += amount
            if not self._registry.changed:
                self._registry.touch()
        except Exception as error:  # noqa: BLE001 -- no measurement may fail a request
            self._refused(amount, error)


class UpDownCounter(_Children[TracedCell], metrics.UpDownCounter):
    """A sum that goes both ways."""

    def __init__(self, metric: Foreign) -> None:
        super().__init__(metric, TracedCell)

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:  # noqa: ARG002 -- likewise
        """Add *amount*."""
        try:
            if not -inf < amount < inf:
                self._refused(amount)
                return
            try:
                child = self._children[tuple(attributes.items()) if attributes else ()]
            except (KeyError, TypeError):
                child = self._born(attributes)
            child.values[VALUE] += amount
            if not self._registry.changed:
                self._registry.touch()
        except Exception as error:  # noqa: BLE001 -- likewise
            self._refused(amount, error)


class Gauge(_Children[TracedCell], ApiGauge):
    """A current value. Of several workers' the page shows the greatest."""

    def __init__(self, metric: Foreign) -> None:
        super().__init__(metric, TracedCell)

    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:  # noqa: ARG002 -- likewise
        """Make *amount* the current value."""
        try:
            try:
                child = self._children[tuple(attributes.items()) if attributes else ()]
            except (KeyError, TypeError):
                child = self._born(attributes)
            child.values[VALUE] = amount
            if not self._registry.changed:
                self._registry.touch()
        except Exception as error:  # noqa: BLE001 -- likewise
            self._refused(amount, error)


class Histogram(_Children[Distribution], metrics.Histogram):
    """A distribution; a sampled span that is current while a value is recorded becomes its bucket's exemplar."""

    def __init__(self, metric: Foreign) -> None:
        super().__init__(metric, Distribution)

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Count *amount*, which is not negative."""
        try:
            if not 0 <= amount < inf:
                self._refused(amount)
                return
            try:
                child = self._children[tuple(attributes.items()) if attributes else ()]
            except (KeyError, TypeError):
                child = self._born(attributes)
            bucket = child.observe(amount)
            span = current.span(context)
            if span is not None:
                own: Any = getattr(span, "identity", None) or span.get_span_context()  # the lean span's reads alike
                if own.trace_flags & _SAMPLED:
                    child.exemplars[bucket] = (float(amount), time(), own)
            if not self._registry.changed:
                self._registry.touch()
        except Exception as error:  # noqa: BLE001 -- likewise
            self._refused(amount, error)


class _Observable:
    """An instrument that is asked: every few seconds, and when the page is made in its worker."""

    spacing = 0.0

    def __init__(self, metric: Foreign) -> None:
        self._metric = metric
        self._callbacks: list[Callback] = []
        self._readings = Readings()
        home.add(self)

    def ask(self, callbacks: Iterable[Callback | Generator[Iterable[Observation], CallbackOptions, None]]) -> None:
        """Ask *callbacks* too."""
        self._callbacks += [each for each in map(_callable, callbacks) if each is not None]

    def read(self, registry: Registry) -> None:
        """Ask all callbacks; one that raises says nothing this time, and keeps no other from speaking."""
        with self._readings.of(registry) as reading:
            for callback in self._callbacks:
                try:
                    for observation in callback(_OPTIONS):
                        if -inf < observation.value < inf:
                            reading.number(self._metric, labels(observation.attributes), observation.value)
                except Exception as error:  # noqa: BLE001 -- a user's, who may raise anything
                    failed("metrics", f"a callback of {self._metric.name} failed", error)


class ObservableCounter(_Observable, metrics.ObservableCounter):
    """A sum that grows, as its owner has it: a forked child's is what it is in the child."""


class ObservableUpDownCounter(_Observable, metrics.ObservableUpDownCounter):
    """A sum that goes both ways, as its owner has it."""


class ObservableGauge(_Observable, metrics.ObservableGauge):
    """A current value, as its owner has it. Of several workers' the page shows the greatest."""


def _callable(callback: Any) -> Callback | None:
    """Return *callback* as a function; the API allows generators, which are sent the options."""
    if callable(callback):
        return callback  # type: ignore[no-any-return]  # what the API says it is
    try:
        next(callback)
    except Exception as error:  # noqa: BLE001 -- a user's, who may raise anything
        failed("metrics", "a callback that is a generator cannot be begun", error)
        return None

    def send(options: CallbackOptions) -> Iterable[Observation]:
        try:
            return callback.send(options)  # type: ignore[no-any-return]  # likewise
        except StopIteration:
            return ()

    return send
