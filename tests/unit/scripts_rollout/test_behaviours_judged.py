"""Services as they really misbehave, and healthy ones that look odd: what a rollout makes of each, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.ports import Answer, FakePrometheus, Series
from quarterdeck_scripts.rollout.acting.bundle import ANSWERS, RECORD
from quarterdeck_scripts.rollout.analysis.replay import judge_again
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.guards import Rules
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.tape import Tape
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.rollout.judge.verdict import Assessment

SCRAPE = 15.0
SINCE = 100_000.0
"""When the canary was created, Unix seconds."""
LIMIT = 512e6
"""Bytes that a pod may have."""
STABLE = tuple(f"stable-{number}" for number in (1, 2, 3))


@dataclass(frozen=True)
class Pod:
    """How a pod serves, at each moment of its life."""

    routes: dict[str, float] = field(default_factory=lambda: {"/": 16.0, "/cart": 3.2, "/export": 0.8})
    """Requests a second."""
    failing: Callable[[float, str], float] = lambda _, __: 0.001
    """Share of failed requests, by seconds since it began to serve, and route."""
    slow: Callable[[float, str], float] = lambda _, __: 0.001
    """Share of requests over 250 ms."""
    memory: Callable[[float], float] = lambda _: 0.4
    """Share of its limit in use."""
    restarts: Callable[[float], int] = lambda _: 0
    """How often it was restarted until then."""
    logged: Callable[[float], float] | None = lambda _: 0.01
    """Errors that it logs each second; None: nobody counts them."""


class Scraped:
    """A Prometheus that has scraped one canary and three stable pods."""

    def __init__(self, canary: Pod, stable: Pod) -> None:
        self.now = SINCE
        self.prometheus = FakePrometheus(self._answer)
        self._pods = {"canary": canary, **dict.fromkeys(STABLE, stable)}
        self._series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        self._counts: dict[tuple[str, str, str], float] = {}
        for scrape in range(-10, 1):
            self._scrape(SINCE + scrape * SCRAPE, STABLE)

    def scrape(self) -> None:
        """Let one interval pass."""
        self.now += SCRAPE
        self._scrape(self.now, tuple(self._pods))

    def facts(self) -> list[PodFact]:
        """Return what the cluster says of the pods."""
        age = self.now - SINCE
        return [
            PodFact(name, "canary" if name == "canary" else "stable", True, name == "canary", pod.restarts(age), LIMIT)
            for name, pod in self._pods.items()
        ]

    def _scrape(self, now: float, pods: tuple[str, ...]) -> None:
        for name in pods:
            pod, age = self._pods[name], now - SINCE - SCRAPE
            track, version = ("canary", "v2") if name == "canary" else ("stable", "v1")
            target = {"pod": name, "track": track, "version": version}
            self._put(now, 1.0, __name__="quarterdeck_build_info", **target)
            self._put(now, pod.memory(age) * LIMIT, __name__="process_memory_usage_bytes", **target)
            if pod.logged is not None:
                errors = {"__name__": "quarterdeck_log_records_total", "log_severity": "ERROR", **target}
                self._put(now, self._count(name, "", "logged", pod.logged(age)), **errors)
            for route, rate in pod.routes.items():
                failed = self._count(name, route, "failed", rate * pod.failing(age, route))
                good = self._count(name, route, "all", rate) - failed
                fast = good - self._count(name, route, "slow", rate * pod.slow(age, route))
                labels = {"__name__": "http_server_request_duration_seconds_bucket", "http_route": route, **target}
                for status, bound, value in (("200", "+Inf", good), ("200", "0.25", fast), ("500", "+Inf", failed)):
                    self._put(now, value, http_response_status_code=status, le=bound, **labels)

    def _count(self, pod: str, route: str, what: str, rate: float) -> float:
        key = (pod, route, what)
        self._counts[key] = self._counts.get(key, 0.0) + rate * SCRAPE
        return float(int(self._counts[key]))

    def _put(self, now: float, value: float, **labels: str) -> None:
        self._series.setdefault(tuple(sorted(labels.items())), []).append((now, value))

    def _answer(self, promql: str, at: float | None) -> Answer:
        if promql == "time()":
            return Answer((Series({}, ((self.now, self.now),)),))
        name, window = promql.partition("{")[0], float(promql.rpartition("[")[2].removesuffix("s]"))
        assert at == self.now
        found = []
        for labels, samples in self._series.items():
            recent = tuple(sample for sample in samples if self.now - window < sample[0])
            if dict(labels)["__name__"] == name and recent:
                found.append(Series(dict(labels), recent))
        return Answer(tuple(found))


def begun(criteria: Criteria) -> RolloutRecord:
    """Return the record of a rollout that has just begun."""
    return RolloutRecord(
        *("id", "checkout", "shop", "local", "uid", "x:v2", "x:v1", "anna", SINCE, SCRAPE, 600.0),
        criteria,
        (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25)),
        since=SINCE,
    )


def judged(canary: Pod, stable: Pod | None = None, *, minutes: float = 20) -> tuple[Assessment, float]:
    """Return how a rollout ends, and after how many minutes."""
    record = begun(Criteria())
    scraped = Scraped(canary, stable or Pod())
    measurer = Measurer(scraped.prometheus, record, version="v2")
    for _ in range(int(minutes * 60 / SCRAPE)):
        scraped.scrape()
        assessment = measurer.look(scraped.facts())
        if assessment.verdict is not Verdict.INCONCLUSIVE:
            break
    assert record.replay() == assessment
    return assessment, (scraped.now - SINCE) / 60


@pytest.mark.parametrize(
    ("canary", "because", "minutes"),
    [
        (Pod(failing=lambda _, __: 0.05), "Availability: the canary failed ", 1.0),
        (Pod(slow=lambda _, __: 0.1), "Latency: the canary was slower than 250 ms on ", 2.0),
        (Pod(failing=lambda age, _: 0.3 if age % 240 < 30 else 0.001), "Availability: the canary failed ", 1.0),
        (Pod(failing=lambda age, _: 0.03 if age > 180 else 0.001), "Availability: the canary failed ", 8.0),
        (
            Pod(failing=lambda _, route: 0.5 if route == "/export" else 0.001),
            "Availability: the canary failed 12 of 600 requests (2 %), 12 of them among the 24 of /export, ",
            3.0,
        ),
        (
            Pod(slow=lambda _, route: 0.5 if route == "/export" else 0.001),
            "Latency: the canary was slower than 250 ms on ",
            4.0,
        ),
        (Pod(memory=lambda age: 0.5 + age / 1200), "Saturation: the memory of the canary's pod canary has grown", 6.0),
        (Pod(restarts=lambda age: int(age // 60)), "Restarts: the canary's pods were restarted 2 times ", 2.5),
        (
            Pod(logged=lambda _: 0.5),
            "Logs: the canary has logged 142 errors within 300 s, all the time, 2.4 on 100 requests; the stable pods 0",
            6.0,
        ),
    ],
    ids=[
        *("broken", "slow", "intermittent", "failing later", "one route", "one slow route", "leaking", "restarting"),
        "logging errors",
    ],
)
def test_a_bad_canary_is_aborted(canary: Pod, because: str, minutes: float) -> None:
    """In the time that its damage allows, with the reason that is its own."""
    assessment, took = judged(canary)

    assert assessment.verdict is Verdict.FAIL
    assert assessment.explanation.startswith(because)
    assert took <= minutes


COLD = Pod(
    slow=lambda age, _: 0.6 if age < 30 else 0.001,
    memory=lambda age: min(0.4, 0.05 + age / 600),
    restarts=lambda _: 2,
    logged=lambda age: 5.0 if age < 30 else 0.01,
)
"""Half a minute of slow requests and errors logged, caches that fill, and two restarts before it was Ready."""

SEARCHING = {"/": 4.0, "/cart": 3.0, "/search": 13.0}


def fails_on_search(_: float, route: str) -> float:
    """Return the share of failures of a service whose search always fails more."""
    return 0.03 if route == "/search" else 0.001


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        (Pod(), Pod()),
        (COLD, Pod()),
        (
            Pod(routes=SEARCHING, failing=fails_on_search, slow=fails_on_search),
            Pod(routes={"/": 15.0, "/cart": 3.0, "/search": 2.0}, failing=fails_on_search, slow=fails_on_search),
        ),
        (
            Pod(failing=lambda age, _: 0.2 if 60 < age < 120 else 0.001),
            Pod(failing=lambda age, _: 0.2 if 60 < age < 120 else 0.001),
        ),
        (Pod(memory=lambda _: 0.97), Pod(memory=lambda _: 0.97)),
        (Pod(logged=lambda _: 2.0), Pod(logged=lambda _: 1.5)),
        (Pod(logged=lambda age: 2.0 if age < 120 else 0.0), Pod()),
        (Pod(logged=lambda _: 2.0), Pod(logged=None)),
    ],
    ids=[
        *("alike", "cold", "shifted mix", "an incident on both sides", "full on both sides"),
        *("logging as stable does", "logging for two minutes", "the first that counts what it logs"),
    ],
)
def test_a_healthy_canary_is_not_aborted(canary: Pod, stable: Pod) -> None:
    """It passes, however odd it looks: what is odd is its age, its traffic, or the day's."""
    assessment, _ = judged(canary, stable, minutes=60)

    assert assessment.verdict is Verdict.PASS


