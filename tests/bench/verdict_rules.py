"""Our verdict and its peers' rules, each looking at the same counts, scrape by scrape.

The peers' rules are written from their public descriptions: a threshold with a number of failed checks, as Flagger's
`threshold` and Argo Rollouts' `failureLimit` have it, and the Mann-Whitney test of Kayenta's default judge. Both look
once a minute, which is their usual interval.
"""

from __future__ import annotations

import math
from bisect import insort
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.verdict import Counts, Trial, Verdict

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.judge.verdict import Batch

OBJECTIVE = Objective("availability", Bad.FAILED, floor=0.0025)
"""An SLO of 99.5 %: what a service with an error ratio of 0.2 % can promise."""

OBJECTIVES = 2
"""Objectives that share the chance of a false alarm: a service's latency is judged beside its errors."""

MINUTE = 60.0


class Rule(Protocol):
    """Something that looks at a canary again and again."""

    def look(self, batch: Batch) -> Verdict:
        """Take in what was counted since the last look, and say what is known."""
        ...


class Ours:
    """The verdict of a rollout, with its one committed configuration."""

    def __init__(self, objectives: int = OBJECTIVES, objective: Objective = OBJECTIVE) -> None:
        self._trial = Trial.of(objective, Criteria(), objectives)

    def look(self, batch: Batch) -> Verdict:
        """See `Rule`."""
        self._trial = self._trial.add(batch)
        return self._trial.verdict()


class _EachMinute:
    """Adds up what was counted, and checks it once a minute."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._canary = self._stable = Counts()
        self._failed = False

    def look(self, batch: Batch) -> Verdict:
        """See `Rule`."""
        self._seconds += batch.seconds
        self._canary, self._stable = self._canary + batch.canary, self._stable + batch.stable
        if self._seconds >= MINUTE:
            self._failed = self._failed or self._fails(self._canary.share, self._stable.share)
            self._seconds, self._canary, self._stable = 0.0, Counts(), Counts()
        return Verdict.FAIL if self._failed else Verdict.INCONCLUSIVE

    def _fails(self, canary: float, stable: float) -> bool:
        raise NotImplementedError


class ThresholdCounting(_EachMinute):
    """Each minute's error ratio is held against 1 %; the fourth that is above aborts.

    Argo Rollouts' `failureLimit: 3` (https://argo-rollouts.readthedocs.io/en/stable/features/analysis/) and Flagger's
    `threshold`, with the 99 % that its examples ask for (https://docs.flagger.app/usage/metrics).
    """

    _LIMIT = 0.01
    _FAILURES = 4

    def __init__(self) -> None:
        super().__init__()
        self._failures = 0

    def _fails(self, canary: float, stable: float) -> bool:
        del stable
        self._failures += canary > self._LIMIT
        return self._failures >= self._FAILURES


class MannWhitney(_EachMinute):
    """The error ratios of all minutes so far, ranked against the stable version's; looked at from minute 10 on.

    As Kayenta's judge does (https://github.com/spinnaker/kayenta, `MannWhitneyClassifier`): the metric is High when the
    confidence interval of the shift lies above a quarter of its Hodges-Lehmann estimate. The interval's ends are order
    statistics of all differences (Hollander and Wolfe, Nonparametric Statistical Methods, section 4.3), by the normal
    approximation.
    """

    _CONFIDENCE = 0.98
    _FRACTION = 0.25
    _LEAST_MINUTES = 10

    def __init__(self) -> None:
        super().__init__()
        self._canaries: list[float] = []
        self._stables: list[float] = []
        self._differences: list[float] = []

    def _fails(self, canary: float, stable: float) -> bool:
        self._canaries.append(canary)
        self._stables.append(stable)
        for other in self._stables:
            insort(self._differences, canary - other)
        for other in self._canaries[:-1]:
            insort(self._differences, other - stable)
        minutes = len(self._canaries)
        if minutes < self._LEAST_MINUTES:
            return False
        pairs = len(self._differences)
        spread = NormalDist().inv_cdf((1 + self._CONFIDENCE) / 2) * math.sqrt(pairs * (2 * minutes + 1) / 12)
        lower = self._differences[max(0, int(pairs / 2 - spread))]
        estimate = (self._differences[(pairs - 1) // 2] + self._differences[pairs // 2]) / 2
        return lower > self._FRACTION * abs(estimate)


RULES: dict[str, type[Ours | ThresholdCounting | MannWhitney]] = {
    "ours": Ours,
    "threshold": ThresholdCounting,
    "mann-whitney": MannWhitney,
}
