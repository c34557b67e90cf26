"""`rollout plan`: what can be shown in the time given, what it could cost, and what it is blind to."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import InconclusiveError, UsageError
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts import cli
from quarterdeck_scripts.ports import Answer, AnswerError, FakePrometheus, Series
from quarterdeck_scripts.rollout.foresight.asking import counted_at_peak, outlook
from quarterdeck_scripts.rollout.foresight.outlook import Setting
from quarterdeck_scripts.rollout.foresight.power import Power, Rates
from quarterdeck_scripts.rollout.foresight.traffic import Load, Traffic
from quarterdeck_scripts.rollout.foresight.warning import findings
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.verdict import Verdict
from quarterdeck_scripts.rollout.planning import command
from quarterdeck_scripts.rollout.planning.text import render
from quarterdeck_scripts.rollout.steps.state import Baseline, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Service

FAILED = Objective("availability", Bad.FAILED, floor=0.0025)
SLOW = Objective("latency", Bad.SLOW, floor=0.005, threshold=0.25)
POWER = Power(FAILED, Criteria(), interval=15, sharers=2)

SETTING = Setting("checkout", Strategy.CANARY, Baseline.STABLE, 1, 9, interval=15, max_wait=600)


def service(slos: str = "", framework: str = "fastapi") -> Service:
    """Return a service with these SLOs."""
    text = f"""
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: a
    image: localhost/checkout:v1
    framework: {framework}
    slos: [{slos}]
"""
    return parse(text, "a test").services[0]


AVAILABILITY = "{name: availability, kind: availability, objective: 99.5}"
LATENCY = "{name: latency, kind: latency, objective: 99, threshold: 250ms}"


def prometheus(
    routes: dict[str, tuple[float, float]], *, peak: float = 0.0, left: float | None = None, slow: float = 0.0
) -> FakePrometheus:
    """Return a Prometheus that knows the requests and failures a second of each route."""

    def answer(promql: str, at: float | None) -> Answer:
        del at
        found: list[tuple[dict[str, str], float]] = []
        if promql.startswith("max_over_time"):
            found = [({}, peak)]
        elif promql.startswith("slo:error_budget_remaining"):
            found = [] if left is None else [({}, left)]
        elif "_bucket{" in promql and promql.startswith("sum by (http_request_method"):
            found = [({**labels(route), "le": "0.25"}, (1 - slow) * (n - bad)) for route, (n, bad) in routes.items()]
        elif "_count{" in promql:
            for route, (requests, bad) in routes.items():
                found.append(({**labels(route), "http_response_status_code": "200"}, requests - bad))
                found.append(({**labels(route), "http_response_status_code": "503"}, bad))
        return Answer(tuple(Series(each, ((1.0, value),)) for each, value in found))

    return FakePrometheus(answer)


def labels(route: str) -> dict[str, str]:
    """Return a route's labels."""
    method, _, template = route.partition(" ")
    return {"http_request_method": method, "http_route": template}


@pytest.mark.parametrize(
    ("rates", "share"),
    [(Rates(10, 90, 0.002), 0.01), (Rates(10, 10, 0.002), 0.01), (Rates(50, 50, 0.001), 0.006)],
)
def test_the_time_foreseen_is_what_simulated_rollouts_take(simulation: Any, rates: Rates, share: float) -> None:
    """The median of sixty simulated canaries lies within two scrapes and a fifth of it."""
    foreseen = POWER.seconds_to_fail(rates, share)
    scenario = simulation.Scenario("foreseen", share, rates.share, rates.canary, rates.baseline)
    median = 60 * simulation.simulate(scenario, 60).median(Verdict.FAIL)

    assert foreseen is not None
    assert abs(foreseen - median) <= 30 + 0.2 * median


def test_a_pass_foreseen_is_what_a_simulated_rollout_takes(simulation: Any) -> None:
    """Without errors nothing is left to chance."""
    scenario = simulation.Scenario("foreseen", 0.0, 0.0, 100, 900)
    verdict, minutes = simulation.run(scenario, random.Random(1), simulation.Ours(1))  # noqa: S311 -- a simulation

    assert verdict is Verdict.PASS
    assert POWER.seconds_to_pass(Rates(100, 900, 0.0)) == 60 * minutes


