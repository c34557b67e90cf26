"""From raw samples of counters to exact numbers of events, and every reason not to believe them.

Nothing is extrapolated. A counter's events are the sum of its increments; a drop is a restart, after which
the counter's whole value is new. A series counts from zero when its pod was born during the rollout, or when
its pod was scraped before without it: that is how a canary's first errors are not lost. Pods that vanish keep
what they counted.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels
from quarterdeck_scripts.rollout.judge.queries import BUCKET_BOUND

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quarterdeck_dashboards.slo.sli import Served
    from quarterdeck_scripts.ports import Series

TRACKS = (kubernetes.TRACK_CANARY, kubernetes.TRACK_STABLE)

_MOST_RESETS = 3
"""Restarts of one counter that are believed. More, and also in more than a tenth of its samples, and several
processes are answering the same address in turn: their counters are no counter."""


@dataclass(slots=True)
class Counter:
    """One counter, and what it has counted since the canary was created."""

    track: str
    route: str
    """Method and template, `POST /pay`; empty where the series names neither."""
    bound: float
    """The bucket's, in seconds; infinite for all requests."""
    failed: bool
    """Whether its requests were the service's fault."""
    labels: dict[str, str]
    """What tells it from others."""
    time: float = -math.inf
    value: float = 0.0
    samples: int = 0
    resets: int = 0
    events: float = 0.0
    warm: float = 0.0
    """Those of `events` that happened after its pod's warm-up."""
    kept: list[tuple[float, float]] = field(default_factory=list)


