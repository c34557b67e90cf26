"""One route's evidence. A canary that breaks a route with little traffic fails, though the whole looks well."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.counts import Counts
from quarterdeck_scripts.rollout.judge.criteria import Bad
from quarterdeck_scripts.rollout.judge.sequential import (
    RatioLikelihood,
    proportion_above,
    proportion_curve,
    ratio_growth,
)

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.judge.counts import RouteCounts
    from quarterdeck_scripts.rollout.judge.criteria import Criteria, Objective

_SEARCH = 2.0
"""Nats that the mixture over all ratios costs a test, beside the one that knew the ratio beforehand."""


@dataclass(frozen=True, slots=True)
class RouteJudgement:
    """What is known about one route under one objective."""

    route: str
    canary: Counts
    stable: Counts
    failed: bool
    """Shown to be worse than the margin."""
    suspect: bool
    """Not shown, but likely enough that a PASS waits; or bad where the stable version has served nothing."""
    telling: bool
    """Whether it has had so many requests that it would have failed by now, had the canary failed all of them."""
    times_low: float
    """The canary's share is at least so many times the stable one's."""
    share_high: float
    """The canary's share of bad requests is at most this, 0 to 1."""


@dataclass(frozen=True, slots=True)
class RouteTrial:
    """One route's evidence so far. Immutable: `add` returns the next one."""

    route: str
    ratio: RatioLikelihood
    canary: Counts = field(default=Counts())
    stable: Counts = field(default=Counts())
    bad_scrapes: int = 0

    def add(self, part: RouteCounts) -> RouteTrial:
        """Return the trial with one more batch of this route."""
        canary, stable = part.canary, part.stable
        return replace(
            self,
            ratio=self.ratio.add(canary.requests, canary.bad, stable.requests, stable.bad),
            canary=self.canary + canary,
            stable=self.stable + stable,
            bad_scrapes=self.bad_scrapes + (canary.bad > 0),
        )

    def evidence(self, floor: float) -> float:
        """Return the logarithm of the evidence that this route is worse than the margin; at most 0 if it seems not."""
        if self.canary.share <= floor or not self.ratio.seems_above:
            return 0.0
        return min(proportion_above(self.canary.requests, self.canary.bad, floor), self.ratio.above())

    def fails(self, objective: Objective, criteria: Criteria, alpha: float) -> bool:
        """Return whether it is shown to be worse than the margin, with a chance of *alpha* to be wrong."""
        return self.bad_scrapes >= scrapes_to_fail(objective, criteria) and self.evidence(objective.floor) >= -math.log(
            alpha
        )

    def is_suspect(self, objective: Objective, criteria: Criteria) -> bool:
        """Return whether a PASS has to wait for more of this route."""
        if self.canary.share <= objective.floor:
            return False
        if not self.stable.requests:
            found = proportion_above(self.canary.requests, self.canary.bad, objective.floor)
        else:
            found = self.evidence(objective.floor)
        return found >= math.log(criteria.suspicion)

    def judge(self, objective: Objective, criteria: Criteria, alpha_fail: float, alpha_pass: float) -> RouteJudgement:
        """Return what is known of it, with bounds of these error chances."""
        share = proportion_curve(self.canary.requests, self.canary.bad, objective.floor)
        high = share.upper_bound(alpha_pass)
        return RouteJudgement(
            route=self.route,
            canary=self.canary,
            stable=self.stable,
            failed=self.fails(objective, criteria, alpha_fail),
            suspect=self.is_suspect(objective, criteria),
            telling=self._total_failure(criteria) >= -math.log(alpha_fail) + _SEARCH,
            times_low=self.ratio.curve().lower_bound(alpha_fail),
            share_high=1.0 if math.isinf(high) else high,
        )

    def _total_failure(self, criteria: Criteria) -> float:
        """Return what evidence there would be, had the canary failed every request, in nats."""
        if not (self.canary.requests and self.stable.requests):
            return 0.0
        split = self.canary.requests / self.stable.requests
        return self.canary.requests * ratio_growth(1.0, self.stable.share, split, criteria.ratio)


def scrapes_to_fail(objective: Objective, criteria: Criteria) -> int:
    """Return in how many scrape intervals the canary must have had bad requests before it fails."""
    return criteria.slow_scrapes if objective.bad is Bad.SLOW else criteria.fail_scrapes
