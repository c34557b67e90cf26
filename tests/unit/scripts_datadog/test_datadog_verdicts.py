"""Canaries judged by Datadog's metrics; each call is held to Datadog's own description, where that is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.scripts_datadog.datadog_world import BEGIN, EXPORT
from tests.unit.scripts_publish.datadog_server import KEYS

from quarterdeck_scripts.datadog.metrics import PodLabels
from quarterdeck_scripts.ports import AnswerError
from quarterdeck_scripts.rollout.checks.preflight import require_measurable
from quarterdeck_scripts.rollout.judge import queries
from quarterdeck_scripts.rollout.judge.counts import Counts
from quarterdeck_scripts.rollout.judge.criteria import Bad, Objective
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripts_datadog.datadog_world import World

    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

ERRORS = Objective("errors", Bad.FAILED, 0.0025)
SLOW = Objective("latency", Bad.SLOW, 0.005, 0.25)
ONE_ROUTE = replace(ERRORS, name="orders", where=(("http_request_method", "GET"), ("http_route", r"/orders/\{id\}")))


def judged(world: World, minutes: int, *objectives: Objective, **how: float) -> tuple[list[Any], RolloutRecord]:
    """Have the pods serve, the canary as *how* says, and look each minute; return the looks and the record."""
    measurer, record = world.measurer(*objectives)
    looks = []
    for _ in range(minutes):
        for pod, known in world.pods.items():
            world.serve(pod, EXPORT, **(how if known.track == "canary" else {}))
        world.clock.sleep(EXPORT)
        looks.append(measurer.look(world.facts()))
    return looks, record


def test_counts_are_the_services_own(world: World) -> None:
    """Of the canary from its first request on, of the stable pods since the canary came; no event twice or never."""
    _, record = judged(world, 6, ERRORS, SLOW, ONE_ROUTE, failing=0.05, slow=0.1)

    errors, slow, one_route = record.readings[-1].tallies
    assert record.readings[-1].causes == ()
    assert (errors.canary, errors.stable) == (Counts(3600, 180), Counts(7200, 0))
    assert (slow.canary.bad, slow.stable) == (300, Counts(7200, 0))  # its first minute is a cold one
    assert (one_route.canary, one_route.stable) == (errors.canary, errors.stable)


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ({}, Verdict.PASS),
        ({"failing": 0.05}, Verdict.FAIL),
        ({"slow": 0.3}, Verdict.FAIL),
        ({"slow": 1.0}, Verdict.FAIL),
    ],
)
def test_canaries_are_told_apart(world: World, how: dict[str, float], verdict: Verdict) -> None:
    """As with a Prometheus, in minutes."""
    looks, _ = judged(world, 30, ERRORS, SLOW, **how)

    assert verdict in [look.verdict for look in looks]
    assert {look.verdict for look in looks} <= {verdict, Verdict.INCONCLUSIVE}


def test_a_route_that_is_slow_at_both_sides_hides_nothing(world: World) -> None:
    """Datadog sends no series where nothing is counted: what it counted elsewhere says that it was nothing here."""
    target = {"env": "prod", "kube_namespace": "shop", "service": "checkout"}
    slow_route = {"http__request__method": "GET", "http__route": "/reports", "http__response__status_code": "200"}
    for pod, known in world.pods.items():
        for minute in range(31):
            world.server.metrics.send(
                *("http.server.request.duration", BEGIN + 600 + EXPORT * minute, 0.7, 2),
                **(target | slow_route | {"pod_name": pod, "version": known.version}),
            )
    looks, record = judged(world, 30, ERRORS, SLOW)

    assert record.readings[-1].causes == ()
    assert Verdict.FAIL not in [look.verdict for look in looks]
    assert {each.route for each in record.readings[-1].tallies[1].routes} == {"GET /orders/{id}", "GET /reports"}


def test_without_buckets_latency_is_no_evidence(world: World) -> None:
    """Of a metric without percentiles Datadog counts all, and nothing up to a bound."""
    answer = world.server.metrics.answer

    def uncounted(query: str, start: int, end: int) -> dict[str, Any]:
        whole = answer(query, start, end)
        bounded = [number for number, part in enumerate(query.split(",count")) if "v<=" in part]
        return {**whole, "series": [each for each in whole["series"] if each["query_index"] not in bounded]}

    world.server.metrics.answer = uncounted  # type: ignore[method-assign]  # a setting of the metric
    looks, record = judged(world, 30, ERRORS, SLOW)

    assert {look.verdict for look in looks} == {Verdict.INCONCLUSIVE}
    assert "no bucket of 0.25 s of the" in record.readings[-1].causes[0]


def test_what_is_late_is_counted_when_it_comes(world: World) -> None:
    """Datadog adds to intervals that it has answered for before."""
    measurer, record = world.measurer(ERRORS)
    for pod in world.pods:
        world.serve(pod, 120)
    late = world.server.metrics.events["http.server.request.duration"]
    held = [each for each in late if each[1]["pod_name"] == "checkout-canary-a"][-1:]
    for each in held:
        late.remove(each)
    world.clock.sleep(120)
    measurer.look(world.facts())
    late += held
    for pod in world.pods:
        world.serve(pod, 60)
    world.clock.sleep(60)

    measurer.look(world.facts())

    assert record.readings[0].tallies[0].canary.requests < record.readings[1].tallies[0].canary.requests == 1800


def test_an_answer_that_is_cut_off_is_no_evidence(world: World) -> None:
    """The parts are compared with Datadog's own total: it sends no more series than it likes."""
    answer = world.server.metrics.answer

    def cut(query: str, start: int, end: int) -> dict[str, Any]:
        whole = answer(query, start, end)
        parted = [each for each in whole["series"] if each["tag_set"]]
        return {**whole, "series": parted[1:] + [each for each in whole["series"] if not each["tag_set"]]}

    world.server.metrics.answer = cut  # type: ignore[method-assign]  # what a limit does
    looks, record = judged(world, 2, ERRORS)

    assert {look.verdict for look in looks} == {Verdict.INCONCLUSIVE}
    assert "Datadog sent " in record.readings[-1].causes[0]


