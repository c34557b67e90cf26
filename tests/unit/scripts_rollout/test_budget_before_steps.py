"""Before each step of weights: what a complete failure would cost there, beside what is left of the budget now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import InconclusiveError
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_scripts.notices.notice import Occasion
from quarterdeck_scripts.ports import Answer, FakePrometheus, Series
from quarterdeck_scripts.rollout.acting.told import Herald
from quarterdeck_scripts.rollout.foresight.asking import setting
from quarterdeck_scripts.rollout.foresight.outlook import Setting
from quarterdeck_scripts.rollout.foresight.warning import findings, short
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Verdict
from quarterdeck_scripts.rollout.planning.text import render
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps.asks import Ask, Wish
from quarterdeck_scripts.rollout.steps.flow import Plan, start
from quarterdeck_scripts.rollout.steps.state import Baseline, Ending, State, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quarterdeck_scripts.notices.notice import Notice

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

NEW = State("checkout-v2-1", "uid", V2, V1, "anna", "2026-01-02T03:04:05+00:00", weights=(10, 50))
PLAN = Plan("checkout", NEW, replicas=1, interval=15, ready_within=60, max_wait=600)
BEGUN = do.Situation(NEW, V1, stable_settled=True, canary_image=V2, replicas=3, weighed=True)
ALIKE = (do.AcquireLock, do.ReleaseLock, do.Inspect, do.SaveState, do.ClearState, do.Fence, do.CreateCanary)
SPENT = "it would cost 0.4 minutes, of which 0.1 are left"


def look(verdict: Verdict, elapsed: float, wish: Wish | None = None) -> do.Look:
    """Return one look with that verdict, *elapsed* seconds after the first at this step."""
    ask = Ask(wish, "checkout-v2-1", "ben", "now", "") if wish else None
    return do.Look(Assessment(verdict, (), (), f"it is {verdict}."), elapsed, ask=ask)


def walk(looks: Sequence[do.Look], foreseen: Sequence[str], at: int = 10) -> tuple[list[do.Action], do.Outcome]:
    """Go on with a rollout that is *at* that percent; return what it did from the first look on, and how it ended."""
    flow, looked, said = start(PLAN), list(looks), list(foreseen)
    taken: list[do.Action] = []
    action, answer = next(flow), None
    try:
        while True:
            match action:
                case do.Inspect():
                    answer = BEGUN
                case do.WaitReady():
                    answer = do.Waited(ready=True)
                case do.Weigh(percent, unless_more):
                    answer = at if unless_more else percent
                case do.Measure():
                    answer = looked.pop(0)
                case do.Foresee():
                    answer = said.pop(0)
                case _:
                    answer = None
            if not isinstance(action, ALIKE):
                taken.append(action)
            action = flow.send(answer)
    except StopIteration as stop:
        assert (looked, said) == ([], [])
        return taken[2:], stop.value


def test_a_step_that_the_budget_bears_is_taken() -> None:
    """And no budget is asked for where no step follows."""
    taken, outcome = walk([look(Verdict.PASS, 60), look(Verdict.PASS, 60)], [""])

    assert taken[:5] == [do.Measure(), do.Foresee(50), do.Weigh(50), do.Measure(), do.Promote(V2)]
    assert outcome.ending is Ending.PROMOTED


def test_a_step_that_the_budget_does_not_bear_is_held_until_it_does() -> None:
    """It is judged on meanwhile, at the share that it has; the budget is asked for anew each time."""
    looks = [look(Verdict.PASS, 590), look(Verdict.INCONCLUSIVE, 605), look(Verdict.PASS, 620), look(Verdict.PASS, 15)]

    taken, outcome = walk(looks, [SPENT, ""])

    assert taken[:8] == [
        do.Measure(),
        do.Foresee(50),
        do.Pause(15),
        do.Measure(),
        do.Pause(15),
        do.Measure(),
        do.Foresee(50),
        do.Weigh(50),
    ]
    assert outcome.ending is Ending.PROMOTED


def test_a_hold_that_nobody_ends_is_inconclusive() -> None:
    """After as long as judging may take: everything is put back, for a person to decide."""
    looks = [look(Verdict.PASS, seconds) for seconds in (300, 600, 899, 900)]

    taken, outcome = walk(looks, [SPENT] * 4)

    assert do.Weigh(50) not in taken
    assert outcome == do.Outcome(Ending.INCONCLUSIVE, f"held for 10 min before the next step: {SPENT}")


def test_time_that_is_paused_is_no_holds() -> None:
    """Somebody looks into it."""
    looks = [look(Verdict.PASS, 300), look(Verdict.PASS, 5000, Wish.PAUSE), look(Verdict.PASS, 5015)]

    _, outcome = walk([*looks, look(Verdict.PASS, 15)], [SPENT, ""])

    assert outcome.ending is Ending.PROMOTED


def test_promote_ends_a_hold() -> None:
    """A mend for a spent budget is a rollout too."""
    taken, outcome = walk([look(Verdict.PASS, 300), look(Verdict.PASS, 315, Wish.PROMOTE)], [SPENT])

    assert do.Promote(V2) in taken
    assert (outcome.ending, outcome.reason[:7]) == (Ending.PROMOTED, "promote")


def test_a_canary_that_fails_while_it_is_held_is_put_back() -> None:
    """A hold judges on."""
    _, outcome = walk([look(Verdict.PASS, 300), look(Verdict.FAIL, 315)], [SPENT])

    assert outcome.ending is Ending.ROLLED_BACK


def test_whoever_resumes_at_a_later_step_asks_for_those_after_it() -> None:
    """Nothing of it is stored: the share is read off the routes, the budget is asked for."""
    taken, _ = walk([look(Verdict.PASS, 60)], [], at=50)

    assert not any(isinstance(each, do.Foresee) for each in taken)


def test_people_are_told_once_of_a_hold() -> None:
    """Where they look, not only on the screen of who runs it."""
    heard: list[Notice] = []

    class Record:
        id, service, namespace, environment, image, by, began = "r", "checkout", "shop", "prod", V2, "anna", 0.0

    def flow() -> do.Flow:
        for _ in range(3):
            yield do.Measure()
            yield do.Foresee(50)
        return do.Outcome(Ending.PROMOTED, "")

    told = Herald(Record(), lambda: 0.0, heard.append).follow(flow())  # type: ignore[arg-type]  # what it reads of it
    next(told)
    for _ in range(2):
        told.send(look(Verdict.PASS, 15))
        told.send(SPENT)
    told.send(look(Verdict.PASS, 15))
    with pytest.raises(StopIteration):
        told.send(SPENT)

    assert [(each.occasion, each.title) for each in heard[:-1]] == [
        (Occasion.PAUSED, "checkout: rollout of v2 held before its next step (prod)")
    ]
    assert heard[0].text == SPENT


SERVICE = parse(
    """
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: a
    image: localhost/checkout:v1
    slos: [{name: availability, kind: availability, objective: 99.5}]