def test_the_least_that_is_shown_is_shown_in_time_and_less_is_not() -> None:
    """The border between what can and what cannot be detected."""
    rates = Rates(10, 90, 0.002)
    least = POWER.least_shown(rates, 600)

    assert least is not None
    shown, hidden = POWER.seconds_to_fail(rates, least), POWER.seconds_to_fail(rates, least / 1.06)
    assert shown is not None
    assert shown <= 600
    assert hidden is None or hidden > 600


@pytest.mark.parametrize("rates", [Rates(0, 90, 0.002), Rates(10, 0, 0.002)])
def test_without_traffic_on_a_side_nothing_is_shown(rates: Rates) -> None:
    """A comparison needs both."""
    assert POWER.seconds_to_fail(rates, 1.0) is None
    assert POWER.least_shown(rates, 600) is None


def test_what_is_always_allowed_is_never_shown() -> None:
    """A canary below the floor does not fail, however much worse than stable it is."""
    assert POWER.seconds_to_fail(Rates(1000, 9000, 0.0001), 0.0025) is None


def test_slow_requests_are_shown_after_the_warm_up() -> None:
    """The same test begins half a minute later."""
    rates = Rates(10, 90, 0.002)
    soon = Power(SLOW, Criteria(warm_up=0), 15).seconds_to_fail(rates, 0.5)
    later = Power(SLOW, Criteria(warm_up=30), 15).seconds_to_fail(rates, 0.5)

    assert soon is not None
    assert later == soon + 30


@pytest.mark.parametrize(
    ("strategy", "baseline", "pods", "rates"),
    [
        (Strategy.CANARY, Baseline.STABLE, 1, Rates(10, 90, 0.01)),
        (Strategy.CANARY, Baseline.FRESH, 1, Rates(100 / 11, 100 / 11, 0.01)),
        (Strategy.BLUE_GREEN, Baseline.STABLE, 9, Rates(100, 100, 0.01)),
        (Strategy.ROLLING, Baseline.STABLE, 3, Rates(100 / 3, 200 / 3, 0.01)),
    ],
)
def test_each_strategy_has_its_part_of_the_traffic(
    strategy: Strategy, baseline: Baseline, pods: int, rates: Rates
) -> None:
    """And what it is compared with: stable pods, a fresh baseline, the time before, the pods not yet replaced."""
    found = Setting("checkout", strategy, baseline, pods, 9, 15, 600).rates(Load(100, 1))

    assert (found.canary, found.baseline, found.share) == pytest.approx((rates.canary, rates.baseline, rates.share))


def test_traffic_is_told_by_route_for_each_objective() -> None:
    """Failed requests of all, slow ones of those that succeeded."""
    ended = (
        ({**labels("GET /a"), "http_response_status_code": "200"}, 8.0),
        ({**labels("GET /a"), "http_response_status_code": "500"}, 2.0),
        ({**labels("GET /b"), "http_response_status_code": "404"}, 30.0),
    )
    within = (({**labels("GET /a"), "le": "0.25"}, 6.0), ({**labels("GET /b"), "le": "0.25"}, 30.1))
    traffic = Traffic(ended, within, 0.0)

    assert traffic.load(FAILED, sli.HTTP) == {"GET /b": Load(30.0, 0.0), "GET /a": Load(10.0, 2.0)}
    assert traffic.load(SLOW, sli.HTTP) == {"GET /b": Load(30.0, 0.0), "GET /a": Load(8.0, 2.0)}


def test_it_says_what_can_be_shown_and_what_it_costs() -> None:
    """The whole page, for a service that can be judged but for one route."""
    routes = {"GET /": (99.0, 0.2), "POST /export": (1.0, 0.0), "GET /rare": (0.001, 0.0)}
    found = outlook(service(AVAILABILITY), prometheus(routes, peak=400.0, left=0.005), SETTING)

    assert render(found).splitlines() == [
        "checkout: canary, 1 pod of the new version beside 9 stable pods",
        "  traffic    100 requests/s; the new version gets 10 % of them, where every pod gets as many",
        "             25 % of the last week's peak (400/s): what fails only at the peak is not shown now",
        "  availability: failed requests, now 0.2 %; 0.25 % is always allowed; 10 requests/s are compared with 90",
        "    healthy    passes in about 54.2 min, later than the 10 min it is given",
        "    shown      0.63 % or more within 10 min, and not less",
        "    at 0.5 %   not shown in time; costs 0.0051 of the error budget's 216 minutes, 1.08 are left",
        "    at 1.2 %   shown in about 1.8 min; costs 0.0025 of the error budget's 216 minutes, 1.08 are left",
        "    at 100 %   shown in about 30 s; costs 0.075 of the error budget's 216 minutes, 1.08 are left",
        "    blind      1 of 3 routes could fail completely unseen: GET /rare",
        "  in sum     a healthy canary would end inconclusive: raise max_wait, or roll out when there is more traffic",
    ]


