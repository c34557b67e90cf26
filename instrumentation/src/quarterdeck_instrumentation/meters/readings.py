"""Brings children of the registry to what was read elsewhere: to values as they are, not by what changed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.metrics import Kind
from quarterdeck_instrumentation.registry import VALUE, Child, Distribution, Registry, TracedCell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_instrumentation.exemplars import Exemplar
    from quarterdeck_instrumentation.foreign import Foreign
    from quarterdeck_instrumentation.meters.attributes import Labels


class Readings:
    """The children of one source. What a reading no longer mentions is on no page until another does."""

    def __init__(self) -> None:
        self._registry: Registry | None = None
        self._known: dict[tuple[Any, ...], TracedCell | Distribution] = {}

    @contextmanager
    def of(self, registry: Registry) -> Iterator[Reading]:
        """Make one whole reading, into *registry*, in the block."""
        if registry is not self._registry:
            self._registry, self._known = registry, {}
        reading = Reading(registry, self._known)
        yield reading
        for child in self._known.values():
            if id(child) not in reading.written:
                registry.hide(child)
        self._known = reading.seen
        registry.touch()


class Reading:
    """One reading of one source."""

    def __init__(self, registry: Registry, known: dict[tuple[Any, ...], TracedCell | Distribution]) -> None:
        """Read into *registry*; *known* are the children of the reading before."""
        self._registry = registry
        self._known = known
        self.seen: dict[tuple[Any, ...], TracedCell | Distribution] = {}
        """The children of this one."""
        self.written: set[int] = set()
        """Their identities: several label sets share the overflow child."""

    def number(
        self,
        metric: Foreign,
        labels: Labels,
        value: float,
        *,
        created: float | None = None,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Say what a counter or gauge is now.

        Args:
            metric: without labels of its own.
            labels: those of the series.
            value: the value.
            created: Unix time at which it began, for a gauge that it was set; when it was first read, if not known.
            exemplar: one measurement that can be looked up.
        """
        child, overflows = self._child(TracedCell, metric, labels)
        if overflows and metric.kind is not Kind.GAUGE:
            value += child.values[VALUE]
        child.values[VALUE] = value
        self._registry.show(child, created)
        if exemplar is not None:
            child.exemplars[0] = exemplar

    def distribution(
        self,
        metric: Foreign,
        labels: Labels,
        total: float,
        counts: Sequence[float],
        *,
        created: float | None = None,
        exemplars: dict[int, Exemplar] | None = None,
    ) -> None:
        """Say what a histogram is now.

        Args:
            metric: without labels of its own.
            labels: those of the series.
            total: the sum of what was observed.
            counts: of each bucket alone, the one above all bounds included.
            created: Unix time at which it began; when it was first read, if not known.
            exemplars: by number of the bucket.

        Raises:
            ValueError: its bounds, or those of another series, were others before.
        """
        child, overflows = self._child(Distribution, metric, labels)
        if child.bounds != metric.buckets:
            raise ValueError(f"the bounds of {metric.name} are others than they were")
        now = type(child.values)("d", (total, *counts))
        if overflows:
            now = type(now)("d", map(float.__add__, now, child.values[VALUE:]))
        child.values[VALUE:] = now
        self._registry.show(child, created)
        if exemplars:
            child.exemplars.update(exemplars)

    def child(self, make: type[Child], metric: Foreign, labels: Labels) -> Child:
        """Return the child of *metric* for *labels*, as this reading's own to change."""
        variant = replace(metric, labels=labels.names)
        return self._registry.child(make, variant, labels.values, labels.attributes)

    def _child(self, make: type[Any], metric: Foreign, labels: Labels) -> tuple[Any, bool]:
        """Return the child, and whether this reading has written another label set to it: it is the overflow child."""
        key = (metric.name, *[label.name for label in labels.names], *labels.values)
        child: Any = self._known.get(key)
        if child is None:
            child = self.child(make, metric, labels)
        overflows = id(child) in self.written and key not in self.seen
        self.seen[key] = child
        self.written.add(id(child))
        return child, overflows
