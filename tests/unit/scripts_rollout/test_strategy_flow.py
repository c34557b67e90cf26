"""How each strategy lets a new version in, lets it through and takes it back, as lists of actions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Verdict
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps.flow import Plan, abort, begin_or_resume, start
from quarterdeck_scripts.rollout.steps.state import Baseline, Direction, Ending, State, Strategy

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

SETTLED = do.Situation(state=None, stable_image=V1, stable_settled=True, canary_image=None, replicas=3)

READY = do.Waited(ready=True)

if TYPE_CHECKING:
    from collections.abc import Sequence


QUIET = do.AcquireLock | do.ReleaseLock | do.Inspect | do.KeepConfiguration | do.SaveState | do.ClearState
"""What every rollout does alike."""


def plan(strategy: Strategy, baseline: Baseline = Baseline.STABLE) -> Plan:
    """Return a plan with that strategy."""
    new = State("checkout-v2-1", "uid", V2, V1, "anna", "2026-01-02T03:04:05+00:00", strategy, baseline)
    return Plan("checkout", new, replicas=1, interval=15, ready_within=60, max_wait=600)


def look(verdict: Verdict) -> do.Look:
    """Return one look with that verdict."""
    return do.Look(Assessment(verdict, (), (), f"it is {verdict}."), 15)


def walk(flow: do.Flow, answers: Sequence[object]) -> tuple[list[do.Action], do.Outcome]:
    """Run *flow*, answering what asks with the next of *answers*; return what it did but for lock and notes."""
    waiting = list(answers)
    taken: list[do.Action] = []
    action = next(flow)
    while True:
        if not isinstance(action, QUIET):
            taken.append(action)
        asks = isinstance(action, do.Inspect | do.WaitReady | do.Measure | do.Weigh)
        answer: Any = waiting.pop(0) if asks else None
        try:
            action = flow.send(answer)
        except StopIteration as stop:
            assert waiting == []
            return taken, stop.value


CANARY, STABLE, BASELINE = (do.WaitReady(side, 60) for side in (do.Side.CANARY, do.Side.STABLE, do.Side.BASELINE))


def test_blue_green_switches_the_service_and_back_when_the_stable_pods_are_new() -> None:
    """No request reaches the new pods before all of them are Ready, and they serve until they are not needed."""
    taken, outcome = walk(start(plan(Strategy.BLUE_GREEN)), [SETTLED, READY, look(Verdict.PASS), READY])

    assert taken == [
        do.Fence(),
        do.CreateCanary(V2, 1),
        CANARY,
        do.Direct(do.Side.CANARY),
        do.Measure(),
        do.Promote(V2),
        STABLE,
        do.Direct(None),
        do.DeleteCanary(),
    ]
    assert outcome.ending is Ending.PROMOTED


def test_a_failed_blue_green_switches_back_before_anything_is_deleted() -> None:
    """And lets the Service lead to all pods only when the new ones are gone."""
    taken, outcome = walk(start(plan(Strategy.BLUE_GREEN)), [SETTLED, READY, look(Verdict.FAIL), READY])

    assert taken[5:] == [
        do.RestoreStable(V2),
        do.Direct(do.Side.STABLE),
        do.DeleteCanary(),
        STABLE,
        do.Direct(None),
    ]
    assert outcome.ending is Ending.ROLLED_BACK


def test_a_green_that_never_gets_ready_never_serves() -> None:
    """The Service is not switched to it."""
    taken, _ = walk(start(plan(Strategy.BLUE_GREEN)), [SETTLED, do.Waited(ready=False, reason="CrashLoop"), READY])

    assert do.Direct(do.Side.CANARY) not in taken


def test_a_rolling_update_is_held_and_let_go() -> None:
    """There is no second workload: promoting is letting go."""
    taken, outcome = walk(start(plan(Strategy.ROLLING)), [SETTLED, READY, look(Verdict.PASS), READY])

    assert taken == [
        do.Hold(V2, 1),
        CANARY,
        do.Freeze(),
        do.Measure(),
        do.Promote(V2),
        STABLE,
        do.DeleteCanary(),
    ]
    assert outcome.ending is Ending.PROMOTED


def test_a_failed_rolling_update_is_taken_back() -> None:
    """The template comes back, and the hold ends with it."""
    taken, outcome = walk(start(plan(Strategy.ROLLING)), [SETTLED, READY, look(Verdict.FAIL), READY])

    assert taken[4:] == [do.RestoreStable(V2), do.DeleteCanary(), STABLE]
    assert outcome.ending is Ending.ROLLED_BACK


def test_weights_are_steps_and_each_is_judged() -> None:
    """The routes are put back when the stable pods are new, and before the canary goes."""
    weighed = plan(Strategy.CANARY)
    weighed = replace(weighed, new=replace(weighed.new, weights=(10, 50)))
    answers = [SETTLED, READY, 10, look(Verdict.PASS), 50, look(Verdict.PASS), READY, 0]

    taken, outcome = walk(start(weighed), answers)

    assert taken == [
        do.Fence(),
        do.CreateCanary(V2, 1),
        CANARY,
        do.Weigh(10, unless_more=True),
        do.Measure(),
        do.Foresee(50),
        do.Weigh(50),
        do.Measure(),
        do.Promote(V2),
        STABLE,
        do.Weigh(0),
        do.Direct(None),
        do.DeleteCanary(),
    ]
    assert outcome.ending is Ending.PROMOTED


def test_a_fresh_baseline_is_made_with_the_canary() -> None:
    """As many pods of the old version, begun at the same time; both are Ready before they are compared."""
    taken, _ = walk(start(plan(Strategy.CANARY, Baseline.FRESH)), [SETTLED, READY, READY, look(Verdict.PASS), READY])

    assert taken[:4] == [do.CreateCanary(V2, 1), do.CreateCanary(V1, 1, do.Side.BASELINE), CANARY, BASELINE]


GUARDING = replace(plan(Strategy.ROLLING), guarding=True)

UNDER_WAY = replace(SETTLED, stable_image=V2, stable_settled=False)


def test_an_update_that_somebody_else_began_is_guarded() -> None:
    """It is held where it is found; the rest is as if the rollout had begun it."""
    taken, outcome = walk(start(GUARDING), [UNDER_WAY, READY, look(Verdict.FAIL), READY])

    assert taken == [
        do.Hold(V2, 1),
        CANARY,
        do.Freeze(),
        do.Measure(),
        do.RestoreStable(V2),
        do.DeleteCanary(),
        STABLE,
    ]
    assert outcome.ending is Ending.ROLLED_BACK


@pytest.mark.parametrize(
    ("situation", "found"),
    [
        (replace(UNDER_WAY, stable_settled=True), "none: every pod"),
        (replace(UNDER_WAY, canary_image="localhost/checkout:v3"), "one of localhost/checkout:v3"),
        (replace(UNDER_WAY, weighed=True), "one that a rollout left behind"),
        (replace(UNDER_WAY, baseline=True), "one that a rollout left behind"),
        (replace(UNDER_WAY, kind="StatefulSet", replicas=1), "1"),
        (replace(UNDER_WAY, unfit="it is paused"), "it is paused"),
    ],
)
def test_what_it_refuses_to_guard(situation: do.Situation, found: str) -> None:
    """Nothing under way, something else under way, or nothing that could be held."""
    with pytest.raises(RefusedError) as refused:
        begin_or_resume(GUARDING, situation)

    assert found in refused.value.found


@pytest.mark.parametrize(
    ("strategy", "situation", "found"),
    [
        (Strategy.CANARY, replace(SETTLED, kind="StatefulSet"), "a StatefulSet"),
        (Strategy.BLUE_GREEN, replace(SETTLED, kind="DaemonSet"), "a DaemonSet"),
        (Strategy.BLUE_GREEN, replace(SETTLED, directed=None), "none, or one whose selector names a track"),
        (Strategy.CANARY, replace(SETTLED, directed=True), "switched to one track"),
        (Strategy.ROLLING, replace(SETTLED, unfit="strategy: Recreate"), "strategy: Recreate"),
        (Strategy.ROLLING, replace(SETTLED, kind="StatefulSet", replicas=1), "1"),
    ],
)
def test_a_strategy_that_does_not_fit_is_refused(strategy: Strategy, situation: do.Situation, found: str) -> None:
    """Before anything is changed, naming what stands in the way."""
    with pytest.raises(RefusedError) as refused:
        begin_or_resume(plan(strategy), situation)

    assert found in refused.value.found


def test_abort_opens_a_service_that_was_narrowed() -> None:
    """It needs no state to see that."""
    situation = replace(SETTLED, canary_image=V2, directed=True)

    taken, _ = walk(abort(plan(Strategy.CANARY)), [situation, READY])

    assert taken == [do.RestoreStable(V2), do.Direct(do.Side.STABLE), do.DeleteCanary(), STABLE, do.Direct(None)]


def test_whoever_goes_on_goes_on_with_the_strategy_it_was_begun_with() -> None:
    """The catalogue may say another by now."""
    state = replace(plan(Strategy.ROLLING).new, direction=Direction.UNDECIDED)

    taken, _ = walk(
        start(replace(plan(Strategy.CANARY), new=state)),
        [replace(SETTLED, state=state, stable_image=V2, canary_image=V2), READY, look(Verdict.PASS), READY],
    )

    assert taken[0] == do.Hold(V2, 1)