def test_damage_beyond_what_is_left_of_the_budget_stands_out() -> None:
    """Blast radius: weight times defect times time, against the minutes that are left."""
    routes = {"GET /": (100.0, 0.0)}
    found = outlook(service(AVAILABILITY), prometheus(routes, left=0.0001), SETTING)
    worst = found.prospects[0].damages[-1]

    assert worst.seconds == 30
    assert worst.minutes == pytest.approx(0.1 * 1.0 * (30 + 15) / 60)
    assert "costs 0.075 of the error budget's 216 minutes: MORE than the 0.0216 that are left" in render(found)


def test_a_rollout_is_warned_of_what_it_could_cost_and_could_not_show() -> None:
    """Both are said in its plan; neither refuses, for what mends a spent budget is a rollout too."""
    found = findings(service(AVAILABILITY), prometheus({"GET /": (100.0, 0.2)}, left=0.0001), SETTING)

    assert [(each.guard, each.refuses) for each in found] == [("error budget", False), ("evidence", False)]
    assert str(found[0]) == (
        "a canary that fails completely would cost 0.075 minutes of the error budget of availability, of which 0.022 "
        "are left: let fewer pods in at first, or wait until the budget has recovered"
    )
    assert found[1].found == "at 100 requests/s a healthy canary would end inconclusive after 10 min"


def test_nothing_is_warned_of_where_nothing_is_known_or_all_is_well() -> None:
    """A service without traffic is another preflight's; one with enough of both has nothing to fear."""
    assert findings(service(AVAILABILITY), prometheus({}), SETTING) == ()
    assert findings(service(AVAILABILITY), prometheus({"GET /": (1000.0, 0.0)}, left=0.9), SETTING) == ()


@pytest.mark.parametrize(("seconds", "rate"), [(360.0, 1000.0), (2.0, 6000.0), (3600.0, 100.0), (9000.0, 100.0)])
def test_a_service_that_is_new_has_the_traffic_of_the_time_it_is_there(seconds: float, rate: float) -> None:
    """An hour's rate took the time before for time without requests, and warned of too few where there were enough."""
    asked = prometheus({"GET /": (100.0, 0.0)}, slow=0.01)

    def answer(promql: str, at: float | None) -> Answer:
        if promql.startswith("time() - min("):
            return Answer((Series({}, ((1.0, seconds),)),))
        return asked.query(promql, at=at)

    found = outlook(service(f"{AVAILABILITY}, {LATENCY}"), FakePrometheus(answer), SETTING)

    assert found.rate == pytest.approx(rate)
    assert [each.rates.share for each in found.prospects] == pytest.approx([0.0, 0.01])


def test_a_rollout_far_from_the_peak_is_warned_that_it_is() -> None:
    """What fails only there is not shown before; near the peak there is nothing to say."""
    far, near = (
        findings(service(AVAILABILITY), prometheus({"GET /": (900.0, 0.0)}, peak=peak), SETTING)
        for peak in (3600.0, 1700.0)
    )

    assert [(each.guard, each.refuses) for each in far] == [("peak", False)]
    assert str(far[0]) == (
        "900 requests/s are 25 % of the last week's peak, and what fails only at the peak is not shown now: look again "
        "then"
    )
    assert near == ()


@pytest.mark.parametrize(
    ("strategy", "baseline", "counted"),
    [
        (Strategy.CANARY, Baseline.STABLE, 400.0),
        (Strategy.CANARY, Baseline.FRESH, 2 * 400.0 / 11),
        (Strategy.BLUE_GREEN, Baseline.STABLE, 2 * 400.0),
        (Strategy.ROLLING, Baseline.STABLE, 400.0),
    ],
)
def test_the_peak_is_told_in_what_a_verdict_counts(strategy: Strategy, baseline: Baseline, counted: float) -> None:
    """The requests of its two sides alone, whatever the strategy makes of the others."""
    setting = Setting("checkout", strategy, baseline, 1, 9, interval=15, max_wait=600)

    asked = prometheus({"GET /": (100.0, 0.0)}, peak=400.0)
    assert counted_at_peak(service(AVAILABILITY), asked, setting) == pytest.approx(counted)


