"""What latency is usual for a service that promises none: the stand-in for a latency SLO.

The threshold is the first bucket bound at least twice as long as what nearly all of the stable version's requests
took before the canary was there. So a canary fails when many of its requests take more than twice as long as
nearly all took before; the fifth that two identical pods differ by in nature does not move a request that far.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.criteria import UNPROMISED_LATENCY, Bad, Criteria, Objective, floor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quarterdeck_scripts.ports import Answer

WINDOW = 600.0
"""Seconds before the canary that say what is usual: an hour ago it may have been another time of day."""

_NEARLY_ALL = 0.95
"""Share of requests. The slowest twentieth wander too much to be called usual."""

_SLOWER = 2.0
"""How many times as long as nearly all requests took is called slow."""

_LEAST_REQUESTS = 200.0
"""Requests that have to be known: of fewer, the slowest twentieth are fewer than ten."""


def is_wanted(objectives: Sequence[Objective]) -> bool:
    """Return whether no latency is promised among *objectives*, for all requests or some."""
    return not any(objective.bad is Bad.SLOW for objective in objectives)


def objective(answer: Answer, criteria: Criteria) -> Objective | None:
    """Return the stand-in that *answer*, to `queries.durations`, leads to; None where nothing usual is known."""
    within = {
        float(series.labels.get("le", "nan")): value
        for series in answer.series
        for _, value in series.samples[-1:]
        if math.isfinite(value)
    }
    threshold = usual_threshold(within)
    if threshold is None:
        return None
    return Objective(UNPROMISED_LATENCY, Bad.SLOW, floor(criteria.unpromised_latency, criteria), threshold)


def usual_threshold(within: Mapping[float, float]) -> float | None:
    """Return the longest good duration in seconds, given how many requests were *within* each bucket's bound.

    None where too few requests are known, or where no bound is long enough.

    >>> usual_threshold({0.01: 10, 0.1: 960, 0.25: 999, 0.5: 1000, math.inf: 1000})
    0.25
    >>> usual_threshold({0.01: 10, 0.1: 96, 0.25: 100, math.inf: 100}) is None
    True
    """
    total = within.get(math.inf, 0.0)
    usual = [bound for bound, requests in within.items() if requests >= _NEARLY_ALL * total]
    if total < _LEAST_REQUESTS or not usual:
        return None
    return min((bound for bound in within if _SLOWER * min(usual) <= bound < math.inf), default=None)
