"""Guards: what can fail a canary that still answers its requests well: restarts, what is full or will be, what it logs.

A guard never makes a canary pass, and needs no statistics: it speaks of a few pods, so it asks for something that is
plain, lasts, and is not so with the stable version too. A pod's start is no event: restarts count from its first
Ready on, what is full from the end of its warm-up.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels
from quarterdeck_contract.metrics import (
    LISTEN_QUEUE_LENGTH,
    LISTEN_QUEUE_LIMIT,
    LOG_RECORDS,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES_UTILIZATION,
    WORKER_BUSY,
    WORKER_CAPACITY,
)
from quarterdeck_scripts.rollout.judge.logged import LogCount, Logged, LogRules, finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_scripts.ports import Series
    from quarterdeck_scripts.rollout.judge.evidence import PodFact

MEMORY = "memory limit"

_USED: dict[str, tuple[Metric, Metric | None]] = {
    MEMORY: (PROCESS_MEMORY_USAGE, None),
    "worker slots": (WORKER_BUSY, WORKER_CAPACITY),
    "open files": (PROCESS_OPEN_FILES_UTILIZATION, None),
    "listen queue": (LISTEN_QUEUE_LENGTH, LISTEN_QUEUE_LIMIT),
}
"""What may be full: how much is used, and how much there is; without the latter a share already, or by the pod."""

METRICS = tuple(metric for pair in _USED.values() for metric in pair if metric is not None)
"""What has to be asked for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a guard speaks."""

    restarts: int = 2
    """Restarts of canary pods after they had been Ready. One may be the node's fault."""
    full: float = 0.95
    """Share in use that is called full."""
    full_for: float = 60.0
    """Seconds in which every look has to show it: a burst is over sooner."""
    leak_for: float = 300.0
    """Seconds of growth that may be a leak."""
    leak_over: float = 1.2
    """Times the stable pods' memory below which growth is none: those have filled their caches long ago."""
    leak_within: float = 3600.0
    """Seconds within which it would be full, growing on like that: sooner than anybody looks at it again."""
    looks: int = 4
    """Looks that what is full needs at least; a leak three times as many, a suspicion of one half of that."""
    logs: LogRules | None = field(default=LogRules())
    """The same of what is logged; None: nobody asks for it, as before there was such a guard."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full one resource was at one look."""

    resource: str
    pod: str
    """The canary's fullest."""
    canary: float
    """Its share in use; above 1 where a limit may be passed for a while."""
    stable: float
    """The median over the stable pods; 0 without any."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look showed beside requests."""

    at: float
    """Unix seconds by Prometheus' clock."""
    restarts: tuple[int, int] = (0, 0)
    """Of all pods after each had been Ready, canary and stable."""
    pods: tuple[int, int] = (0, 0)
    """Pods there ever were, canary and stable."""
    full: tuple[Fullness, ...] = ()
    logged: Logged | None = None
    """None where nobody says."""


class Watch:
    """Keeps what has to be known from one look to the next."""

    def __init__(self, warm_up: float) -> None:
        """*warm_up*: seconds after a new pod is first seen in which it may be full."""
        self._warm_up = warm_up
        self._first: dict[str, float] = {}
        self._ready: dict[str, int] = {}
        self._restarts: dict[str, tuple[str, int]] = {}
        self._logged = LogCount(warm_up)

    def take(
        self,
        pods: Sequence[PodFact],
        answers: Mapping[str, Iterable[Series]],
        now: float,
        requests: tuple[int, int] = (0, 0),
    ) -> Sight:
        """Return what is seen at one look.

        Args:
            pods: those that the cluster knows.
            answers: by the names of `METRICS`, and of the counter of what is logged.
            now: Unix seconds by Prometheus' clock.
            requests: served since the rollout began, canary and stable.
        """
        for pod in pods:
            self._first.setdefault(pod.name, now if pod.born_during else now - self._warm_up)
            if pod.ready:
                self._ready.setdefault(pod.name, pod.restarts)
            since = pod.restarts - self._ready.get(pod.name, pod.restarts)
            self._restarts[pod.name] = pod.track, max(since, self._restarts.get(pod.name, ("", 0))[1])
        tracks = (kubernetes.TRACK_CANARY, kubernetes.TRACK_STABLE)
        canary, stable = ([n for track, n in self._restarts.values() if track == each] for each in tracks)
        warm = [pod for pod in pods if now - self._first[pod.name] >= self._warm_up]
        found = (_fullness(resource, warm, answers) for resource in _USED)
        logged = self._logged.take(pods, answers.get(LOG_RECORDS.name, ()), requests, now)
        return Sight(now, (sum(canary), sum(stable)), (len(canary), len(stable)), tuple(filter(None, found)), logged)


@dataclass(frozen=True, slots=True)
class Word:
    """What the guards say, in one sentence each; empty where they say nothing."""

    alarm: str = ""
    """What fails the canary."""
    wait: str = ""
    """What a PASS has to wait for."""


SILENT = Word()
"""Of guards that say nothing."""