def test_a_peak_that_nobody_tells_is_none() -> None:
    """A Prometheus that does not answer keeps no rollout from being judged."""

    def silent(promql: str, at: float | None) -> Answer:
        raise AnswerError("an answer", f"none to {promql} at {at}", "wait")

    assert counted_at_peak(service(AVAILABILITY), FakePrometheus(silent), SETTING) == 0.0


def test_a_budget_that_nobody_knows_is_said_to_be_unknown() -> None:
    """Without recording rules there is no sum, not a sum of zero."""
    found = outlook(service(AVAILABILITY), prometheus({"GET /": (100.0, 0.0)}), SETTING)

    assert found.prospects[0].budget is not None
    assert found.prospects[0].budget.left is None
    assert "(nobody knows how many are left)" in render(found)


def test_a_healthy_canary_that_passes_in_time_is_conclusive() -> None:
    """Each objective has a prospect of its own."""
    found = outlook(service(f"{AVAILABILITY}, {LATENCY}"), prometheus({"GET /": (1000.0, 0.0)}, slow=0.001), SETTING)

    assert found.conclusive
    assert [prospect.objective.name for prospect in found.prospects] == ["availability", "latency"]
    assert found.prospects[1].rates.share == pytest.approx(0.001)
    assert render(found).endswith("in sum     a healthy canary passes within the 10 min it is given")


def test_too_little_traffic_for_anything_is_said() -> None:
    """Two requests an hour show nothing, whatever the number of pods."""
    found = outlook(service(AVAILABILITY), prometheus({"GET /": (2 / 3600, 0.0)}), SETTING)

    assert not found.conclusive
    assert found.pods_needed is None
    text = render(found)
    assert "shown      nothing within 10 min, not even a canary that fails all requests" in text
    assert text.endswith("would end inconclusive: raise max_wait, or roll out when there is more traffic")


def test_a_service_without_traffic_has_no_outlook() -> None:
    """It would be made of nothing."""
    with pytest.raises(InconclusiveError, match="requests to the stable pods of shop/checkout in the last hour"):
        outlook(service(AVAILABILITY), prometheus({}), SETTING)


def test_a_service_that_nobody_calls_is_refused() -> None:
    """A worker takes its work from a queue: there are no requests to compare."""
    with pytest.raises(UsageError, match="celery"):
        outlook(service(framework="celery"), prometheus({}), SETTING)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_bad_answers_are_no_traffic(value: float) -> None:
    """NaN, infinity and negative rates are left out."""
    with pytest.raises(InconclusiveError):
        outlook(service(AVAILABILITY), prometheus({"GET /": (value, 0.0)}), SETTING)


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a way to type the command in a world whose Prometheus answers what a plan asks."""

    def run(rate: float, *more: str) -> int:
        world.prometheus = prometheus({"GET /": (rate, 0.0)}, slow=0.0)
        monkeypatch.setattr(command, "_open", lambda *_: world.session())
        return cli.run(["rollout", "plan", "checkout", *more])

    return run


def test_the_command_exits_3_when_a_rollout_would_be_inconclusive(
    typed: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """And 0 when it would not; more pods may make the difference."""
    assert typed(1000.0) == 0
    assert capsys.readouterr().out.startswith("checkout: canary, 1 pod of the new version beside 3 stable pods\n")
    assert typed(15.0) == 3
    assert capsys.readouterr().out.endswith("would end inconclusive; with canary_replicas: 3 it passes\n")
    assert typed(15.0, "--canary-replicas", "3") == 0


def test_the_command_speaks_json(typed: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers as they are, for whoever decides by machine."""
    typed(1000.0, "--output", "json")

    found = json.loads(capsys.readouterr().out)
    assert (found["conclusive"], found["rate"], found["setting"]["canary_pods"]) == (True, 1000.0, 1)
    assert found["prospects"][0]["passes"] == 8.0