def briefly(world: World, pod: str, track: str, version: str) -> None:
    """Have a pod serve that is gone before anybody looks."""
    world.pods[pod] = PodLabels(track, version)
    world.serve(pod, 60, failing=0.5)
    del world.pods[pod]


def test_a_pod_that_came_and_went_between_two_looks_is_known_by_its_version(world: World) -> None:
    """A canary's errors are not lost with it."""
    briefly(world, "checkout-canary-b", "canary", "v2")
    _, record = judged(world, 1, ERRORS)

    assert record.readings[-1].causes == ()
    assert record.readings[-1].tallies[0].canary == Counts(1200, 300)


def test_a_pod_that_nothing_places_is_no_evidence(world: World) -> None:
    """A fresh baseline runs the stable pods' version."""
    world.pods["checkout-baseline-a"] = PodLabels("baseline", "v1")
    measurer, record = world.measurer(ERRORS)
    world.clock.sleep(EXPORT)
    briefly(world, "checkout-c", "stable", "v1")
    world.clock.sleep(EXPORT)
    measurer.look(world.facts())

    assert "the pod checkout-c has reported, and neither the cluster nor" in record.readings[-1].causes[0]


def test_what_was_gone_before_the_rollout_is_no_part_of_it(world: World) -> None:
    """The version that the last rollout replaced, minutes ago."""
    briefly(world, "checkout-old", "stable", "v0")
    world.clock.sleep(2 * EXPORT)
    _, record = judged(world, 2, ERRORS)

    assert record.readings[-1].causes == ()
    assert record.readings[-1].tallies[0].stable == Counts(2400, 0)


def test_a_pod_that_is_gone_keeps_what_it_counted(world: World) -> None:
    """It was known before."""
    measurer, record = world.measurer(ERRORS)
    for pod in world.pods:
        world.serve(pod, 60)
    world.clock.sleep(60)
    measurer.look(world.facts())
    del world.pods["checkout-b"]
    for pod in world.pods:
        world.serve(pod, 60)
    world.clock.sleep(60)
    measurer.look(world.facts())

    assert record.readings[-1].tallies[0].stable == Counts(1800, 0)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"status": "error", "error": "timeout", "series": []}, "the status error: timeout"),
        ({"status": "ok", "series": [{"pointlist": [[0, 1]]}]}, "an answer of another shape"),
        (
            {"status": "ok", "series": [{"query_index": 0, "interval": 300, "pointlist": [], "tag_set": []}]},
            "intervals",
        ),
        ({"status": "ok", "series": []}, "has no series of this service"),
    ],
)
def test_what_is_no_answer_decides_nothing(world: World, fault: dict[str, Any], cause: str) -> None:
    """The cause is named."""
    world.server.metrics.answer = lambda *_: fault  # type: ignore[method-assign]  # whatever Datadog may say
    looks, record = judged(world, 3, ERRORS)

    assert {look.verdict for look in looks} == {Verdict.INCONCLUSIVE}
    assert cause in " ".join(record.readings[-1].causes)


