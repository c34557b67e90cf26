"""Answers to the questions on objectives, as numbers: nothing here knows how they are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.slo import questions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue, Service, Slo
    from quarterdeck_scripts.ports import Prometheus

_LEAST = 0.5
"""Bad events below which a release or a route is not named: an extrapolated rate of none is not quite 0."""


@dataclass(frozen=True, slots=True)
class Spender:
    """One release or route, and the bad events it had."""

    name: str
    bad: float


@dataclass(frozen=True, slots=True)
class Report:
    """One objective. A number is None where Prometheus has no samples to tell it from."""

    service: Service
    slo: Slo
    numbers: dict[str, float | None]
    """By the names of `questions.of`."""
    spenders: dict[str, tuple[Spender, ...]]
    """By `release` and `route`, worst first."""
    burn_down: tuple[tuple[float, float], ...]
    """Unix time, and the share of the budget that was left then."""

    def number(self, name: str) -> float | None:
        """Return one of the numbers."""
        return self.numbers[name]

    def ratio(self, when: str) -> float | None:
        """Return the share of bad events of `this_week` or `last_week`; None without events."""
        bad, events = self.numbers[f"bad_{when}"], self.numbers[f"events_{when}"]
        return bad / events if bad is not None and events else None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "service": self.service.name,
            "namespace": self.service.namespace,
            "slo": self.slo.name,
            "kind": self.slo.kind.value,
            "objective": self.slo.objective,
            "over": self.slo.over,
            **self.numbers,
            "spent_by": {
                by: [{"name": each.name, "bad": each.bad} for each in found] for by, found in self.spenders.items()
            },
            "burn_down": [list(point) for point in self.burn_down],
        }


def read(catalogue: Catalogue, prometheus: Prometheus, service: str | None = None) -> Iterator[Report]:
    """Yield a report on each objective of *catalogue*, or of one *service* in it.

    Raises:
        AnswerError, UnreachableError: Prometheus does not answer.
    """
    for each in catalogue.services:
        if service in (None, each.name):
            for slo in each.slos:
                yield _read(each, slo, prometheus)


def _read(service: Service, slo: Slo, prometheus: Prometheus) -> Report:
    asked = questions.of(service, slo)
    return Report(
        service,
        slo,
        {name: _number(prometheus, question) for name, question in asked.numbers.items()},
        {by: _spenders(prometheus, question) for by, question in asked.spenders.items()},
        _points(prometheus, asked.burn_down),
    )


def _number(prometheus: Prometheus, question: str) -> float | None:
    values = [value for series in prometheus.query(question).series for _, value in series.samples[-1:]]
    return values[0] if values and math.isfinite(values[0]) else None


def _spenders(prometheus: Prometheus, question: str) -> tuple[Spender, ...]:
    found = [
        Spender(" ".join(series.labels.values()) or "unknown", value)
        for series in prometheus.query(question).series
        for _, value in series.samples[-1:]
        if math.isfinite(value) and value >= _LEAST
    ]
    return tuple(sorted(found, key=lambda spender: (-spender.bad, spender.name)))


def _points(prometheus: Prometheus, question: str) -> tuple[tuple[float, float], ...]:
    points = [point for series in prometheus.query(question).series for point in series.samples]
    return tuple(sorted(point for point in points if math.isfinite(point[1])))
