"""The record path: a worker's values, as plain arrays that a request can change in well under a microsecond.

A child (one metric with one label set) is looked up once and kept; recording is then an index and an addition. That
takes no lock: CPython switches threads only between calls and jumps, never inside `values[i] += x`, so under the GIL
no addition is lost. Whatever is recorded marks the registry as changed, which wakes whoever writes it down.
"""

from __future__ import annotations

import json
import time
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck_contract.labels import OVERFLOW
from quarterdeck_contract.metrics import Kind
from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.exemplars import Exemplar, Sighting, spelt
from quarterdeck_instrumentation.foreign import Foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quarterdeck_contract.metrics import Metric

CREATED = 0
"""Index, in every child's values, of the Unix time it began; not a number while it is hidden."""
VALUE = 1
"""Index of a counter's or gauge's value, and of a histogram's sum."""
BUCKETS = 2
"""Index of a histogram's first bucket; each holds its own count, not the sum of those below."""


METRIC = "metric"
"""First word of an index line that describes a metric."""
SERIES = "series"
"""First word of an index line that names a child: the number of its metric's line, and its label values, which are
none for the overflow series of a metric that has labels."""


class Cell:
    """One counter or gauge with one label set."""

    __slots__ = ("values",)

    def __init__(self, metric: Metric, created: float) -> None:
        del metric
        self.values = array("d", (created, 0.0))

    def add(self, amount: float) -> None:
        """Add *amount*; negative only for a gauge."""
        self.values[VALUE] += amount

    def set(self, value: float) -> None:
        """Make *value* the current one."""
        self.values[VALUE] = value


class TracedCell(Cell):
    """A counter or gauge that is not the contract's. One that was read from elsewhere may have an exemplar."""

    __slots__ = ("exemplars",)

    def __init__(self, metric: Metric, created: float) -> None:
        super().__init__(metric, created)
        self.exemplars: dict[int, Exemplar | Sighting] = {}


class Distribution:
    """One histogram with one label set."""

    __slots__ = ("bounds", "exemplars", "values")

    def __init__(self, metric: Metric, created: float) -> None:
        self.bounds = metric.buckets
        self.values = array("d", (created, *[0.0] * (len(metric.buckets) + 2)))
        self.exemplars: dict[int, Exemplar | Sighting] = {}

    def observe(self, value: float) -> int:
        """Count *value* and return the number of its bucket."""
        bucket = bisect_left(self.bounds, value)
        values = self.values
        values[VALUE] += value
        values[BUCKETS + bucket] += 1.0
        return bucket


_SERIES_LINE = f'["{SERIES}"'

Child = TypeVar("Child", Cell, TracedCell, Distribution)
_HIDDEN = float("nan")