def test_a_canary_cold_for_longer_than_the_catalogue_says_is_slow() -> None:
    """The control: it is the warm-up that lets a cold canary be."""
    assessment, _ = judged(Pod(slow=lambda age, _: 0.6 if age < 180 else 0.001))

    assert assessment.verdict is Verdict.FAIL


def test_what_fails_only_at_the_peak_is_not_shown_before_it() -> None:
    """A verdict is about the traffic it was made of; `rollout plan` says how far from the peak that is."""
    assessment, _ = judged(Pod(failing=lambda age, _: 0.05 if age > 1500 else 0.001))

    assert assessment.verdict is Verdict.PASS


@pytest.mark.parametrize("rules", [Rules(), Rules(logs=None)], ids=["now", "before logs were counted"])
def test_a_bundle_is_judged_again_by_the_rules_of_its_time(rules: Rules, tmp_path: Path) -> None:
    """To the byte: nothing is asked that was not asked then, and nothing is written that was not looked at."""
    record, tape, scraped = begun(Criteria(guards=rules)), Tape(), Scraped(Pod(logged=lambda _: 0.5), Pod())
    measurer = Measurer(scraped.prometheus, record, version="v2", tape=tape)
    for _ in range(24):
        scraped.scrape()
        measurer.look(scraped.facts())
    (tmp_path / RECORD).write_text(record.to_json())
    (tmp_path / ANSWERS).write_bytes(tape.packed())

    again = judge_again(tmp_path)

    assert again.to_json() == record.to_json()
    assert any("log_records" in asked for asked in scraped.prometheus.asked) is (rules.logs is not None)
    assert ("log" in record.to_json()) is (rules.logs is not None)
    assert again.guarded().alarm.startswith("Logs: ") is (rules.logs is not None)
