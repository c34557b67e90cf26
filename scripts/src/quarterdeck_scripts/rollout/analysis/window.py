"""A measurer led through a window of time: at each scrape it is told what was known then."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels
from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_contract.kubernetes import TRACK_BASELINE, TRACK_CANARY, TRACK_STABLE
from quarterdeck_dashboards.duration import parse_duration
from quarterdeck_scripts.ports import Answer, Series
from quarterdeck_scripts.rollout.acting.lens import By, Lens
from quarterdeck_scripts.rollout.judge import queries
from quarterdeck_scripts.rollout.judge.continuity import LOOKBACK_SCRAPES
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from quarterdeck_scripts.ports import Prometheus
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.judge.tape import Tape

MOST_LOOKS = 480
"""Looks at a window: two hours of scrapes at 15 s. A longer one is looked at less often, which costs no certainty:
the counts are the same, and a verdict may come a little later."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when, Unix seconds by Prometheus' clock."""

    since: float
    until: float

    def moments(self, interval: float) -> Iterator[float]:
        """Yield when to look, with a scrape every *interval* seconds: the last time at the end."""
        step = max(interval, (self.until - self.since) / MOST_LOOKS)
        for number in range(1, math.ceil((self.until - self.since) / step)):
            yield round(self.since + number * step, 3)
        yield self.until


def moment_of(text: str, now: float) -> float:
    """Return the time that a person means: RFC 3339, or how long ago, such as 2h.

    Raises:
        UsageError: it is neither, or not in the past.
    """
    try:
        at = now - parse_duration(text).total_seconds()
    except ValueError:
        try:
            at = datetime.fromisoformat(text).astimezone(UTC).timestamp()
        except ValueError:
            at = math.inf
    if at > now:
        raise UsageError(
            "a time in the past, such as 2h or 2026-11-22T10:00:00Z", repr(text), "write how long ago, such as `2h`"
        )
    return at


def lens_of(
    prometheus: Prometheus, record: RolloutRecord, window: Window, version: str = ""
) -> tuple[Lens, frozenset[str]]:
    """Return how the two sides of *window* are told apart from the new version's birth on, and the old versions.

    Args:
        prometheus: whom to ask.
        record: of which service.
        window: of which time.
        version: the new one; empty: that of the canary there was.

    Raises:
        UsageError: there was no canary in the window, or several, and no version is named; or not that one.
        QuarterdeckError: Prometheus gives no answer.
    """
    scraped = _scrapes(prometheus, record, window)
    canaries, others = _versions(scraped, TRACK_CANARY), _versions(scraped, TRACK_STABLE)
    chosen = version or (next(iter(canaries)) if len(canaries) == 1 else "")
    if chosen in canaries:
        by = By.BASELINE if _versions(scraped, TRACK_BASELINE) else By.TRACK
    elif chosen in others and len(others) > 1:
        by = By.VERSION
    else:
        there = ", ".join(sorted({*canaries, *others})) or "none"
        raise UsageError(
            f"one canary of {record.service} from {_time(window.since)} to {_time(window.until)}",
            f"{', '.join(sorted(canaries)) or 'none'}; its pods had the versions {there}",
            "name the new version with --version, or a window in which it was beside the old one",
        )
    lens = Lens(prometheus, by, chosen, window.since)
    sides = lens.query(_scrapes_query(record, window), at=window.until).series
    births = [each.samples[0][0] for each in sides if each.samples and _track(each) == TRACK_CANARY]
    return replace(lens, since=max(window.since, min(births) - record.interval)), frozenset(others - {chosen})


def look_through(
    lens: Lens, record: RolloutRecord, window: Window, *, tape: Tape, last: Sequence[PodFact] | None = None
) -> None:
    """Fill *record* with what a rollout would have known at each scrape of *window*.

    Args:
        lens: knows the two sides.
        record: its `since` is set to the beginning of the window.
        window: from the new version's birth on.
        tape: notes all that was answered.
        last: what the cluster says of the pods at the end; None: only Prometheus knows.

    Raises:
        QuarterdeckError: Prometheus does not say which pods there were.
    """
    record.since = window.since
    pods = [each for each in _scrapes(lens, record, window) if each.samples and labels.POD.prometheus in each.labels]
    then = _Then(lens)
    measurer = Measurer(then, record, version=lens.version, tape=tape)
    born = {pod.name for pod in last or () if pod.born_during}
    for moment in window.moments(record.interval):
        then.moment = moment
        known = last if moment == window.until else None
        measurer.look(_facts(pods, record, moment, born) if known is None else known)


class _Then:
    """A Prometheus at a moment of the past: what it is asked of now is of then."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self.moment = 0.0

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Evaluate *promql*; see `ports.Prometheus`."""
        if promql == queries.CLOCK and at is None:
            return Answer((Series({}, ((self.moment, self.moment),)),))
        return self._prometheus.query(promql, at=self.moment if at is None else at)


def _facts(pods: Iterable[Series], record: RolloutRecord, moment: float, born: set[str]) -> list[PodFact]:
    """Return which pods were there at *moment*: those that were scraped not long before."""
    recent = moment - record.criteria.stale_scrapes * record.interval
    facts = []
    for series in pods:
        name = series.labels[labels.POD.prometheus]
        canary = _track(series) == TRACK_CANARY
        if any(recent <= at <= moment for at, _ in series.samples):
            new = name in born or (canary and series.samples[0][0] > record.since)
            facts.append(PodFact(name, _track(series), ready=True, born_during=new))
    return facts


def _scrapes_query(record: RolloutRecord, window: Window) -> str:
    reach = window.until - window.since + LOOKBACK_SCRAPES * record.interval
    return queries.scrapes(record.namespace, record.service, reach)


def _scrapes(prometheus: Prometheus, record: RolloutRecord, window: Window) -> tuple[Series, ...]:
    answer = prometheus.query(_scrapes_query(record, window), at=window.until)
    if answer.warnings:
        raise QuarterdeckError(
            "all that Prometheus has", f"its warning that there may be more ({answer.warnings[0]})", "see its log"
        )
    return answer.series


def _versions(scraped: Iterable[Series], track: str) -> set[str]:
    return {
        each.labels.get(labels.VERSION.prometheus, "") for each in scraped if each.samples and _track(each) == track
    }


def _track(series: Series) -> str:
    return series.labels.get(labels.TRACK.prometheus, "")


def _time(at: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).isoformat(timespec="seconds")