def _each(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what spoils an answer by doing *change* to each series, or as much of it as it has."""
    return lambda answer: {**answer, "series": [change(each) for each in answer["series"]]}


def _valued(value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what spoils an answer by putting *value* in place of each."""
    return _each(lambda each: {**each, "pointlist": [[moment, value] for moment, _ in each["pointlist"]]})


SPOILED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no number": _valued(float("nan")),
    "infinite": _valued(float("inf")),
    "less than nothing": _valued(-5.0),
    "null": _valued(None),
    "text": _valued("many"),
    "no points": _each(lambda each: {**each, "pointlist": []}),
    "long ago": _each(lambda each: {**each, "pointlist": [[m - 1e7, v] for m, v in each["pointlist"]]}),
    "of no pod": _each(lambda each: {**each, "tag_set": [t for t in each["tag_set"] if not t.startswith("pod_name")]}),
    "of other pods": _each(lambda each: {**each, "tag_set": [t.replace("checkout", "x") for t in each["tag_set"]]}),
    "without tags": _each(lambda each: {key: value for key, value in each.items() if key != "tag_set"}),
    "of no query": _each(lambda each: {**each, "query_index": 99}),
    "in other intervals": _each(lambda each: {**each, "interval": 300_000}),
    "twice": lambda answer: {**answer, "series": answer["series"] + [s for s in answer["series"] if s["tag_set"]]},
    "nothing": lambda _: {"status": "ok", "series": []},
    "a list": lambda answer: answer["series"],
    "null itself": lambda _: None,
    "an error in passing": lambda answer: {**answer, "status": "timeout"},
}
"""What may come instead of an answer, by name."""


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_bad_data_never_passes(world: World, spoil: Callable[[dict[str, Any]], Any]) -> None:
    """Of a healthy canary; nor does it fail one: there is no evidence either way."""
    answer = world.server.metrics.answer
    world.server.metrics.answer = lambda *asked: spoil(answer(*asked))  # type: ignore[method-assign]  # spoiled

    looks, record = judged(world, 12, ERRORS)
    world.server.wrong.clear()  # what is spoiled need not be as Datadog describes it

    assert {look.verdict for look in looks} == {Verdict.INCONCLUSIVE}
    assert record.readings[-1].causes


@pytest.mark.parametrize("status", [403, 500, 429])
def test_a_refusal_is_named_without_the_keys(world: World, status: int) -> None:
    """And decides nothing."""
    world.server.faults += [("GET", "/api/v1/validate", status)] * 3

    with pytest.raises(AnswerError) as raised:
        world.api().query(queries.CLOCK)

    assert raised.value.expected == "an answer from Datadog's metrics"
    assert not any(key in str(raised.value) for key in KEYS.values())


def test_a_service_can_be_seen_to_be_measurable_before_a_rollout(world: World) -> None:
    """By the same question as with a Prometheus."""
    require_measurable(world.api(), "shop", "checkout", EXPORT)


def test_what_is_usual_is_asked_of_the_pods_that_are_meant(world: World) -> None:
    """Growth of each bucket over ten minutes, of the stable version's successes."""
    world.serve("checkout-canary-a", 60)
    world.clock.sleep(60)

    found = world.api().query(queries.durations("shop", "checkout", 660), at=world.clock.now())

    within = {series.labels["le"]: series.samples[0][1] for series in found.series}
    assert within["+Inf"] == within["0.025"] == 12_000
    assert len(within) < 16


@pytest.mark.parametrize(
    "promql",
    [
        "rate(http_server_request_duration_seconds_count[5m])",
        "histogram_quantile(0.9, http_server_request_duration_seconds_bucket)",
        "up",
        'quarterdeck_build_info{colour="red"}[60s]',
        "((",
    ],
)
def test_what_datadog_cannot_be_asked_is_refused(world: World, promql: str) -> None:
    """It is no answer, and nothing is made up."""
    with pytest.raises(AnswerError, match="cannot be asked"):
        world.api().query(promql)


def test_every_question_of_a_rollout_can_be_asked(world: World) -> None:
    """Whatever rollouts ask, but the selector whose exemplars name traces: Datadog has none of these."""
    asked = {name: text for name, text in queries.examples(None).items() if name != "rollout-served"}  # type: ignore[arg-type]  # unused

    for name, text in asked.items():
        assert world.api().query(text, at=world.clock.now()).warnings == (), name
    assert len(asked) >= 4
