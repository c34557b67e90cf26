"""Whether a pod's failure is to be believed: seen for long enough, not by one glance. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.pods import RETRIED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.pods import PodProblem


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what. Seconds."""

    poll: float = 1.0
    """Between two looks at a Deployment that is not done."""
    believe: float = 5.0
    """A failure seen for this long is one, where every new pod has it."""
    retried: float = 15.0
    """One that the cluster tries again by itself: ten seconds later, a registry may answer."""
    alone: float = 20.0
    """One that other new pods have not: a node may be at fault. Named within 30 s all the same."""
    forget: float = 10.0
    """A failure not seen for this long, and by two looks, is over: between two crashes a process looks well for a
    moment, and where there are many pods a look comes once in longer than this."""
    unanswered: float = 30.0
    """How long an API server that does not answer, or is too busy, is asked again."""


class Sightings:
    """Remembers since when each pod has been failing."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._looks = (-math.inf, -math.inf)
        """When the last two looks were, monotonic seconds."""

    def see(self, problems: Iterable[PodProblem], now: float, of: int = 0) -> str:
        """Note what is seen at *now* (monotonic seconds); return the failure to be believed, or nothing.

        Args:
            problems: of every new pod.
            now: monotonic seconds.
            of: how many new pods there are; 0: those with problems are all that matter.
        """
        if now > self._looks[1]:
            self._looks = self._looks[1], now
        failing = [problem for problem in problems if problem.failure]
        for problem in failing:
            self._first.setdefault(problem.pod, now)
            self._last[problem.pod] = now
        for pod, last in list(self._last.items()):
            if last < self._looks[0] and now - last > self._patience.forget:
                self.forget(pod)
        pods = {problem.pod for problem in failing if problem.pod}
        alone = len(pods) < of
        for problem in failing:
            if now - self._first[problem.pod] >= self._needed(problem, alone=alone and bool(problem.pod)):
                others = len(pods - {problem.pod}) if of else 0
                return f"{problem}" + (f"; likewise {others} of the other {of - 1} new pods" if others else "")
        return ""

    def forget(self, pod: str) -> None:
        """Begin anew with *pod*: what ailed it turned out to be no failure."""
        self._first.pop(pod, None)
        self._last.pop(pod, None)

    def _needed(self, problem: PodProblem, *, alone: bool) -> float:
        """Return how many seconds *problem* has to last."""
        patience = self._patience
        retried = patience.retried if problem.reason in RETRIED else 0.0
        return max(patience.believe, retried, patience.alone if alone else 0.0)