class Counters:
    """Takes in raw samples, in any number of overlapping portions, and keeps the count."""

    def __init__(self, how: Served, *, since: float, warm_up: float, version: str) -> None:
        """Begin without counters.

        Args:
            how: how the service's requests are measured.
            since: Unix seconds; only events after it count for pods that were there before.
            warm_up: seconds after a new pod's or process' first sample in which it is cold.
            version: the canary's; leftovers of other canaries are not counted.
        """
        self._how = how
        self._since = since
        self._warm_up = warm_up
        self._version = version
        self._identity = tuple(label.prometheus for label in (*labels.TARGET_LABELS, *how.duration.labels))
        self._found: dict[tuple[str, ...], Counter] = {}
        self._seen_first: dict[str, float] = {}
        self._seen_last: dict[str, float] = {}
        self._born: set[str] = set()
        self._started: dict[str, list[float]] = {}
        self.holes: dict[str, None] = {}
        """What can not be made good by later samples: the count has a hole from then on."""

    def all(self) -> Iterable[Counter]:
        """Return every counter there ever was."""
        return self._found.values()

    def seen(self, pod: str) -> float:
        """Return when *pod* was last scraped, Unix seconds; minus infinity if it never was."""
        return self._seen_last.get(pod, -math.inf)

    def take(self, counters: Sequence[Series], scrapes: Sequence[Series], born: set[str]) -> None:
        """Count in what is new.

        Args:
            counters: answer to `queries.requests`.
            scrapes: answer to `queries.scrapes`.
            born: the pods that the cluster says were made during this rollout.
        """
        self._note_scrapes([*scrapes, *counters])
        groups = self._grouped(counters)
        for counter, pod, group in groups:
            # A canary's pod may come and go between two looks at the cluster.
            if pod in born or (counter.track == kubernetes.TRACK_CANARY and self._seen_first[pod] > self._since):
                self._born.add(pod)
                self._starts(pod, self._seen_first[pod])
            self._note_restarts(counter, pod, group)
        for counter, pod, group in groups:
            self._count(counter, pod, group)

    def samples(self) -> list[dict[str, object]]:
        """Return the raw samples counted in so far, without repetitions of an unchanged value, for the record."""
        return [{"labels": counter.labels, "samples": counter.kept} for _, counter in sorted(self._found.items())]

    def _note_scrapes(self, all_series: Iterable[Series]) -> None:
        for series in all_series:
            pod = series.labels.get(labels.POD.prometheus, "")
            if series.samples:
                self._seen_first[pod] = min(series.samples[0][0], self._seen_first.get(pod, math.inf))
                self._seen_last[pod] = max(series.samples[-1][0], self._seen_last.get(pod, -math.inf))

    def _grouped(self, counters: Sequence[Series]) -> list[tuple[Counter, str, list[Series]]]:
        """Return each counter with its pod and the series that are parts of it, in their order."""
        names = (*self._identity, BUCKET_BOUND)
        groups: dict[tuple[str, ...], list[Series]] = {}
        for series in counters:
            track = series.labels.get(labels.TRACK.prometheus, "")
            if track not in TRACKS:
                self._hole(f"a series has the track {track!r} where stable or canary is expected")
            elif track == kubernetes.TRACK_STABLE or series.labels.get(labels.VERSION.prometheus) == self._version:
                key = tuple(series.labels.get(name, "") for name in names)
                groups.setdefault(key, []).append(series)
        clusters = {key[names.index(labels.CLUSTER.prometheus)] for key in groups}
        if len(clusters) > 1:
            self._hole(f"series of several clusters answer: {', '.join(sorted(clusters))}")
        found = []
        for key, group in groups.items():
            said = dict(zip(names, key, strict=True))
            parts = sorted((series for series in group if series.samples), key=lambda series: series.samples[0][0])
            if self._is_one(said, parts):
                counter = self._found.get(key) or self._found.setdefault(key, self._new(said))
                found.append((counter, said[labels.POD.prometheus], parts))
        return found

    def _is_one(self, said: dict[str, str], parts: Sequence[Series]) -> bool:
        pod = said[labels.POD.prometheus]
        if any(a.samples[-1][0] >= b.samples[0][0] for a, b in itertools.pairwise(parts)):
            self._hole(f"one counter of pod {pod} comes as {len(parts)} series at once: it is scraped twice")
            return False
        if math.isnan(_number(said[BUCKET_BOUND])):
            self._hole(f"a bucket of pod {pod} has the bound {said[BUCKET_BOUND]!r}")
            return False
        return bool(parts)

    def _new(self, said: dict[str, str]) -> Counter:
        method, route = said.get(labels.HTTP_METHOD.prometheus, ""), said[self._how.route.prometheus]
        return Counter(
            track=said[labels.TRACK.prometheus],
            route=f"{method} {route}".strip(),
            bound=_number(said[BUCKET_BOUND]),
            failed=re.fullmatch(self._how.errors, said[self._how.status.prometheus]) is not None,
            labels=said,
        )

    def _starts(self, pod: str, moment: float) -> None:
        """Note that a process of *pod* had its first sample at *moment*."""
        started = self._started.setdefault(pod, [])
        if moment not in started:
            started.append(moment)

    def _note_restarts(self, counter: Counter, pod: str, group: Sequence[Series]) -> None:
        """Note when the pod's process was another: before any of its counters is counted, for all are as cold."""
        before = counter.value
        for series in group:
            for moment, value in series.samples:
                if moment > counter.time:
                    if value < before:
                        self._starts(pod, moment)
                    before = value

    def _count(self, counter: Counter, pod: str, group: Sequence[Series]) -> None:
        for series in group:
            for moment, value in series.samples:
                if moment > counter.time:
                    self._advance(counter, pod, moment, value, born=pod in self._born)
        if counter.resets > max(_MOST_RESETS, counter.samples // 10):
            self._hole(f"a counter of pod {pod} fell {counter.resets} times: several processes answer at its address")

    def _advance(self, counter: Counter, pod: str, moment: float, value: float, *, born: bool) -> None:
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
            counter.warm += 0.0 if self._is_cold(pod, moment) else events
        if len(counter.kept) > 1 and counter.kept[-1][1] == counter.kept[-2][1] == value:
            counter.kept[-1] = (moment, value)
        else:
            counter.kept.append((moment, value))
        counter.time, counter.value, counter.samples = moment, value, counter.samples + 1

    def _is_cold(self, pod: str, moment: float) -> bool:
        return any(start <= moment < start + self._warm_up for start in self._started.get(pod, ()))

    def _hole(self, cause: str) -> None:
        self.holes[cause] = None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
