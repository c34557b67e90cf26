"""Whether a pod's failure is to be believed: seen for long enough, not by one glance. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.pods import PodProblem


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what. Seconds."""

    poll: float = 1.0
    """Between two looks at a Deployment that is not done."""
    believe: float = 5.0
    """A failure seen for this long is one: a registry that answers on the second try is not."""
    forget: float = 10.0
    """A failure not seen for this long is over: between two crashes a process looks well for a moment."""
    unanswered: float = 30.0
    """How long an API server that does not answer, or is too busy, is asked again."""


class Sightings:
    """Remembers since when each pod has been failing."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def see(self, problems: Iterable[PodProblem], now: float) -> str:
        """Note what is seen at *now* (monotonic seconds); return the failure to be believed, or nothing."""
        for pod, last in list(self._last.items()):
            if now - last > self._patience.forget:
                del self._first[pod], self._last[pod]
        believed = ""
        for problem in problems:
            if problem.failure:
                first = self._first.setdefault(problem.pod, now)
                self._last[problem.pod] = now
                if now - first >= self._patience.believe and not believed:
                    believed = str(problem)
        return believed