class Registry:
    """All metrics of one worker, in the order they were born."""

    def __init__(self, label_sets: int, clock: Callable[[], float] = time.time) -> None:
        """Take at most *label_sets* children a metric; *clock* gives Unix time."""
        self.label_sets = label_sets
        """Children a metric may have; all other label sets share one."""
        self._clock = clock
        self._lock = native.lock()
        self._metrics: dict[tuple[str, ...], int] = {}
        self._described: list[Metric] = []
        self._children: list[Cell | Distribution] = []
        self._with_exemplars: list[tuple[int, TracedCell | Distribution]] = []
        self._by_labels: dict[tuple[str | int, ...], Cell | Distribution] = {}
        self._sizes: dict[str, int] = {}
        self._hidden: set[int] = set()
        self._index: list[str] = []
        self._indexed = 0
        self._index_bytes = b""
        self.attributes: dict[int, Mapping[str, Any]] = {}
        """Number of a child → its labels as OpenTelemetry has them, where they were not text."""
        self.changed = False
        """Whether something was recorded since the last snapshot began."""
        self.wake: Callable[[], None] = _nobody
        """Called on the first change after a snapshot; must return at once."""

    def touch(self) -> None:
        """Say that something was recorded."""
        if not self.changed:
            self.changed = True
            self.wake()

    def cell(self, metric: Metric, *labels: str) -> Cell:
        """Return the child of a counter or gauge for *labels*, in the order of `metric.labels`."""
        return self.child(Cell, metric, labels)

    def distribution(self, metric: Metric, *labels: str) -> Distribution:
        """Return the child of a histogram for *labels*, in the order of `metric.labels`."""
        return self.child(Distribution, metric, labels)

    def declare(self, metric: Metric) -> None:
        """Have *metric* on the page before its first child is born."""
        with self._lock:
            self._number(metric)

    def usage(self) -> dict[str, tuple[int, bool]]:
        """Return for each metric how many children it has, and whether one of them takes what is beyond the limit."""
        with self._lock:
            return {name: (size, (name, OVERFLOW.name) in self._by_labels) for name, size in self._sizes.items()}

    def hide(self, child: Cell | Distribution) -> None:
        """Have *child* on no page: its owner has removed the series. Its place may be given to another label set."""
        with self._lock:
            child.values[CREATED] = _HIDDEN
            self._hidden.add(id(child))

    def show(self, child: Cell | Distribution, created: float | None) -> None:
        """Have *child* on the page, since *created*; where that is not known, since it was first shown."""
        if id(child) in self._hidden:
            with self._lock:
                self._hidden.discard(id(child))
                child.values[CREATED] = self._clock()
        if created is not None:
            child.values[CREATED] = created

    def snapshot(self) -> tuple[bytes, bytes, list[tuple[int, int, Exemplar]]]:
        """Return the index, all values at one moment, and the exemplars as (child, bucket, exemplar)."""
        self.changed = False
        with self._lock:
            children = self._children[:]
            with_exemplars = self._with_exemplars[:]
            if len(self._index) != self._indexed:
                self._indexed = len(self._index)
                self._index_bytes = "\n".join(self._index).encode()
            index = self._index_bytes
        values = b"".join([child.values for child in children])
        exemplars = [
            (number, bucket, spelt(exemplar))
            for number, child in with_exemplars
            if child.exemplars
            for bucket, exemplar in list(child.exemplars.items())
        ]
        return index, values, exemplars

    def child(
        self,
        make: type[Child],
        metric: Metric,
        labels: tuple[str, ...],
        attributes: Mapping[str, Any] | None = None,
    ) -> Child:
        """Return the child of class *make* for *labels*, or the overflow child where there are too many.

        Args:
            make: a counter's or gauge's class, or a histogram's.
            metric: the metric; of one name there may be several, which differ in the names of their labels.
            labels: values, in the order of `metric.labels`.
            attributes: the same as OpenTelemetry has them, where they are not all text.

        Raises:
            TypeError: the metric is of another kind.
        """
        with self._lock:
            number = self._number(metric)
            metric = self._described[number]  # whose shape is in the index, whatever this one says
            if (metric.kind is Kind.HISTOGRAM) is not (make is Distribution):
                raise TypeError(f"{metric.name} is a {metric.kind.value}, not a {make.__name__}")
            key: tuple[str | int, ...] = (number, *labels)
            child = self._by_labels.get(key)
            if child is None and labels and self._sizes.get(metric.name, 0) >= self.label_sets:
                child = self._in_place_of_a_hidden_one(number, key, labels, attributes)
                if child is None:
                    key = (metric.name, OVERFLOW.name)
                    child = self._by_labels.get(key)
                    labels, attributes = (), None
            if child is None:
                child = self._born(make, metric, key, number, labels)
                if attributes:
                    self.attributes[len(self._children) - 1] = attributes
        if not isinstance(child, make):
            raise TypeError(f"{metric.name} is a {metric.kind.value}, not a {make.__name__}")
        return child

    def _born(
        self,
        make: type[Child],
        metric: Metric,
        key: tuple[str | int, ...],
        number: int,
        labels: tuple[str, ...],
    ) -> Child:
        child = make(metric, self._clock())
        self._by_labels[key] = child
        self._sizes[metric.name] = self._sizes.get(metric.name, 0) + 1
        if isinstance(child, TracedCell | Distribution):
            self._with_exemplars.append((len(self._children), child))
        self._children.append(child)
        self._index.append(json.dumps([SERIES, number, labels]))
        return child

    def _in_place_of_a_hidden_one(
        self, number: int, key: tuple[str | int, ...], labels: tuple[str, ...], attributes: Mapping[str, Any] | None
    ) -> Cell | Distribution | None:
        """Return a child that was hidden, as that of *labels* from now on; None if there is none of the same metric."""
        hidden = self._hidden
        before = next((had for had, child in self._by_labels.items() if id(child) in hidden and had[0] == number), None)
        if before is None:
            return None
        child = self._by_labels.pop(before)
        hidden.discard(id(child))
        place = next(place for place, other in enumerate(self._children) if other is child)
        series = [line for line, text in enumerate(self._index) if text.startswith(_SERIES_LINE)]
        self._index[series[place]] = json.dumps([SERIES, number, labels])
        self._indexed = -1
        self._by_labels[key] = child
        self.attributes.pop(place, None)
        if attributes:
            self.attributes[place] = attributes
        if isinstance(child, TracedCell | Distribution):
            child.exemplars.clear()
        child.values[VALUE:] = array("d", bytes(8 * (len(child.values) - VALUE)))
        child.values[CREATED] = self._clock()
        return child

    def _number(self, metric: Metric) -> int:
        # One of two that have the same name, and only on the page, may have to give way to the other.
        spelt = "spelt" if isinstance(metric, Foreign) and metric.spelt else ""
        key = (metric.name, metric.unit, metric.kind.value, spelt, *[label.name for label in metric.labels])
        number = self._metrics.get(key)
        if number is None:
            number = self._metrics[key] = len(self._metrics)
            self._described.append(metric)
            self._index.append(describe(metric))
        return number


def describe(metric: Metric) -> str:
    """Return *metric* as a line of the index, from which a reader that never heard of it can show it."""
    labels = [label.name for label in metric.labels]
    fields: list[Any] = [METRIC, metric.name, metric.unit, metric.kind.value, metric.description, labels]
    fields.append(metric.buckets)
    if isinstance(metric, Foreign):
        fields += [metric.merge.value, metric.lasts, metric.form, metric.spelt, metric.elsewhere]
    return json.dumps(fields)


def _nobody() -> None:
    """Nobody waits for changes yet."""
