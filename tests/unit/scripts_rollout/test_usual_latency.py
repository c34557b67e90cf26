"""Latency is judged where none is promised: against what was usual before the canary came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.ports import Answer, FakePrometheus, Series
from quarterdeck_scripts.rollout import command
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.usual import usual_threshold
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

ERRORS = Objective("errors", Bad.FAILED, 0.0025)
USUAL = Objective("usual latency", Bad.SLOW, 0.01, 0.25)

PODS = [PodFact("c", "canary", ready=True, born_during=True), PodFact("s", "stable", ready=True, born_during=False)]

BEFORE = {0.05: 7000.0, 0.1: 9700.0, 0.25: 9990.0, 0.5: 10_000.0, math.inf: 10_000.0}
"""Requests within each bucket's bound in the ten minutes before the canary: nearly all took at most 100 ms."""


def record(*, rpc: bool = False) -> RolloutRecord:
    """Return a record of a service that promises no latency, with a scrape every 10 s since 1000."""
    return RolloutRecord(
        *("id", "checkout", "shop", "local", "uid", "x:v2", "x:v1", "anna", 1000.0, 10.0, 600.0),
        Criteria(),
        (ERRORS,),
        since=1000.0,
        rpc=rpc,
    )


class Service:
    """A Prometheus that has scraped a service whose canary takes over 250 ms for a share of its requests."""

    def __init__(self, slow: float, before: Mapping[float, float] = BEFORE) -> None:
        self.now = 1000.0
        self.silent = 0
        """Looks for which it does not answer what was usual."""
        self._slow, self._before = slow, before
        self.prometheus = FakePrometheus(self._answer)

    def _answer(self, promql: str, at: float | None) -> Answer:
        if promql == "time()":
            return Answer((Series({}, ((self.now, self.now),)),))
        if promql.startswith("sum by (le)"):
            assert at == 1000.0
            self.silent -= 1
            if self.silent >= 0:
                raise UnreachableError("an answer", "silence", "x")
            return Answer(tuple(Series({"le": f"{le}"}, ((at, value),)) for le, value in self._before.items()))
        found = []
        for pod, first, slow in (("c", 1010.0, self._slow), ("s", 960.0, 0.001)):
            labels = {
                "pod": pod,
                "track": "canary" if pod == "c" else "stable",
                "version": "v2" if pod == "c" else "v1",
            }
            times = [first + 10 * n for n in range(int((self.now - first) // 10) + 1)]
            if promql.startswith("quarterdeck_build_info"):
                found.append(Series(labels, tuple((time, 1.0) for time in times)))
                continue
            for bound, share in (("+Inf", 1.0), ("0.25", 1 - slow)):
                if bound == "+Inf" or 'le=~"\\\\+Inf|0\\\\.25"' in promql:
                    samples = tuple((time, round(500.0 * (n + 1) * share)) for n, time in enumerate(times))
                    found.append(Series({**labels, "http_response_status_code": "200", "le": bound}, samples))
        return Answer(tuple(found))

    def judge(self, into: RolloutRecord, looks: int = 20) -> Verdict:
        """Return the verdict after so many looks."""
        measurer = Measurer(self.prometheus, into, version="v2")
        for _ in range(looks):
            self.now += 10
            verdict = measurer.look(PODS).verdict
            if verdict is not Verdict.INCONCLUSIVE:
                break
        return verdict


def test_a_slow_canary_fails_although_nothing_is_promised() -> None:
    """A tenth of its requests take more than twice as long as nearly all took before."""
    into = record()

    assert Service(slow=0.1).judge(into) is Verdict.FAIL
    assert into.objectives == (ERRORS, USUAL)
    assert into.queries["process.memory.usage"].startswith("process_memory_usage_bytes{")
    assessment = into.replay()
    assert assessment is not None
    assert assessment.explanation.startswith("Usual latency: the canary was slower than 250 ms on ")


def test_a_canary_as_fast_as_usual_passes() -> None:
    """The control."""
    assert Service(slow=0.001).judge(record()) is Verdict.PASS


def test_nothing_is_judged_until_what_is_usual_is_known() -> None:
    """While Prometheus is silent about it there is a cause; then the canary is judged from its first request on."""
    service, into = Service(slow=0.001), record()
    service.silent = 3

    assert service.judge(into) is Verdict.PASS
    assert [reading.causes for reading in into.readings[:4]] == [("Prometheus gave no answer (silence)",)] * 3 + [()]
    assert into.readings[3].tallies[0].canary.requests == 2000
    assert RolloutRecord.from_json(into.to_json()).replay() == into.replay()


def test_without_anything_usual_errors_alone_are_judged() -> None:
    """A service that has hardly served is judged by its errors."""
    into = record()

    assert Service(slow=0.1, before={0.1: 5.0, math.inf: 5.0}).judge(into) is Verdict.PASS
    assert into.objectives == (ERRORS,)


def test_a_second_measurer_asks_again_what_is_usual() -> None:
    """What goes on after a kill, or judges offline, comes to the same objectives by the same questions."""
    into = record()
    Service(slow=0.001).judge(into)
    again = Service(slow=0.001)
    again.judge(into)

    assert into.objectives == (ERRORS, USUAL)
    assert sum(text.startswith("sum by (le)") for text in again.prometheus.asked) == 1


@pytest.mark.parametrize(
    ("within", "threshold"),
    [
        (BEFORE, 0.25),
        ({0.1: 1000.0, 0.25: 1000.0, math.inf: 1000.0}, 0.25),
        ({0.1: 940.0, 0.25: 990.0, 0.5: 1000.0, math.inf: 1000.0}, 0.5),
        ({5.0: 1000.0, 7.5: 1000.0, 10.0: 1000.0, math.inf: 1000.0}, 10.0),
        ({5.0: 100.0, 10.0: 1000.0, math.inf: 1000.0}, None),
        ({5.0: 100.0, 10.0: 200.0, math.inf: 1000.0}, None),
        ({0.1: 199.0, 0.25: 199.0, math.inf: 199.0}, None),
        ({}, None),
    ],
)
def test_slow_is_twice_what_nearly_all_take(within: dict[float, float], threshold: float | None) -> None:
    """The next bucket bound; none where the buckets end before, or where too little is known."""
    assert usual_threshold(within) == threshold


def test_calls_are_asked_for_by_their_own_metric() -> None:
    """A service of gRPC has no requests of HTTP."""
    service, into = Service(slow=0.0), record(rpc=True)
    Measurer(service.prometheus, into, version="v2").look(PODS)

    assert into.queries["requests"].startswith("rpc_server_call_duration_seconds_bucket{")
    assert into.queries["usual latency"].startswith("sum by (le) (increase(rpc_server_call_duration_seconds_bucket{")
    assert not any(text.startswith("http_") for text in service.prometheus.asked)


def test_the_plan_says_that_usual_latency_is_judged(
    world: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no latency is promised, and only there."""
    promise = "      - {name: latency, kind: latency, objective: 99, threshold: 250ms, window: 30d}\n"
    monkeypatch.setattr(command, "_open", lambda *_: world.session())
    start = ["rollout", "start", "checkout", "--image", "localhost/checkout:v2", "--dry-run"]
    said = "judged by  usual latency: requests over twice what nearly all took before the canary came"

    assert cli.run(start) == 0
    assert said not in capsys.readouterr().err
    world.catalogue = world.catalogue.replace(promise, "")
    assert cli.run(start) == 0
    assert said in capsys.readouterr().err
