"""How many label sets each metric has, and which of its labels is to blame.

What is said of a label is its name and how many values it has, never a value: one that has too many is likely to be
somebody's address, name or token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from quarterdeck_contract import metrics
from quarterdeck_instrumentation.exposition import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quarterdeck_instrumentation.exposition.snapshot import Index
    from quarterdeck_instrumentation.registry import Registry

_FEW = 2
"""A metric with fewer label sets is not worth a series that says so; most have no labels."""


class Usage(NamedTuple):
    """What one metric uses."""

    metric: str
    """Its name, as OpenTelemetry has it."""
    label_sets: int
    """How many it has, the one that takes all others not counted."""
    overflowed: bool
    """Whether some were beyond the limit."""
    labels: tuple[tuple[str, int], ...]
    """Each label's name with how many values it has, the one with most first."""


def report(series: Iterable[tuple[str, Sequence[str], Sequence[str]]], most: int = 10) -> list[Usage]:
    """Return the *most* metrics with most label sets, those beyond the limit first.

    Args:
        series: metric, names of its labels, and their values; no values for the series that takes all others.
        most: how many are wanted.
    """
    values: dict[str, dict[str, set[str]]] = {}
    sizes: dict[str, int] = {}
    overflowed: set[str] = set()
    for metric, names, found in series:
        if names and not found:
            overflowed.add(metric)
            continue
        sizes[metric] = sizes.get(metric, 0) + 1
        by_label = values.setdefault(metric, {})
        for name, value in zip(names, found, strict=False):  # a tampered file may name too few
            by_label.setdefault(name, set()).add(value)
    usages = [
        Usage(
            metric,
            size,
            metric in overflowed,
            tuple(sorted(((name, len(found)) for name, found in values[metric].items()), key=_most_first)),
        )
        for metric, size in sizes.items()
    ]
    return sorted(usages, key=lambda usage: (not usage.overflowed, -usage.label_sets, usage.metric))[:most]


def of_index(index: Index, most: int = 10) -> list[Usage]:
    """Return the report of a worker's values, or of the totals; see `report`."""
    return report(
        ((each.metric.name, [label.name for label in each.metric.labels], each.labels) for each in index.series), most
    )


def _most_first(label: tuple[str, int]) -> tuple[int, str]:
    name, values = label
    return -values, name


class Watch:
    """Says how full a worker's metrics are, and once for each that is full, which label fills it."""

    def __init__(self, registry: Registry, limit: int) -> None:
        """Watch *registry*, which takes at most *limit* label sets a metric."""
        self._registry = registry
        self._limit = limit
        self._sizes: dict[str, int] = {}
        self._said: set[str] = set()
        registry.cell(metrics.LABEL_SETS_LIMIT).set(limit)

    def update(self) -> None:
        """Bring the values up to date; costs nothing to speak of while no label set is new."""
        for name, (size, overflowed) in self._registry.usage().items():
            if size < _FEW or name == metrics.LABEL_SETS.name or self._sizes.get(name) == size:
                continue
            self._sizes[name] = size
            self._registry.cell(metrics.LABEL_SETS, name).set(size - overflowed)
            if overflowed and name not in self._said:
                self._said.add(name)
                self._say(name)

    def _say(self, name: str) -> None:
        import logging  # noqa: PLC0415 -- most metrics are never full

        index = snapshot.parse(self._registry.snapshot()[0])
        labels = next((usage.labels for usage in of_index(index, len(index.metrics)) if usage.metric == name), ())
        logging.getLogger("quarterdeck").warning(
            "%s has more than %d label sets, so all others share one series: %s",
            name,
            self._limit,
            ", ".join(f"{label} has {values}" for label, values in labels),
        )
