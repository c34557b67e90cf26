"""What the two sides log: a canary that answers well and logs errors is not well.

Records come in crowds, and often of things that are no version's fault, so no probability is reckoned with: what is
logged has to be plainly more than with the stable pods, for each request and for each pod, in each part of a while.
A service whose requests fail logs that too, which its requests are judged by: so the more of them may fail, the more
may be logged. Whoever has no such metric, on either side, is not judged by it. Pure.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from quarterdeck_scripts.ports import Series
    from quarterdeck_scripts.rollout.judge.evidence import PodFact

_TRACKS = (kubernetes.TRACK_CANARY, kubernetes.TRACK_STABLE)
_CANARY, _STABLE = 0, 1
"""Places of the two sides."""
_REQUESTS: Callable[[Logged], tuple[float, float]] = attrgetter("requests")
_MINUTES: Callable[[Logged], tuple[float, float]] = attrgetter("minutes")


@dataclass(frozen=True, slots=True)
class LogRules:
    """When logged errors speak against a canary."""

    share: float = 0.01
    """Errors for each request that are never too many."""
    times_allowed: float = 4.0
    """The same as times the share of requests that may always fail: its handler, the framework and the server may each
    log one. Of a service that promises 99.5 % it comes to `share`."""
    a_minute: float = 10.0
    """Errors for each pod that are never too many, where nobody asks anything of the service."""
    over: float = 5.0
    """Times the most that the stable pods logged in as long, by request and by pod, that is still not worse: crowds
    differ by much. More than what is allowed of failed requests: a canary that fails as often as it may is not to be
    aborted for logging so."""
    records: int = 20
    """Errors, in sum, below which there are too few to speak of."""
    lasts: float = 300.0
    """Seconds in each part of which it has to show: one pod may lose what it is connected to for some minutes."""
    parts: int = 5
    """Parts of that time, of one look at least."""
    mostly: float = 0.5
    """Share of all such parts since the rollout began in which it has to show: what a version does it does from the
    beginning on, and what comes later may be one pod's bad luck. A PASS waits while that lasts."""
    doubt: float = 30.0
    """Seconds in both halves of which it has to show, with a fifth of the errors, for a PASS to wait; fewer, but two
    looks, where the canary has logged nothing before: one that is seen often may pass soon after its warm-up."""


@dataclass(frozen=True, slots=True)
class Logged:
    """What was logged until one look, canary and stable each, since the rollout began."""

    errors: tuple[int, int]
    """Records of errors or worse, after each process' warm-up."""
    requests: tuple[int, int]
    """Requests that were served meanwhile; 0 where nobody sends any."""
    minutes: tuple[float, float]
    """Minutes in which pods were heard of, added up over them."""


class LogCount:
    """Takes in raw samples of the counters of records, in overlapping portions, and keeps the count."""

    def __init__(self, warm_up: float) -> None:
        """*warm_up*: seconds after a new process' first sample in which it may log what it likes."""
        self._warm_up = warm_up
        self._newest: dict[tuple[tuple[str, str], ...], tuple[float, float]] = {}
        self._cold_until: dict[str, float] = {}
        self._errors = dict.fromkeys(_TRACKS, 0.0)
        self._minutes = dict.fromkeys(_TRACKS, 0.0)
        self._at = math.inf

    def take(
        self, pods: Sequence[PodFact], answer: Iterable[Series], requests: tuple[int, int], now: float
    ) -> Logged | None:
        """Count in what is new at *now*, Unix seconds; None where no pod has such a counter.

        Args:
            pods: those that the cluster knows.
            answer: to `queries.logged`.
            requests: served so far, canary and stable.
            now: by the clock of whoever answered.
        """
        known = {pod.name: pod for pod in pods}
        heard = set()
        for series in answer:
            pod = known.get(series.labels.get(labels.POD.prometheus, ""))
            if pod is not None and pod.track in _TRACKS and self._count(series, pod, now):
                heard.add(pod)
        for pod in heard:
            self._minutes[pod.track] += max(0.0, now - self._at) / 60
        self._at = now
        if not heard:
            return None
        canary, stable = _TRACKS
        return Logged(
            (round(self._errors[canary]), round(self._errors[stable])),
            requests,
            (round(self._minutes[canary], 3), round(self._minutes[stable], 3)),
        )

    def _count(self, series: Series, pod: PodFact, now: float) -> bool:
        """Count what is new of one counter; return whether it has said anything."""
        key = tuple(sorted((name, value) for name, value in series.labels.items() if name != "__name__"))
        said = [(at, value) for at, value in series.samples if at <= now and math.isfinite(value) and value >= 0]
        for at, value in said:
            before_at, before = self._newest.get(key, (-math.inf, value))
            if at <= before_at:
                continue
            starts = (math.isinf(before_at) and pod.born_during) or value < before
            if starts:  # a process: all its counters begin with the first that shows it
                self._cold_until[pod.name] = max(at + self._warm_up, self._cold_until.get(pod.name, 0.0))
            if at >= self._cold_until.get(pod.name, -math.inf):
                self._errors[pod.track] += value if value < before else value - before
            self._newest[key] = at, value
        return bool(said)


