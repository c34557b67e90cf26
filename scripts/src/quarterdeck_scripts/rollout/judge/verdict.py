"""PASS, FAIL or INCONCLUSIVE: a canary's counts beside the stable version's, judged at every scrape.

FAIL when the evidence shows the canary above the margin: its error ratio above `ratio` times the stable one
*and* above the floor, on the whole or on one route. PASS when it shows the canary below either on the whole, and
no route is under suspicion. Each is a time-uniform bound (`sequential`), so looking at every scrape costs nothing.
Anything else, and any doubt about the data, is INCONCLUSIVE.

On the whole, the two sides are compared route by route, and the ratio is one for all of them: a canary that is
asked more for a route which fails more is not worse.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.counts import Batch, Counts, RouteCounts
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.explain import before_peak, explain
from quarterdeck_scripts.rollout.judge.guards import SILENT, Word
from quarterdeck_scripts.rollout.judge.routes import RouteJudgement, RouteTrial, scrapes_to_fail
from quarterdeck_scripts.rollout.judge.sequential import (
    Curve,
    RatioLikelihood,
    proportion_above,
    proportion_below,
    proportion_curve,
    proportion_growth,
    ratio_growth,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Verdict(enum.StrEnum):
    """What the evidence says of a canary."""

    PASS = "PASS"  # noqa: S105 -- a verdict, no password
    """Shown to be no worse than the margin."""
    FAIL = "FAIL"
    """Shown to be worse than the margin."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Neither is shown, or the data cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and the bounds it is within at all times with the criteria's error chances."""

    value: float | None
    """None when it cannot be computed: no requests, or a ratio to zero."""
    low: float
    high: float | None
    """None when nothing bounds it yet."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known about one objective, and why."""

    objective: Objective
    verdict: Verdict
    canary: Counts
    stable: Counts
    allowed: float
    """Share of bad requests that the canary is held against: the larger of ratio x stable and the floor."""
    effect: Estimate
    """How many times the canary's share is the stable one's."""
    canary_share: Estimate
    """The canary's share of bad requests, 0 to 1."""
    needed_requests: int | None
    """Canary requests still needed for a decision if things stay as they look; None when none would do."""
    needed_seconds: float | None
    """The same as time, at this traffic."""
    explanation: str
    """One sentence in plain words."""
    routes: tuple[RouteJudgement, ...] = ()
    """Each route by itself; empty where there is but one."""
    route: RouteJudgement | None = None
    """The one that decides: it failed, or a PASS waits for it. None when the whole does."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One objective's evidence so far. Immutable: `add` returns the next one."""

    objective: Objective
    criteria: Criteria
    sharers: int = 1
    """How many objectives share the criteria's `false_fail`: each gets an equal part, so their union holds."""
    ratio: RatioLikelihood = field(default=RatioLikelihood(threshold=1.5))
    """Of the ratio that is the same on every route."""
    canary: Counts = field(default=Counts())
    stable: Counts = field(default=Counts())
    seconds: float = 0.0
    canary_scrapes: int = 0
    bad_scrapes: int = 0
    routes: Mapping[str, RouteTrial] = field(default_factory=dict)
    """Never changed in place."""

    @classmethod
    def of(cls, objective: Objective, criteria: Criteria, sharers: int = 1) -> Trial:
        """Begin a trial."""
        return cls(objective, criteria, sharers, RatioLikelihood(threshold=criteria.ratio))

    @property
    def alpha_fail(self) -> float:
        """Chance that this objective ever fails, on the whole, a canary within the margin."""
        return self.criteria.false_fail * (1 - self.criteria.route_share) / self.sharers

    @property
    def alpha_route(self) -> float:
        """Chance that any one route ever fails a canary that is within the margin on it."""
        return self.criteria.false_fail * self.criteria.route_share / self.sharers / (self.criteria.most_routes + 1)

    @property
    def alpha_pass(self) -> float:
        """Chance that either of the two ways to pass ever passes a canary at the margin."""
        return self.criteria.false_pass / 2

    @property
    def rate(self) -> float:
        """Requests a second, of both sides."""
        return (self.canary.requests + self.stable.requests) / self.seconds if self.seconds else 0.0

    @property
    def allowed(self) -> float:
        """Share of bad requests that the canary is held against: the larger of ratio x stable and the floor."""
        return max(self.criteria.ratio * self.stable.share, self.objective.floor)

    def add(self, batch: Batch) -> Trial:
        """Return the trial with one more batch."""
        canary, stable = batch.canary, batch.stable
        ratio, routes = self.ratio, dict(self.routes)
        for part in batch.routes or (RouteCounts("", canary, stable),):
            ratio = ratio.add(part.canary.requests, part.canary.bad, part.stable.requests, part.stable.bad)
            if part.route:
                known = routes.get(part.route) or RouteTrial(part.route, RatioLikelihood(self.criteria.ratio))
                routes[part.route] = known.add(part)
        return replace(
            self,
            ratio=ratio,
            canary=self.canary + canary,
            stable=self.stable + stable,
            seconds=self.seconds + batch.seconds,
            canary_scrapes=self.canary_scrapes + (canary.requests > 0),
            bad_scrapes=self.bad_scrapes + (canary.bad > 0),
            routes=routes,
        )

    def verdict(self) -> Verdict:
        """Return what the evidence shows, without the bounds: cheap enough to ask at every scrape."""
        return self._decide()[0]

    def share(self) -> Estimate:
        """Return the canary's share of bad requests, with the bounds it is within at all times."""
        curve = self._share_curve()
        high = curve.upper_bound(self.alpha_pass)
        return Estimate(
            value=self.canary.share if self.canary.requests else None,
            low=curve.lower_bound(self.alpha_fail),
            high=1.0 if math.isinf(high) else high,
        )

    def judge(self) -> Judgement:
        """Return what the evidence shows, with its bounds and its explanation."""
        verdict, deciding = self._decide()
        ratio = self.ratio.curve()
        high = ratio.upper_bound(self.alpha_pass)
        needed = None if verdict is not Verdict.INCONCLUSIVE or deciding else self._needed(ratio)
        rate = self.canary.requests / self.seconds if self.seconds else 0.0
        routes = {route.route: self._judged(route) for route in self.routes.values()} if len(self.routes) > 1 else {}
        judgement = Judgement(
            objective=self.objective,
            verdict=verdict,
            canary=self.canary,
            stable=self.stable,
            allowed=self.allowed,
            effect=Estimate(
                value=self.canary.share / self.stable.share if self.canary.requests and self.stable.bad else None,
                low=ratio.lower_bound(self.alpha_fail),
                high=None if math.isinf(high) else high,
            ),
            canary_share=self.share(),
            needed_requests=needed,
            needed_seconds=needed / rate if needed is not None and rate else None,
            explanation="",
            routes=tuple(routes.values()),
            route=routes[deciding.route] if deciding else None,
        )
        return replace(judgement, explanation=explain(judgement, self.criteria))

    def _judged(self, route: RouteTrial) -> RouteJudgement:
        return route.judge(self.objective, self.criteria, self.alpha_route, self.alpha_pass)

    def _counted(self) -> tuple[int, int, float]:
        return self.canary.requests, self.canary.bad, self.objective.floor

    def _share_curve(self) -> Curve:
        return proportion_curve(*self._counted())

    def _decide(self) -> tuple[Verdict, RouteTrial | None]:
        """Return the verdict, and the route that it hangs on, if it is one."""
        if self._fails():
            return Verdict.FAIL, None
        routes = self.routes.values() if len(self.routes) > 1 else ()
        for route in routes:
            if route.fails(self.objective, self.criteria, self.alpha_route):
                return Verdict.FAIL, route
        if not self._passes():
            return Verdict.INCONCLUSIVE, None
        suspect = next((route for route in routes if route.is_suspect(self.objective, self.criteria)), None)
        return (Verdict.INCONCLUSIVE, suspect) if suspect else (Verdict.PASS, None)

    def _fails(self) -> bool:
        # A likelihood has one peak: what seems to be within the margin is no evidence against it.
        if self.canary.share <= self.objective.floor or not self.ratio.seems_above:
            return False
        need = -math.log(self.alpha_fail)
        enough = self.bad_scrapes >= scrapes_to_fail(self.objective, self.criteria)
        return enough and self.ratio.above() >= need and proportion_above(*self._counted()) >= need

    def _passes(self) -> bool:
        need = -math.log(self.alpha_pass)
        if self.canary_scrapes < self.criteria.pass_scrapes:
            return False
        by_share = self.canary.share <= self.objective.floor and proportion_below(*self._counted()) >= need
        return by_share or (not self.ratio.seems_above and self.ratio.below() >= need)

    def _needed(self, ratio: Curve) -> int | None:
        """Extrapolate the evidence at its expected growth, if both sides go on as they are."""
        if not (self.canary.requests and self.stable.requests):
            return None
        share = self._share_curve()
        canary, stable = self.canary.share, self.stable.share
        split = self.canary.requests / self.stable.requests
        by_ratio = ratio_growth(canary, stable, split, self.criteria.ratio)
        by_share = proportion_growth(canary, self.objective.floor)
        if canary > self.criteria.ratio * stable and canary > self.objective.floor:
            need = -math.log(self.alpha_fail)
            return _most([_until(ratio.above(), need, by_ratio), _until(share.above(), need, by_share)])
        need = -math.log(self.alpha_pass)
        ways = []
        if canary < self.criteria.ratio * stable:
            ways.append(_until(ratio.below(), need, by_ratio))
        if canary < self.objective.floor:
            ways.append(_until(share.below(), need, by_share))
        return min((way for way in ways if way is not None), default=None)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The verdict on a canary: all objectives together, and every cause to doubt the data."""

    verdict: Verdict
    judgements: tuple[Judgement, ...]
    causes: tuple[str, ...]
    """Why the data cannot be trusted; any cause makes the verdict INCONCLUSIVE, never a PASS."""
    explanation: str
    """One sentence in plain words."""
    alarm: str = ""
    """What a guard has against the canary: that fails it, whatever its requests say."""
    unseen: str = ""
    """What a PASS does not show, in one sentence; empty where nothing is known of that kind."""


def assess(trials: Sequence[Trial], causes: Sequence[str], guarded: Word = SILENT, peak: float = 0.0) -> Assessment:
    """Bring everything together: an alarm or one FAIL fails, all must PASS, doubt about the data decides neither.

    Args:
        trials: one per objective.
        causes: why the data cannot be trusted.
        guarded: what the guards say.
        peak: requests a second that both sides would have had at the last week's peak; 0 when nobody knows.
    """
    judgements = tuple(trial.judge() for trial in trials)
    if guarded.alarm:
        return Assessment(Verdict.FAIL, judgements, tuple(causes), guarded.alarm, guarded.alarm)
    if causes:
        return Assessment(Verdict.INCONCLUSIVE, judgements, tuple(causes), f"No verdict: {causes[0]}.")
    failed = [judgement for judgement in judgements if judgement.verdict is Verdict.FAIL]
    if failed:
        return Assessment(Verdict.FAIL, judgements, (), failed[0].explanation)
    if judgements and all(judgement.verdict is Verdict.PASS for judgement in judgements):
        if guarded.wait:
            return Assessment(Verdict.INCONCLUSIVE, judgements, (), guarded.wait)
        unseen = before_peak(max(trial.rate for trial in trials), peak)
        told = [*(judgement.explanation for judgement in judgements), unseen]
        return Assessment(Verdict.PASS, judgements, (), " ".join(filter(None, told)), unseen=unseen)
    slowest = next((j for j in judgements if j.verdict is Verdict.INCONCLUSIVE), None)
    explanation = slowest.explanation if slowest else "No verdict: nothing is judged."
    return Assessment(Verdict.INCONCLUSIVE, judgements, (), explanation)


_MOST_REQUESTS = 10**9
"""More canary requests than this is called never."""


def _until(evidence: float, need: float, growth: float) -> int | None:
    if evidence >= need:
        return 0
    if growth <= 0 or (need - evidence) / growth > _MOST_REQUESTS:
        return None
    return math.ceil((need - evidence) / growth)


def _most(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


__all__ = ["Assessment", "Bad", "Batch", "Counts", "Estimate", "Judgement", "Trial", "Verdict", "assess"]
