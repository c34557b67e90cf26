"""How long the verdict's tests take on expected counts. Pure.

The evidence is computed as the verdict does, on a canary that fails exactly its share in every scrape. Half of all
real ones are decided sooner, half later: medians of simulated rollouts lie a scrape or two below these times.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.criteria import Bad
from quarterdeck_scripts.rollout.judge.routes import scrapes_to_fail
from quarterdeck_scripts.rollout.judge.sequential import RatioLikelihood, proportion_above, proportion_below
from quarterdeck_scripts.rollout.judge.verdict import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.judge.criteria import Criteria, Objective

LONGEST = 24 * 3600.0
"""Seconds beyond which a decision is called never."""

_FINE = 1.05
"""Factor between two shares that are tried for the least that is shown."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Traffic to expect, of which part the canary gets."""

    canary: float
    """Requests a second."""
    baseline: float
    """Requests a second of what it is compared with."""
    share: float
    """Share of bad requests, 0 to 1, as they are now."""


@dataclass(frozen=True, slots=True)
class Power:
    """One objective's test, as a rollout would make it."""

    objective: Objective
    criteria: Criteria
    interval: float
    """Seconds between two scrapes."""
    sharers: int = 1
    """Objectives that share the chance of a false alarm."""

    def seconds_to_fail(self, rates: Rates, share: float, *, of_route: bool = False) -> float | None:
        """Return the time until a canary with this *share* of bad requests fails; None: never.

        *of_route*: by the test of one route, not of the whole.
        """
        if share <= self.objective.floor or not (rates.canary and rates.baseline):
            return None
        trial = Trial.of(self.objective, self.criteria, self.sharers)
        need = -math.log(trial.alpha_route if of_route else trial.alpha_fail)
        requests, others = rates.canary * self.interval, rates.baseline * self.interval
        bad_scrapes = 1 - math.exp(-requests * share)
        least = scrapes_to_fail(self.objective, self.criteria)

        def fails(scrapes: int) -> bool:
            ratio = self._ratio().add(
                requests * scrapes, requests * scrapes * share, others * scrapes, others * scrapes * rates.share
            )
            by_share = proportion_above(requests * scrapes, requests * scrapes * share, self.objective.floor)
            return bad_scrapes * scrapes >= least and min(ratio.above(), by_share) >= need

        return self._first(fails)

    def seconds_to_pass(self, rates: Rates) -> float | None:
        """Return the time until a canary that does as the stable version does passes; None: never."""
        if not rates.canary:
            return None
        need = -math.log(Trial.of(self.objective, self.criteria, self.sharers).alpha_pass)
        requests, others = rates.canary * self.interval, rates.baseline * self.interval

        def passes(scrapes: int) -> bool:
            bad = requests * scrapes * rates.share
            ratio = self._ratio().add(requests * scrapes, bad, others * scrapes, others * scrapes * rates.share)
            by_share = proportion_below(requests * scrapes, bad, self.objective.floor)
            enough = scrapes >= self.criteria.pass_scrapes
            return enough and max(ratio.below(), by_share) >= need

        return self._first(passes)

    def least_shown(self, rates: Rates, within: float, *, of_route: bool = False) -> float | None:
        """Return the least share of bad requests that fails a canary *within* so many seconds; None: not even all."""
        shares = [_FINE**-step for step in range(math.ceil(math.log(1 / self.objective.floor, _FINE)))]

        def is_too_small(share: float) -> bool:
            took = self.seconds_to_fail(rates, share, of_route=of_route)
            return took is None or took > within

        shown = bisect_left(shares, True, key=is_too_small)
        return shares[shown - 1] if shown else None

    def _ratio(self) -> RatioLikelihood:
        return RatioLikelihood(self.criteria.ratio)

    def _first(self, decided: Callable[[int], bool]) -> float | None:
        """Return the seconds after which it is *decided*, which it stays once it is; None: never."""
        most = int(LONGEST / self.interval)
        scrapes = 1 + bisect_left(range(1, most + 1), True, key=decided)
        if scrapes > most:
            return None
        return scrapes * self.interval + (self.criteria.warm_up if self.objective.bad is Bad.SLOW else 0.0)