@dataclass(frozen=True, slots=True)
class Finding:
    """What speaks against a canary."""

    text: str
    """In one clause."""
    lasts: bool
    """Whether it has gone on for long enough to fail it."""


def finding(history: Sequence[tuple[float, Logged | None]], floor: float, rules: LogRules) -> Finding | None:
    """Return what the looks in *history* have against the canary, the last of them included; None if nothing.

    Args:
        history: when each look was, Unix seconds, and what was logged until then.
        floor: share of requests that may always fail.
        rules: what is too much.
    """
    known = [(at, logged) for at, logged in history if logged is not None]
    if not known or history[-1][1] is None:
        return None
    most = max(rules.share, rules.times_allowed * floor)
    peace = next((at for at, logged in reversed(known) if not logged.errors[_CANARY]), known[0][0])
    doubt = min(rules.doubt, known[-1][0] - peace)
    whole, part = (rules.lasts, rules.parts, rules.records), (doubt, 2, rules.records / rules.parts)
    for share, (seconds, parts, records) in ((rules.mostly, whole), (0.0, part)):
        cut = _cut(known, seconds, parts)
        if cut and cut[-1][1].errors[_CANARY] - cut[0][1].errors[_CANARY] >= records:
            text = _plain(cut, known, most, share, rules)
            if text:
                return Finding(text, lasts=share > 0)
    return None


def _cut(known: Sequence[tuple[float, Logged]], seconds: float, parts: int) -> list[tuple[float, Logged]]:
    """Return the looks between which the *parts* of the last *seconds* are, or of as many looks; none if too few."""
    ends = [number for number, (at, _) in enumerate(known) if known[-1][0] - at >= seconds]
    last = len(known) - 1
    if not ends or last < parts:
        return []
    first = min(ends[-1], last - parts)
    return [known[first + (last - first) * part // parts] for part in range(parts + 1)]


def _plain(
    cut: Sequence[tuple[float, Logged]],
    known: Sequence[tuple[float, Logged]],
    most: float,
    share: float,
    rules: LogRules,
) -> str:
    """Return what is plainly worse in all parts that *cut* divides the last looks into; empty if it is not.

    Args:
        cut: the looks between which the parts are.
        known: all looks.
        most: errors for each request that are never too many.
        share: of all parts there were, in which it has to be so.
        rules: what else is too much.
    """
    (began, first), (ended, last) = cut[0], cut[-1]
    asked = any(last.requests)
    ways = [(_REQUESTS, most), (_MINUTES, 0.0)] if asked else [(_MINUTES, rules.a_minute)]
    parts = [(a, b) for (_, a), (_, b) in itertools.pairwise(cut)]
    least = [min(_rate(a, b, of, _CANARY) or 0.0 for a, b in parts) for of, _ in ways]
    if any(rate <= floor for rate, (_, floor) in zip(least, ways, strict=True)):
        return ""
    every = list(_stretches(known, (ended - began) / len(parts)))
    for rate, (of, floor) in zip(least, ways, strict=True):
        stable = [each for a, b in every if (each := _rate(a, b, of, _STABLE)) is not None]
        bound = max(floor, rules.over * max(stable, default=math.inf))
        so = sum((_rate(a, b, of, _CANARY) or 0.0) > bound for a, b in every)
        if rate <= bound or so < share * len(every):
            return ""
    of, unit, scale = (_REQUESTS, "on 100 requests", 100) if asked else (_MINUTES, "in each pod's minute", 1)
    canary, stable_now = (_few((_rate(first, last, of, side) or 0.0) * scale) for side in (_CANARY, _STABLE))
    return (
        f"Logs: the canary has logged {last.errors[_CANARY] - first.errors[_CANARY]:,} errors within "
        f"{ended - began:.0f} s, all the time, {canary} {unit}; the stable pods {stable_now}"
    )


def _stretches(known: Sequence[tuple[float, Logged]], seconds: float) -> Iterator[tuple[Logged, Logged]]:
    """Yield all that was logged within about *seconds*, since the rollout began."""
    start = 0
    for at, logged in known:
        if at - known[start][0] >= seconds:
            while at - known[start + 1][0] >= seconds:
                start += 1
            yield known[start][1], logged


def _rate(a: Logged, b: Logged, of: Callable[[Logged], tuple[float, float]], side: int) -> float | None:
    """Return the errors of *side* between two looks, for each of what *of* counts; None where there was none of it."""
    units = of(b)[side] - of(a)[side]
    return (b.errors[side] - a.errors[side]) / units if units > 0 else None


def _few(number: float) -> str:
    """Write *number* with the digits that matter.

    >>> _few(0.1049), _few(9.96), _few(103.7)
    ('0.1', '10', '104')
    """
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"  # noqa: PLR2004 -- two digits below ten, else whole