""",
    "a test",
).services[0]

STEP = Setting("checkout", Strategy.CANARY, Baseline.STABLE, 1, 9, interval=15, max_wait=600, percent=50)


def asked(left: float | None, rate: float = 100.0) -> FakePrometheus:
    """Return a Prometheus that knows *rate* requests a second, and what share of the budget is *left*."""

    def answer(promql: str, at: float | None) -> Answer:
        del at
        if promql.startswith("slo:error_budget_remaining"):
            return Answer(() if left is None else (Series({}, ((1.0, left),)),))
        if "_count{" in promql and not promql.startswith("max_over_time") and rate:
            status = {"http_request_method": "GET", "http_route": "/", "http_response_status_code": "200"}
            return Answer((Series(status, ((1.0, rate),)),))
        return Answer(())

    return FakePrometheus(answer)


def test_weight_times_defect_times_time_beside_what_is_left() -> None:
    """Half of the requests, all failing, for the 30 s until it is shown and 15 until all is back: 0.375 minutes."""
    whole = 216.0  # minutes: half a percent of thirty days

    assert short(SERVICE, asked(0.38 / whole), STEP) == ""
    assert short(SERVICE, asked(0.37 / whole), STEP) == (
        "a canary that fails completely would cost 0.38 minutes of the error budget of availability, of which 0.37 are "
        "left"
    )
    assert short(SERVICE, asked(-2.0), STEP).endswith("of which 0 are left")
    assert short(SERVICE, asked(0.37 / whole), replace(STEP, percent=10)) == ""


@pytest.mark.parametrize(("left", "rate"), [(None, 100.0), (0.5, 0.0)])
def test_what_nobody_knows_is_no_number(left: float | None, rate: float) -> None:
    """Without recording rules, or without traffic."""
    with pytest.raises(InconclusiveError):
        short(SERVICE, asked(left, rate), STEP)


def test_the_start_speaks_of_the_first_weight() -> None:
    """And says that the later ones are held for what is left then."""
    first = setting(PLAN, 9)
    found = findings(SERVICE, asked(0.0), first)

    assert (first.percent, first.weight) == (10, 0.1)
    assert found[0].found.startswith("a canary that fails completely would cost 0.075 minutes")
    assert found[0].advice == (
        "begin with a smaller weight, or wait until the budget has recovered; each later step is held for it"
    )


def test_the_plan_speaks_of_the_first_weight() -> None:
    """As it is routed, whatever the pods."""
    from quarterdeck_scripts.rollout.foresight.asking import outlook  # noqa: PLC0415 -- used here alone

    lines = render(outlook(SERVICE, asked(0.5), setting(PLAN, 9))).splitlines()

    assert (
        lines[1]
        == "  traffic    100 requests/s; the new version gets 10 % of them, by its routes' weights at the first step"
    )


def run(world: Any) -> tuple[do.Outcome, Any]:
    """Roll v2 out; return how it ended and its record."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    record = session.record(plan)
    outcome, _ = session.run(start(plan), record)
    return outcome, record


