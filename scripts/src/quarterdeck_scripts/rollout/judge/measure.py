"""One look at a canary: asks Prometheus, counts, judges, and names every reason not to."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_contract.metrics import LOG_RECORDS
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.ports import AnswerError
from quarterdeck_scripts.rollout.judge import guards, queries, usual
from quarterdeck_scripts.rollout.judge.continuity import LOOKBACK_SCRAPES
from quarterdeck_scripts.rollout.judge.counts import Tally
from quarterdeck_scripts.rollout.judge.criteria import UNPROMISED_LATENCY, of_all_requests
from quarterdeck_scripts.rollout.judge.evidence import Ledger, Reading
from quarterdeck_scripts.rollout.judge.record import advance, begin
from quarterdeck_scripts.rollout.judge.tape import Tape, Taping
from quarterdeck_scripts.rollout.judge.verdict import Assessment, assess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_scripts.ports import Answer, Prometheus, Series
    from quarterdeck_scripts.rollout.judge.evidence import PodFact
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.judge.verdict import Trial


def clock_of(prometheus: Prometheus) -> float:
    """Return Prometheus' own time, Unix seconds.

    Raises:
        AnswerError: it says none.
        UnreachableError: it does not answer.
    """
    values = [value for series in prometheus.query(queries.CLOCK).series for _, value in series.samples]
    if len(values) != 1 or not math.isfinite(values[0]):
        raise AnswerError("Prometheus' time", f"no time but {values}", "see what answers at its address")
    return values[0]


class Measurer:
    """Keeps the count of one rollout, from one look to the next, in its record."""

    def __init__(
        self, prometheus: Prometheus, record: RolloutRecord, *, version: str, tape: Tape | None = None
    ) -> None:
        """Begin to measure.

        Args:
            prometheus: whom to ask.
            record: filled with readings, queries and samples; its `since` must be set.
            version: the canary's.
            tape: notes all that this measurer is told, so that it can be told again.
        """
        self._tape = Tape() if tape is None else tape
        self._tape.begin(version)
        self._prometheus = Taping(prometheus, self._tape)
        self._record = record
        self._version = version
        self._how = sli.RPC if record.rpc else sli.HTTP
        self._ledger: Ledger | None = None
        self._watch = guards.Watch(record.criteria.warm_up)
        self._trials: tuple[Trial, ...] = ()
        self._previous: Reading | None = None
        self._from = record.since - LOOKBACK_SCRAPES * record.interval
        record.readings.clear()
        record.objectives = tuple(each for each in record.objectives if each.name != UNPROMISED_LATENCY)

    def look(self, pods: Sequence[PodFact]) -> Assessment:
        """Take in what is new and judge. Never raises for what Prometheus does: that is a cause of doubt."""
        self._tape.look(pods)
        reading = self._read(pods)
        sight = self._watch.take(pods, self._seen(reading), reading.at, self._requests(reading))
        reading = replace(reading, sight=sight)
        self._trials = advance(self._trials, self._previous, reading, self._record.since)
        if not reading.causes:
            self._previous = reading
        self._record.readings.append(reading)
        self._record.samples = self._ledger.samples() if self._ledger else []
        return assess(self._trials, reading.causes, self._record.guarded(), self._record.peak)

    def _read(self, pods: Sequence[PodFact]) -> Reading:
        try:
            now = clock_of(self._prometheus)
            ledger = self._ledger or self._begin()
            counters, scrapes = self._ask(now)
        except QuarterdeckError as error:
            return self._nothing(f"Prometheus gave no answer ({error.found})")
        warnings = [*counters.warnings, *scrapes.warnings]
        if warnings:
            return self._nothing(f"Prometheus warns that its answer may be incomplete ({warnings[0]})", now)
        reading = ledger.take(counters.series, scrapes.series, pods, now)
        # The next question reaches back over this one: a sample may have been on its way, and a clock wrong once.
        self._from = min(now, max(reading.newest) or now) - LOOKBACK_SCRAPES * self._record.interval
        return reading

    def _seen(self, reading: Reading) -> dict[str, tuple[Series, ...]]:
        """Return what guards look at, by metric; what is not answered is nothing that a guard could speak of."""
        record, answers = self._record, {}
        window = record.criteria.stale_scrapes * record.interval
        texts = {
            metric.name: queries.gauge(metric, record.namespace, record.service, window) for metric in guards.METRICS
        }
        if record.criteria.guards.logs is not None:
            texts[LOG_RECORDS.name] = queries.logged(record.namespace, record.service, window)
        for name, text in ({} if reading.causes else texts).items():
            record.queries[name] = text
            with suppress(QuarterdeckError):
                answer = self._prometheus.query(text, at=reading.at)
                answers[name] = () if answer.warnings else answer.series
        return answers

    def _requests(self, reading: Reading) -> tuple[int, int]:
        """Return how many requests both sides have served so far."""
        place = of_all_requests(self._record.objectives)
        tally = Tally() if place is None else reading.tallies[place]
        return tally.canary.requests, tally.stable.requests

    def _begin(self) -> Ledger:
        """Complete what is judged, for which Prometheus has to answer, and begin to count."""
        record = self._record
        if usual.is_wanted(record.objectives):
            text = queries.durations(record.namespace, record.service, usual.WINDOW, self._how)
            record.queries[UNPROMISED_LATENCY] = text
            found = usual.objective(self._prometheus.query(text, at=record.since), record.criteria)
            record.objectives += (found,) if found else ()
        self._trials = begin(record.objectives, record.criteria)
        self._ledger = Ledger(
            record.objectives,
            since=record.since,
            interval=record.interval,
            version=self._version,
            criteria=record.criteria,
            how=self._how,
        )
        return self._ledger

    def _ask(self, now: float) -> tuple[Answer, Answer]:
        record = self._record
        window = max(now - self._from, record.interval)
        thresholds = [objective.threshold for objective in record.objectives if objective.threshold is not None]
        texts = {
            "requests": queries.requests(record.namespace, record.service, thresholds, window, self._how),
            "scrapes": queries.scrapes(record.namespace, record.service, window),
        }
        record.queries |= texts
        counters, scrapes = (self._prometheus.query(text, at=now) for text in texts.values())
        newest = max((each.samples[-1][0] for each in (*counters.series, *scrapes.series) if each.samples), default=now)
        if newest > now + record.interval:
            raise AnswerError(
                "samples of the past", f"one {newest - now:.0f} s later than it was asked for", "see Prometheus' clock"
            )
        return counters, scrapes

    def _nothing(self, cause: str, at: float | None = None) -> Reading:
        """Return a reading that repeats the last counts and says why it has none of its own."""
        last = self._record.readings[-1] if self._record.readings else None
        tallies = last.tallies if last else tuple(Tally() for _ in self._record.objectives)
        newest = last.newest if last else (0.0, 0.0)
        return Reading(at if at is not None else (last.at if last else self._record.since), tallies, newest, (cause,))
