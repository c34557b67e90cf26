"""What a canary is judged against: the margin, the error guarantees, and the objectives from the catalogue."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.rollout.judge.guards import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.promql import Matcher


@dataclass(frozen=True, slots=True)
class Criteria:
    """The verdict's settings: one set for every service, so that a PASS means the same everywhere."""

    ratio: float = 1.5
    """How many times the stable error ratio is still called not worse. Two identical groups of pods differ by
    up to 20 % either way in nature (1.2 / 0.8 = 1.5): without a margin a busy service would abort one healthy
    release in three."""
    budget_share: float = 0.5
    """The floor, as a share of the SLO's error budget: a canary below half the rate that the SLO allows cannot
    spend the budget, whatever the stable version's ratio is."""
    false_fail: float = 0.01
    """Chance, over a whole rollout and all its objectives, of aborting a canary that is within the margin."""
    false_pass: float = 0.05
    """Chance of passing a canary that sits exactly on the margin; 0.2 % of simulated canaries with a doubled
    error ratio passed. Larger than `false_fail` because a canary on the margin does little harm."""
    pass_scrapes: int = 4
    """Scrape intervals with canary traffic before a PASS: one quiet moment is not a service at work."""
    fail_scrapes: int = 2
    """Scrape intervals with canary errors before a FAIL: errors in one burst are one event, not many."""
    slow_scrapes: int = 4
    """The same of slow requests: one pause of a process makes all that it was serving slow at once."""
    warm_up: float = 30.0
    """Seconds after a new pod's first sample in which what is slow does not count: imports, pools and caches fill
    once. A service that takes longer says so in the catalogue (`warm_up`). Failures count from the first request on."""
    most_routes: int = 50
    """Routes told apart, the busiest first; the others are judged together. Each has an equal part of `route_share`,
    so that twice as many would cost each 0.7 nats: one more bad request."""
    route_share: float = 0.2
    """Part of `false_fail` that is spent on single routes. A fifth: whoever breaks one route breaks most of it, and
    the whole service, which most canaries break, keeps the rest."""
    suspicion: float = 10.0
    """Evidence against one route, as odds, that a PASS waits for to go away. A healthy canary meets it in less than
    a tenth of all rollouts, and then waits."""
    stale_scrapes: int = 3
    """Scrape intervals after which a newest sample is called stale: one lost scrape and its neighbour's delay."""
    unpromised_objective: float = 99.5
    """Percent. Stands in for an availability SLO where the catalogue states none: errors are always judged."""
    unpromised_latency: float = 98.0
    """Percent. Stands in for a latency SLO where the catalogue states none, about what is usual for the service."""
    guards: Rules = field(default=Rules())
    """When restarts, what is full and what is logged fail a canary."""


class Bad(enum.StrEnum):
    """What makes a request count against an objective."""

    FAILED = "failed"
    """It was answered with a 5xx status."""
    SLOW = "slow"
    """It succeeded, but took longer than the objective's threshold."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing a canary must not do worse than the stable version."""

    name: str
    """The SLO's name in the catalogue."""
    bad: Bad
    floor: float
    """Share of bad requests, 0 to 1, that is always acceptable."""
    threshold: float | None = None
    """Seconds, for SLOW: the longest good duration, a bucket bound of the contract's histogram."""
    where: tuple[tuple[str, str], ...] = ()
    """Which requests it is about: labels, as Prometheus spells them, each with the regular expression that the whole
    value must match. Empty: all."""

    def concerns(self, labels: dict[str, str]) -> bool:
        """Return whether requests with these *labels* are what it is about."""
        return all(re.fullmatch(pattern, labels.get(name, "")) for name, pattern in self.where)


UNPROMISED_LATENCY = "usual latency"
"""Name of the objective that stands in for a latency SLO."""


def objectives_of(service: Service, criteria: Criteria) -> tuple[Objective, ...]:
    """Return what *service*'s canaries are judged by that is known beforehand: its errors, and promised latencies.

    What is usual for a service without a promise about latency, its Prometheus knows (`usual.latency`). Promises
    about anything but requests are no canary's: nothing tells its part in them from the stable version's.
    """
    found = [
        Objective(
            name=slo.name,
            bad=Bad.SLOW if slo.kind is SloKind.LATENCY else Bad.FAILED,
            floor=floor(slo.objective, criteria),
            threshold=slo.threshold.total_seconds() if slo.threshold is not None else None,
            where=tuple(map(_condition, sli.requests_of(service, slo))),
        )
        for slo in service.slos
        if slo.kind in {SloKind.AVAILABILITY, SloKind.LATENCY}
    ]
    if not any(objective.bad is Bad.FAILED and not objective.where for objective in found):
        found.insert(0, Objective("errors", Bad.FAILED, floor(criteria.unpromised_objective, criteria)))
    return tuple(found)


def of_all_requests(objectives: Sequence[Objective]) -> int | None:
    """Return the place of the objective that every request counts for, whatever it took; None without one."""
    whole = (place for place, each in enumerate(objectives) if each.bad is Bad.FAILED and not each.where)
    return next(whole, None)


def floor(objective: float, criteria: Criteria) -> float:
    """Return the share of bad requests, 0 to 1, that is always acceptable under an *objective* in percent."""
    return round((100 - objective) / 100 * criteria.budget_share, 12)


def _condition(matcher: Matcher) -> tuple[str, str]:
    pattern = re.escape(matcher.value) if matcher.operator == "=" else matcher.value
    return matcher.label.prometheus, pattern
