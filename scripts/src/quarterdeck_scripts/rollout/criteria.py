"""What a canary is judged against: the margin, the error guarantees, and the objectives from the catalogue."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service


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
    stale_scrapes: int = 3
    """Scrape intervals after which a newest sample is called stale: one lost scrape and its neighbour's delay."""
    unpromised_objective: float = 99.5
    """Percent. Stands in for an availability SLO where the catalogue states none: errors are always judged."""


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


def objectives_of(service: Service, criteria: Criteria) -> tuple[Objective, ...]:
    """Return what *service*'s canaries are judged by: its errors always, its latency where that is promised."""
    found = [
        Objective(
            name=slo.name,
            bad=Bad.SLOW if slo.threshold is not None else Bad.FAILED,
            floor=_floor(slo.objective, criteria),
            threshold=None if slo.threshold is None else slo.threshold.total_seconds(),
        )
        for slo in service.slos
    ]
    if not any(objective.bad is Bad.FAILED for objective in found):
        found.insert(0, Objective("errors", Bad.FAILED, _floor(criteria.unpromised_objective, criteria)))
    return tuple(found)


def _floor(objective: float, criteria: Criteria) -> float:
    return round((100 - objective) / 100 * criteria.budget_share, 12)
