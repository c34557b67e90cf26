"""From raw counter samples to exact counts of requests, and every reason not to believe them.

Nothing is extrapolated. A counter's events are the sum of its increments; a drop is a restart, after which
the counter's whole value is new. A series counts from zero when its pod was born during the rollout, or when
its pod was scraped before without it: that is how a canary's first errors are not lost. Pods that vanish keep
what they counted.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_scripts.rollout.criteria import Bad
from quarterdeck_scripts.rollout.queries import BUCKET_BOUND
from quarterdeck_scripts.rollout.verdict import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quarterdeck_scripts.rollout.criteria import Objective
    from quarterdeck_scripts.rollout.ports import Series

TRACKS = (kubernetes.TRACK_CANARY, kubernetes.TRACK_STABLE)

_IDENTITY = tuple(label.prometheus for label in (*labels.TARGET_LABELS, *HTTP_SERVER_DURATION.labels))
"""What tells one counter from another, with the bucket's bound. `instance` and `job` do not."""

_MOST_RESETS = 3
"""Restarts of one counter that are believed. More, and also in more than a tenth of its samples, and several
processes are answering the same address in turn: their counters are no counter."""


@dataclass(frozen=True, slots=True)
class PodFact:
    """What the cluster says of one pod."""

    name: str
    track: str
    ready: bool
    born_during: bool
    """Created after the canary was: all its requests belong to this rollout."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of both sides for one objective, since the canary was created."""

    canary: Counts = Counts()  # noqa: RUF009 -- frozen
    stable: Counts = Counts()  # noqa: RUF009 -- frozen


@dataclass(frozen=True, slots=True)
class Reading:
    """What was known at one look."""

    at: float
    """Unix seconds by Prometheus' clock."""
    tallies: tuple[Tally, ...]
    """One per objective, in their order."""
    newest: tuple[float, float]
    """Time of the newest sample counted in, Unix seconds, canary and stable; 0 without any."""
    causes: tuple[str, ...]
    """Why these counts may not be judged; empty when they may."""


@dataclass(slots=True)
class _Counter:
    """One counter's state between two readings."""

    track: str
    bound: float
    failed: bool
    time: float = -math.inf
    value: float = 0.0
    samples: int = 0
    resets: int = 0
    events: float = 0.0
    kept: list[tuple[float, float]] = field(default_factory=list)


