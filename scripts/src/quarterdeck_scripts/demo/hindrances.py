"""What keeps the environment's pods from being Ready: the reason behind whatever is waited for in vain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.pods import problems_of
from quarterdeck_scripts.local.logs import container_log, pod_folders, previous_log
from quarterdeck_scripts.local.state import tail
from quarterdeck_scripts.rollout.acting.sightings import Patience, Sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.kube.pods import PodProblem


class PodHindrances:
    """The problems of all pods of some namespaces, with the end of the log of what ends again and again."""

    def __init__(
        self, cluster: Cluster, namespaces: Iterable[str], pods: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*pods* is the pod runner's folder, where the logs are; *clock* gives seconds."""
        self._cluster = cluster
        self._namespaces = sorted(set(namespaces))
        self._pods = pods
        self._clock = clock
        self._patience = Patience()
        self._sightings = Sightings(self._patience)
        self._next_look = 0.0

    def present(self) -> str:
        """Return every problem there is now, a line each; empty when there is none, or nobody can be asked."""
        return "\n".join(map(self._told, self._problems()))

    def believed(self) -> str:
        """Return a failure that waiting does not mend, seen for long enough; empty when there is none."""
        now = self._clock()
        if now < self._next_look:
            return ""
        self._next_look = now + self._patience.poll
        problems = self._problems()
        failure = self._sightings.see(problems, now)
        return next((self._told(problem) for problem in problems if str(problem) == failure), "")

    def _problems(self) -> list[PodProblem]:
        try:
            answers = [self._cluster.request("GET", path("Pod", namespace)) for namespace in self._namespaces]
        except QuarterdeckError:
            return []
        return [problem for answer in answers for pod in answer["items"] for problem in problems_of(pod)]

    def _told(self, problem: PodProblem) -> str:
        for folder in pod_folders(self._pods, "*", problem.pod)[:1]:
            log = container_log(folder, problem.container)
            if lines := tail(log) or tail(previous_log(log)):
                return f"{problem}; the end of its log:\n{lines}"
        return str(problem)