@pytest.fixture
def budgeted(make_world: Callable[..., Any]) -> Any:
    """Return a world with weights, whose `left` is the share of the error budgets that is left."""
    world = make_world(weights="[10, 50]")
    for image in (V1, V2):
        world.behave(image, rate=160.0)
    world.left = -1.0
    counted = world.prometheus

    def answer(promql: str, at: float | None) -> Answer:
        planned = asked(world.left).query(promql, at=at)
        return planned if planned.series or promql.startswith("slo:") else counted.query(promql, at=at)

    world.prometheus = FakePrometheus(answer)
    return world


def weight(world: Any) -> int:
    """Return the percent that the route sends to the canary."""
    refs = world._items("HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"]
    weights = {ref["name"]: ref["weight"] for ref in refs}
    return round(100 * weights.get("checkout-canary", 0) / sum(weights.values()))


def test_a_spent_budget_holds_a_rollout_at_its_first_weight(budgeted: Any) -> None:
    """Until its time is over; then all is as it was, and the reason names the way on."""
    seen = set()
    passing = budgeted.clock.sleep

    def sleep(seconds: float) -> None:
        passing(seconds)
        seen.add(weight(budgeted))

    budgeted.clock.sleep = sleep
    outcome, record = run(budgeted)

    assert outcome.ending is Ending.INCONCLUSIVE
    assert outcome.reason.startswith("held for 5 min before the next step: a canary that fails completely would cost ")
    assert max(seen) == 10
    assert weight(budgeted) == 0
    judged = next(step for step in record.steps if step.title == "Judge the canary")
    assert judged.detail.startswith("held before 50 %: a canary that fails completely would cost ")
    assert judged.detail.endswith("; `quarterdeck rollout promote checkout` goes on, `abort` puts everything back")


def test_a_budget_that_recovers_lets_a_rollout_on(budgeted: Any) -> None:
    """It is asked for at each look."""
    budgeted.at_time[150] = lambda: setattr(budgeted, "left", 1.0)

    outcome, record = run(budgeted)

    assert outcome.ending is Ending.PROMOTED, outcome.reason
    assert record.ended - budgeted.begin > 150


def test_where_nobody_knows_the_budget_it_is_said_and_nothing_is_held(make_world: Callable[..., Any]) -> None:
    """A Prometheus without the recording rules is no reason to stop, and none to be silent."""
    world = make_world(weights="[10, 50]")
    for image in (V1, V2):
        world.behave(image, rate=160.0)

    outcome, record = run(world)

    assert outcome.ending is Ending.PROMOTED, outcome.reason
    judged = next(step for step in record.steps if step.title == "Judge the canary")
    assert judged.detail.startswith("50 % is not held for the error budget, of which nobody knows what is left: ")