class Ledger:
    """Takes in raw samples, in any number of overlapping portions, and keeps the count."""

    def __init__(
        self, objectives: Sequence[Objective], *, since: float, interval: float, version: str, stale_scrapes: int
    ) -> None:
        """Begin an empty ledger.

        Args:
            objectives: what to count.
            since: Unix seconds; only events after it count for pods that were there before.
            interval: seconds between two scrapes.
            version: the canary's; leftovers of other canaries are not counted.
            stale_scrapes: intervals after which a pod's newest sample is too old.
        """
        self._objectives = tuple(objectives)
        self._since = since
        self._stale_after = stale_scrapes * interval
        self._interval = interval
        self._version = version
        self._counters: dict[tuple[str, ...], _Counter] = {}
        self._seen_first: dict[str, float] = {}
        self._seen_last: dict[str, float] = {}
        self._holes: dict[str, None] = {}
        self._tallies = tuple(Tally() for _ in self._objectives)

    def take(
        self, counters: Sequence[Series], scrapes: Sequence[Series], pods: Sequence[PodFact], now: float
    ) -> Reading:
        """Count in what is new, and return where things stand.

        Args:
            counters: answer to `queries.requests`.
            scrapes: answer to `queries.scrapes`.
            pods: all pods of both tracks that the cluster knows.
            now: Unix seconds by Prometheus' clock.
        """
        self._note_scrapes([*scrapes, *counters])
        born = {pod.name for pod in pods if pod.born_during}
        for key, group in self._grouped(counters).items():
            self._count(key, group, born)
        causes = [*self._holes, *self._missing(scrapes, pods, now)]
        tallies = tuple(self._tally(objective) for objective in self._objectives)
        if not self._plausible(tallies):
            causes.append("the counters contradict each other: bad requests that were never made, or fewer than before")
            tallies = self._tallies
        self._tallies = tallies
        canary, stable = (self._newest(track) for track in TRACKS)
        return Reading(now, tallies, (canary, stable), tuple(causes))

    def samples(self) -> list[dict[str, object]]:
        """Return the raw samples counted in so far, without repetitions of an unchanged value, for the record."""
        names = (*_IDENTITY, BUCKET_BOUND)
        return [
            {"labels": dict(zip(names, key, strict=True)), "samples": counter.kept}
            for key, counter in sorted(self._counters.items())
        ]

    def _note_scrapes(self, all_series: Iterable[Series]) -> None:
        for series in all_series:
            pod = series.labels.get(labels.POD.prometheus, "")
            if series.samples:
                self._seen_first[pod] = min(series.samples[0][0], self._seen_first.get(pod, math.inf))
                self._seen_last[pod] = max(series.samples[-1][0], self._seen_last.get(pod, -math.inf))

    def _grouped(self, counters: Sequence[Series]) -> dict[tuple[str, ...], list[Series]]:
        groups: dict[tuple[str, ...], list[Series]] = {}
        for series in counters:
            track = series.labels.get(labels.TRACK.prometheus, "")
            if track not in TRACKS:
                self._hole(f"a series has the track {track!r} where stable or canary is expected")
            elif track == kubernetes.TRACK_STABLE or series.labels.get(labels.VERSION.prometheus) == self._version:
                key = tuple(series.labels.get(name, "") for name in (*_IDENTITY, BUCKET_BOUND))
                groups.setdefault(key, []).append(series)
        clusters = {key[_IDENTITY.index(labels.CLUSTER.prometheus)] for key in groups}
        if len(clusters) > 1:
            self._hole(f"series of several clusters answer: {', '.join(sorted(clusters))}")
        return groups

    def _count(self, key: tuple[str, ...], group: list[Series], born: set[str]) -> None:
        said = dict(zip((*_IDENTITY, BUCKET_BOUND), key, strict=True))
        pod = said[labels.POD.prometheus]
        group = sorted((series for series in group if series.samples), key=lambda series: series.samples[0][0])
        if any(a.samples[-1][0] >= b.samples[0][0] for a, b in itertools.pairwise(group)):
            self._hole(f"one counter of pod {pod} comes as {len(group)} series at once: it is scraped twice")
            return
        bound = _number(said[BUCKET_BOUND])
        if math.isnan(bound):
            self._hole(f"a bucket of pod {pod} has the bound {said[BUCKET_BOUND]!r}")
            return
        counter = self._counters.setdefault(
            key,
            _Counter(said[labels.TRACK.prometheus], bound, _is_failure(said[labels.HTTP_STATUS_CODE.prometheus])),
        )
        for series in group:
            for moment, value in series.samples:
                if moment > counter.time:
                    self._advance(counter, pod, moment, value, born=pod in born or self._is_new_canary(counter, pod))
        if counter.resets > max(_MOST_RESETS, counter.samples // 10):
            self._hole(f"a counter of pod {pod} fell {counter.resets} times: several processes answer at its address")

    def _is_new_canary(self, counter: _Counter, pod: str) -> bool:
        """Return whether *pod* is a canary's that came and went between two looks at the cluster."""
        return counter.track == kubernetes.TRACK_CANARY and self._seen_first[pod] > self._since

    def _advance(self, counter: _Counter, pod: str, moment: float, value: float, *, born: bool) -> None:
        if not math.isfinite(value) or value < 0:
            self._hole(f"a counter of pod {pod} had the value {value}")
            return
        first = counter.samples == 0
        if first and (born or self._seen_first.get(pod, math.inf) < moment):
            events = value
        elif first:
            events = 0.0
        elif value < counter.value:
            events = value
            counter.resets += 1
        else:
            events = value - counter.value
        if moment > self._since or born:
            counter.events += events
        if len(counter.kept) > 1 and counter.kept[-1][1] == counter.kept[-2][1] == value:
            counter.kept[-1] = (moment, value)
        else:
            counter.kept.append((moment, value))
        counter.time, counter.value, counter.samples = moment, value, counter.samples + 1

    def _plausible(self, tallies: Sequence[Tally]) -> bool:
        pairs = [
            pair
            for now, then in zip(tallies, self._tallies, strict=True)
            for pair in ((now.canary, then.canary), (now.stable, then.stable))
        ]
        return all(
            then.bad <= now.bad and then.requests <= now.requests and now.bad - then.bad <= now.requests - then.requests
            for now, then in pairs
        )

    def _tally(self, objective: Objective) -> Tally:
        canary, stable = (self._counts(objective, track) for track in TRACKS)
        return Tally(canary, stable)

    def _counts(self, objective: Objective, track: str) -> Counts:
        mine = [counter for counter in self._counters.values() if counter.track == track]
        everything = [counter for counter in mine if math.isinf(counter.bound)]
        if objective.bad is Bad.FAILED:
            return Counts(_sum(everything), _sum(counter for counter in everything if counter.failed))
        fast = [counter for counter in mine if counter.bound == objective.threshold and not counter.failed]
        succeeded = _sum(counter for counter in everything if not counter.failed)
        return Counts(succeeded, succeeded - _sum(fast))

    def _missing(self, scrapes: Sequence[Series], pods: Sequence[PodFact], now: float) -> list[str]:
        causes = []
        if not scrapes:
            causes.append("Prometheus has no series of this service")
        for track in TRACKS:
            ready = [pod for pod in pods if pod.track == track and pod.ready]
            if not ready:
                causes.append(f"no {track} pod is ready")
            for pod in ready:
                age = now - self._seen_last.get(pod.name, -math.inf)
                if math.isinf(age):
                    causes.append(f"Prometheus has not scraped the {track} pod {pod.name} yet")
                elif age > self._stale_after:
                    causes.append(
                        f"the newest sample of the {track} pod {pod.name} is {age:.0f} s old, "
                        f"with a scrape every {self._interval:g} s"
                    )
        return causes

    def _newest(self, track: str) -> float:
        return max((counter.time for counter in self._counters.values() if counter.track == track), default=0.0)

    def _hole(self, cause: str) -> None:
        """Note what can not be made good by later samples: the count has a hole from now on."""
        self._holes[cause] = None


def _sum(counters: Iterable[_Counter]) -> int:
    return round(sum(counter.events for counter in counters))


def _is_failure(status: str) -> bool:
    return len(status) == len("500") and status.startswith("5")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
