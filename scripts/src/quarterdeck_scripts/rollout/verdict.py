"""PASS, FAIL or INCONCLUSIVE: a canary's counts beside the stable version's, judged at every scrape.

FAIL when the evidence shows the canary above the margin: its error ratio above `ratio` times the stable one
*and* above the floor. PASS when it shows the canary below either. Each is a time-uniform bound
(`sequential`), so looking at every scrape costs nothing. Anything else, and any doubt about the data, is
INCONCLUSIVE.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.explain import explain
from quarterdeck_scripts.rollout.sequential import (
    Curve,
    RatioLikelihood,
    proportion_curve,
    proportion_growth,
    ratio_growth,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(enum.StrEnum):
    """What the evidence says of a canary."""

    PASS = "PASS"  # noqa: S105 -- a verdict, no password
    """Shown to be no worse than the margin."""
    FAIL = "FAIL"
    """Shown to be worse than the margin."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Neither is shown, or the data cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests, and how many of them were bad."""

    requests: int = 0
    bad: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.bad + other.bad)

    @property
    def share(self) -> float:
        """Share of bad requests, 0 to 1; 0 without requests."""
        return self.bad / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What both sides counted between two looks."""

    canary: Counts
    stable: Counts
    seconds: float
    """Time between the looks."""


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


@dataclass(frozen=True, slots=True)
class Trial:
    """One objective's evidence so far. Immutable: `add` returns the next one."""

    objective: Objective
    criteria: Criteria
    sharers: int = 1
    """How many objectives share the criteria's `false_fail`: each gets an equal part, so their union holds."""
    ratio: RatioLikelihood = field(default=RatioLikelihood(threshold=1.5))
    canary: Counts = Counts()
    stable: Counts = Counts()
    seconds: float = 0.0
    canary_scrapes: int = 0
    bad_scrapes: int = 0

    @classmethod
    def of(cls, objective: Objective, criteria: Criteria, sharers: int = 1) -> Trial:
        """Begin a trial."""
        return cls(objective, criteria, sharers, RatioLikelihood(threshold=criteria.ratio))

    @property
    def alpha_fail(self) -> float:
        """Chance that this objective ever fails a canary within the margin."""
        return self.criteria.false_fail / self.sharers

    @property
    def alpha_pass(self) -> float:
        """Chance that either of the two ways to pass ever passes a canary at the margin."""
        return self.criteria.false_pass / 2

    def add(self, batch: Batch) -> Trial:
        """Return the trial with one more batch."""
        canary, stable = batch.canary, batch.stable
        return replace(
            self,
            ratio=self.ratio.add(canary.requests, canary.bad, stable.requests, stable.bad),
            canary=self.canary + canary,
            stable=self.stable + stable,
            seconds=self.seconds + batch.seconds,
            canary_scrapes=self.canary_scrapes + (canary.requests > 0),
            bad_scrapes=self.bad_scrapes + (canary.bad > 0),
        )

    def verdict(self) -> Verdict:
        """Return what the evidence shows, without the bounds: cheap enough to ask at every scrape."""
        return self._verdict(self.ratio.curve(), self._share_curve())

    def judge(self) -> Judgement:
        """Return what the evidence shows, with its bounds and its explanation."""
        ratio, share = self.ratio.curve(), self._share_curve()
        verdict = self._verdict(ratio, share)
        high_ratio, high_share = ratio.upper_bound(self.alpha_pass), share.upper_bound(self.alpha_pass)
        effect = Estimate(
            value=self.canary.share / self.stable.share if self.canary.requests and self.stable.bad else None,
            low=ratio.lower_bound(self.alpha_fail),
            high=None if math.isinf(high_ratio) else high_ratio,
        )
        canary_share = Estimate(
            value=self.canary.share if self.canary.requests else None,
            low=share.lower_bound(self.alpha_fail),
            high=1.0 if math.isinf(high_share) else high_share,
        )
        needed = None if verdict is not Verdict.INCONCLUSIVE else self._needed(ratio, share)
        rate = self.canary.requests / self.seconds if self.seconds else 0.0
        judgement = Judgement(
            objective=self.objective,
            verdict=verdict,
            canary=self.canary,
            stable=self.stable,
            allowed=max(self.criteria.ratio * self.stable.share, self.objective.floor),
            effect=effect,
            canary_share=canary_share,
            needed_requests=needed,
            needed_seconds=needed / rate if needed is not None and rate else None,
            explanation="",
        )
        return replace(judgement, explanation=explain(judgement, self.criteria))

    def _share_curve(self) -> Curve:
        return proportion_curve(self.canary.requests, self.canary.bad, self.objective.floor)

    def _verdict(self, ratio: Curve, share: Curve) -> Verdict:
        need_fail, need_pass = -math.log(self.alpha_fail), -math.log(self.alpha_pass)
        if self.bad_scrapes >= self.criteria.fail_scrapes and min(ratio.above(), share.above()) >= need_fail:
            return Verdict.FAIL
        if self.canary_scrapes >= self.criteria.pass_scrapes and max(ratio.below(), share.below()) >= need_pass:
            return Verdict.PASS
        return Verdict.INCONCLUSIVE

    def _needed(self, ratio: Curve, share: Curve) -> int | None:
        """Extrapolate the evidence at its expected growth, if both sides go on as they are."""
        if not (self.canary.requests and self.stable.requests):
            return None
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


def assess(trials: Sequence[Trial], causes: Sequence[str]) -> Assessment:
    """Bring all objectives together: one FAIL fails, all must PASS, any doubt about the data decides neither."""
    judgements = tuple(trial.judge() for trial in trials)
    if causes:
        return Assessment(Verdict.INCONCLUSIVE, judgements, tuple(causes), f"No verdict: {causes[0]}.")
    failed = [judgement for judgement in judgements if judgement.verdict is Verdict.FAIL]
    if failed:
        return Assessment(Verdict.FAIL, judgements, (), failed[0].explanation)
    if judgements and all(judgement.verdict is Verdict.PASS for judgement in judgements):
        return Assessment(Verdict.PASS, judgements, (), " ".join(judgement.explanation for judgement in judgements))
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