def word(sights: Sequence[Sight], ratio: float, rules: Rules = Rules(), floor: float = 0.0) -> Word:
    """Return what speaks against the canary after *sights*.

    Args:
        sights: of all looks, in order.
        ratio: how many times as often as the stable pods is still not worse.
        rules: when which guard speaks.
        floor: share of requests that may always fail.
    """
    if not sights:
        return SILENT
    last = sights[-1]
    (canary, stable), (pods, others) = last.restarts, last.pods
    if canary >= rules.restarts and canary * others > ratio * stable * pods:
        return Word(
            f"Restarts: the canary's pods were restarted {canary} times after they had been Ready, "
            f"the stable ones {stable} times."
        )
    words = [*(_filled(sights, each, rules) for each in last.full), _logged(sights, rules, floor)]
    return next((each for each in words if each.alarm), next((each for each in words if each.wait), SILENT))


def _filled(sights: Sequence[Sight], last: Fullness, rules: Rules) -> Word:
    now = sights[-1].at
    history = [(sight.at, each) for sight in sights for each in sight.full if each.resource == last.resource]
    recent = [each for at, each in history if now - at <= rules.full_for]
    enough = len(recent) >= rules.looks and now - history[0][0] >= rules.full_for
    if enough and all(each.canary >= rules.full > each.stable for each in recent):
        return Word(
            f"Saturation: {last.canary:.0%} of the {last.resource} of the canary's pod {last.pod} are in use and have "
            f"been for {rules.full_for:.0f} s, of the stable pods' {last.stable:.0%}."
        )
    if last.resource != MEMORY or last.canary <= rules.leak_over * last.stable:
        return SILENT
    if 2 * len(history) < 3 * rules.looks:
        return Word(
            wait=f"Saturation: {last.canary:.0%} of the memory limit of the canary's pod {last.pod} are in use, of the "
            f"stable pods' {last.stable:.0%}: the rest passes, and waits for as many looks as show whether it grows."
        )
    left = _leaks(history, rules)
    if left is None:
        return SILENT
    found = (
        f"Saturation: the memory of the canary's pod {last.pod} has grown without a rest to {last.canary:.0%} of "
        f"its limit, which it would reach in {left / 60:.0f} min; the stable pods' is at {last.stable:.0%}"
    )
    if history[-1][0] - history[0][0] >= rules.leak_for and len(history) >= 3 * rules.looks:
        return Word(f"{found}.")
    return Word(wait=f"{found}: the rest passes, and waits to see whether it goes on.")


def _logged(sights: Sequence[Sight], rules: Rules, floor: float) -> Word:
    history = [(sight.at, sight.logged) for sight in sights]
    found = None if rules.logs is None else finding(history, floor, rules.logs)
    if found is None:
        return SILENT
    if found.lasts:
        return Word(f"{found.text}.")
    return Word(wait=f"{found.text}: the rest passes, and waits to see whether it goes on.")


def _leaks(history: Sequence[tuple[float, Fullness]], rules: Rules) -> float | None:
    """Return the seconds until the canary's memory is full, if it seems to leak; None if it does not."""
    left = _until_full([(at, each.canary) for at, each in history], rules)
    stable = _until_full([(at, each.stable) for at, each in history], rules)
    return None if left is None or stable is not None else left


def _until_full(points: Sequence[tuple[float, float]], rules: Rules) -> float | None:
    """Return the seconds until full, soon enough to matter, of what is greater in each third than in the one before."""
    third = len(points) // 3
    parts = points[:third], points[third:-third], points[-third:]
    first, second, last = ([share for _, share in part] for part in parts)
    if not (max(first) < min(second) and max(second) < min(last)):
        return None
    seconds = statistics.mean(at for at, _ in parts[2]) - statistics.mean(at for at, _ in parts[0])
    growth = (statistics.mean(last) - statistics.mean(first)) / seconds
    left = max(0.0, (rules.full - points[-1][1]) / growth)
    return left if left <= rules.leak_within else None


def _fullness(resource: str, pods: Sequence[PodFact], gauges: Mapping[str, Iterable[Series]]) -> Fullness | None:
    used, there_is = _USED[resource]
    limits = {pod.name: pod.memory for pod in pods} if resource == MEMORY else None
    shares = _shares(gauges.get(used.name, ()), None if there_is is None else gauges.get(there_is.name, ()), limits)
    tracks = {pod.name: pod.track for pod in pods}
    canary = [(share, pod) for pod, share in shares.items() if tracks.get(pod) == kubernetes.TRACK_CANARY]
    stable = [share for pod, share in shares.items() if tracks.get(pod) == kubernetes.TRACK_STABLE]
    if not canary:
        return None
    share, pod = max(canary)
    return Fullness(resource, pod, share, statistics.median(stable) if stable else 0.0)


def _shares(
    used: Iterable[Series], there_is: Iterable[Series] | None, limits: Mapping[str, float] | None
) -> dict[str, float]:
    """Return each pod's greatest share, of its newest samples."""
    whole = {_key(series): _newest(series) for series in there_is} if there_is is not None else {}
    shares: dict[str, float] = {}
    for series in used:
        pod = series.labels.get(labels.POD.prometheus, "")
        limit = (
            limits.get(pod, 0.0) if limits is not None else whole.get(_key(series), 1.0 if there_is is None else 0.0)
        )
        value = _newest(series)
        if limit > 0 and 0 <= value < float("inf"):
            shares[pod] = max(value / limit, shares.get(pod, 0.0))
    return shares


def _key(series: Series) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in series.labels.items() if name != "__name__"))


def _newest(series: Series) -> float:
    return series.samples[-1][1] if series.samples else 0.0
