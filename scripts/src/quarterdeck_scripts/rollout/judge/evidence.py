"""What is known at one look: the counts of both sides, route by route, and every reason not to judge them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.rollout.judge.continuity import Continuity
from quarterdeck_scripts.rollout.judge.counters import TRACKS, Counter, Counters
from quarterdeck_scripts.rollout.judge.counts import OTHER_ROUTES, Counts, RouteCounts, Tally
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria
from quarterdeck_scripts.rollout.judge.queries import BUCKET_BOUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_dashboards.slo.sli import Served
    from quarterdeck_scripts.ports import Series
    from quarterdeck_scripts.rollout.judge.criteria import Objective
    from quarterdeck_scripts.rollout.judge.guards import Sight


@dataclass(frozen=True, slots=True)
class PodFact:
    """What the cluster says of one pod."""

    name: str
    track: str
    ready: bool
    born_during: bool
    """Created after the canary was: all its requests belong to this rollout."""
    restarts: int = 0
    """How often its containers were started anew."""
    memory: float = 0.0
    """Bytes that it may have; 0 without a limit."""


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
    sight: Sight | None = None
    """What was seen beside requests."""


class Ledger:
    """Takes in raw samples, in any number of overlapping portions, and keeps the count."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        *,
        since: float,
        interval: float,
        version: str,
        criteria: Criteria = Criteria(),  # noqa: B008 -- frozen
        how: Served = sli.HTTP,
    ) -> None:
        """Begin an empty ledger.

        Args:
            objectives: what to count.
            since: Unix seconds; only events after it count for pods that were there before.
            interval: seconds between two scrapes.
            version: the canary's; leftovers of other canaries are not counted.
            criteria: how stale samples may be, how long a pod is cold, how many routes are told apart.
            how: how the service's requests are measured.
        """
        self._objectives = tuple(objectives)
        self._counters = Counters(how, since=since, warm_up=criteria.warm_up, version=version)
        self._continuity = Continuity(interval)
        self._stale_after = criteria.stale_scrapes * interval
        self._interval = interval
        self._most_routes = criteria.most_routes
        self._routes: dict[str, str] = {}
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
        self._counters.take(counters, scrapes, {pod.name for pod in pods if pod.born_during})
        self._name_routes()
        left_out = self._continuity.take([*counters, *scrapes], now)
        unmeasured = self._unmeasured()
        causes = [*self._counters.holes, *left_out, *self._missing(scrapes, pods, now), *unmeasured]
        tallies = tuple(map(self._tally, self._objectives))
        if unmeasured:
            tallies = self._tallies
        elif not self._plausible(tallies):
            causes.append("the counters contradict each other: bad requests that were never made, or fewer than before")
            tallies = self._tallies
        self._tallies = tallies
        canary, stable = (self._newest(track) for track in TRACKS)
        return Reading(now, tallies, (canary, stable), tuple(causes))

    def samples(self) -> list[dict[str, object]]:
        """Return the raw samples counted in so far, without repetitions of an unchanged value, for the record."""
        return self._counters.samples()

    def _name_routes(self) -> None:
        """Give the busiest of the routes that were not seen before a name of their own, while there are any left."""
        served: dict[str, float] = {}
        for counter in self._counters.all():
            if counter.route not in self._routes and math.isinf(counter.bound):
                served[counter.route] = served.get(counter.route, 0.0) + counter.value
        for route in sorted(served, key=lambda route: (-served[route], route)):
            self._routes[route] = route if len(self._routes) < self._most_routes else OTHER_ROUTES

    def _plausible(self, tallies: Sequence[Tally]) -> bool:
        for now, then in zip(tallies, self._tallies, strict=True):
            new = now.since(then)
            pairs = [new.canary, new.stable, *(pair for each in new.routes for pair in (each.canary, each.stable))]
            if not all(0 <= pair.bad <= pair.requests for pair in pairs):
                return False
        return True

    def _tally(self, objective: Objective) -> Tally:
        sums: dict[str, dict[str, _Sums]] = {}
        for counter in self._counters.all():
            # Where the bucket of all requests was never seen, the others tell nothing.
            route = self._routes.get(counter.route)
            if route is not None and objective.concerns(counter.labels):
                of_route = sums.setdefault(route, {track: _Sums() for track in TRACKS})
                of_route[counter.track].add(counter, objective)
        named = [route for route in dict.fromkeys(self._routes.values()) if route in sums]
        return Tally.of(
            tuple(
                RouteCounts(
                    route,
                    canary=sums[route][kubernetes.TRACK_CANARY].counts(),
                    stable=sums[route][kubernetes.TRACK_STABLE].counts(),
                )
                for route in named
            )
        )

    def _missing(self, scrapes: Sequence[Series], pods: Sequence[PodFact], now: float) -> list[str]:
        causes = []
        if not scrapes:
            causes.append("Prometheus has no series of this service")
        for track in TRACKS:
            ready = [pod for pod in pods if pod.track == track and pod.ready]
            if not ready:
                causes.append(f"no {track} pod is ready")
            for pod in ready:
                age = now - self._counters.seen(pod.name)
                if math.isinf(age):
                    causes.append(f"Prometheus has not scraped the {track} pod {pod.name} yet")
                elif age > self._stale_after:
                    causes.append(
                        f"the newest sample of the {track} pod {pod.name} is {age:.0f} s old, "
                        f"with a scrape every {self._interval:g} s"
                    )
        return causes

    def _unmeasured(self) -> list[str]:
        """Name the pods without a bucket that says what was fast: all that they count would be called slow."""
        bounds: dict[tuple[str, ...], set[float]] = {}
        whole: dict[tuple[str, ...], Counter] = {}
        for counter in self._counters.all():
            key = tuple(value for name, value in counter.labels.items() if name != BUCKET_BOUND)
            bounds.setdefault(key, set()).add(counter.bound)
            if math.isinf(counter.bound) and not counter.failed:
                whole[key] = counter
        without = {
            (counter.track, counter.labels[labels.POD.prometheus], objective.threshold): counter.route
            for objective in self._objectives
            for key, counter in whole.items()
            if objective.bad is Bad.SLOW and objective.threshold not in bounds[key]
            if objective.concerns(counter.labels)
        }
        return [
            f"Prometheus has no bucket of {threshold or 0:g} s of the {track} pod {pod}"
            + (f", {route} for one" if route else "")
            for (track, pod, threshold), route in without.items()
        ]

    def _newest(self, track: str) -> float:
        return max((counter.time for counter in self._counters.all() if counter.track == track), default=0.0)


@dataclass(slots=True)
class _Sums:
    """Events of one side on one route, for one objective, as counters have them: as floating-point numbers."""

    everything: float = 0.0
    failed: float = 0.0
    fast: float = 0.0
    slow_only: bool = False

    def add(self, counter: Counter, objective: Objective) -> None:
        """Add *counter* to what *objective* asks for."""
        events = counter.warm if objective.bad is Bad.SLOW else counter.events
        if math.isinf(counter.bound) and not (counter.failed and objective.bad is Bad.SLOW):
            self.everything += events
            self.failed += events if counter.failed else 0.0
        elif counter.bound == objective.threshold and not counter.failed:
            self.fast += events
        self.slow_only = objective.bad is Bad.SLOW

    def counts(self) -> Counts:
        """Return them as whole requests."""
        everything = round(self.everything)
        return Counts(everything, everything - round(self.fast) if self.slow_only else round(self.failed))
