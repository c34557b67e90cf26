"""No bad answer of Prometheus ever makes a canary pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.ports import Answer, AnswerError, FakePrometheus, Series
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

PODS = [PodFact("c", "canary", ready=True, born_during=True), PodFact("s", "stable", ready=True, born_during=False)]


def new_record() -> RolloutRecord:
    """Return a record to measure into, with a scrape every 10 s since 1000."""
    return RolloutRecord(
        *("id", "checkout", "shop", "local", "uid", "x:v2", "x:v1", "anna", 1000.0, 10.0, 600.0),
        Criteria(),
        (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25)),
        since=1000.0,
    )


def healthy(promql: str, now: float) -> Answer:
    """Answer as the Prometheus of a healthy service: 500 requests a scrape and pod."""
    if promql == "time()":
        return Answer((Series({}, ((now, now),)),))
    found = []
    for pod, first in (("c", 1010.0), ("s", 960.0)):
        labels = {"pod": pod, "track": "canary" if pod == "c" else "stable", "version": "v2" if pod == "c" else "v1"}
        times = [first + 10 * n for n in range(int((now - first) // 10) + 1)]
        if promql.startswith("quarterdeck_build_info"):
            found.append(Series(labels, tuple((time, 1.0) for time in times)))
            continue
        for bound in ("+Inf", "0.25"):
            samples = tuple((time, 500.0 * (n + 1)) for n, time in enumerate(times))
            found.append(Series({**labels, "http_response_status_code": "200", "le": bound}, samples))
    return Answer(tuple(found))


def judged(spoil: Callable[[str, Answer], Answer], looks: int = 20) -> Verdict:
    """Return the verdict after *looks*, every answer *spoil*ed."""
    now = 1000.0

    def answer(promql: str, at: float | None) -> Answer:
        del at
        return spoil(promql, healthy(promql, now))

    measurer = Measurer(FakePrometheus(answer), new_record(), version="v2")
    verdict = Verdict.INCONCLUSIVE
    for _ in range(looks):
        now += 10
        verdict = measurer.look(PODS).verdict
    return verdict


def test_good_answers_pass() -> None:
    """The control: unspoiled, the same answers make it PASS."""
    assert judged(lambda _, answer: answer) is Verdict.PASS


def spoilers() -> st.SearchStrategy[tuple[str, Callable[[str, Answer], Answer]]]:  # noqa: C901 -- a list of them
    """Return every way in which an answer may be bad."""
    values = st.sampled_from([math.nan, math.inf, -math.inf, -1.0])

    def with_value(value: float) -> tuple[str, Callable[[str, Answer], Answer]]:
        def spoil(promql: str, answer: Answer) -> Answer:
            if not promql.startswith("http"):
                return answer
            first, *rest = answer.series
            return Answer((Series(first.labels, (*first.samples[:-1], (first.samples[-1][0], value))), *rest))

        return f"value {value}", spoil

    def without(track: str) -> tuple[str, Callable[[str, Answer], Answer]]:
        return (
            f"no {track}",
            lambda promql, answer: (
                answer
                if promql == "time()"
                else Answer(tuple(series for series in answer.series if series.labels.get("track") != track))
            ),
        )

    def stale(seconds: float) -> tuple[str, Callable[[str, Answer], Answer]]:
        def spoil(promql: str, answer: Answer) -> Answer:
            if promql == "time()":
                ((moment, value),) = answer.series[0].samples
                return Answer((Series({}, ((moment + seconds, value + seconds),)),))
            return answer

        return f"stale by {seconds}", spoil

    def failing(error: Exception, query: str) -> tuple[str, Callable[[str, Answer], Answer]]:
        def spoil(promql: str, answer: Answer) -> Answer:
            if promql.startswith(query):
                raise error
            return answer

        return f"{error!r} to {query}", spoil

    errors = st.sampled_from([AnswerError("an answer", "HTML", "x"), UnreachableError("an answer", "silence", "x")])
    queries = st.sampled_from(["time()", "http_server", "quarterdeck_build_info"])
    fixed: list[tuple[str, Callable[[str, Answer], Answer]]] = [
        ("empty", lambda _, __: Answer(())),
        ("warning", lambda _, answer: Answer(answer.series, ("partial response",))),
        (
            "twice",
            lambda _, answer: Answer(
                (*answer.series, *(Series({**series.labels, "job": "b"}, series.samples) for series in answer.series))
            ),
        ),
        (
            "clusters",
            lambda promql, answer: (
                Answer(
                    tuple(
                        Series({**series.labels, "cluster": series.labels["track"]}, series.samples)
                        for series in answer.series
                    )
                )
                if promql != "time()"
                else answer
            ),
        ),
        (
            "sawtooth",
            lambda promql, answer: (
                Answer(
                    tuple(
                        Series(each.labels, tuple((at, value * (n % 2)) for n, (at, value) in enumerate(each.samples)))
                        for each in answer.series
                    )
                )
                if promql.startswith("http")
                else answer
            ),
        ),
    ]
    return st.one_of(
        values.map(with_value),
        st.sampled_from(["canary", "stable"]).map(without),
        st.floats(35, 1e6).map(stale),
        st.tuples(errors, queries).map(lambda pair: failing(*pair)),
        st.sampled_from(fixed),
    )


@given(spoilers())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bad_answer_passes(spoiler: tuple[str, Callable[[str, Answer], Answer]]) -> None:
    """NaN, infinity, negative, empty, one side only, stale, errors, silence, partial, twice, mixed clusters."""
    _, spoil = spoiler

    assert judged(spoil) is Verdict.INCONCLUSIVE


def test_an_outage_of_prometheus_is_made_good() -> None:
    """Counters being counters, what was missed is counted when it answers again."""
    asked = 0

    def spoil(promql: str, answer: Answer) -> Answer:
        nonlocal asked
        asked += promql == "time()"
        if 3 <= asked <= 9:
            raise UnreachableError("an answer", "silence", "x")
        return answer

    assert judged(spoil) is Verdict.PASS
