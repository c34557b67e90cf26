"""The order of a rollout's steps, as lists of actions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.kube.client import ApiError, UnreachableError
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Verdict
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps.flow import Plan, abort, begin_or_resume, start, undo
from quarterdeck_scripts.rollout.steps.state import Direction, Ending, State, Strategy, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

NEW = State(id="checkout-v2-1", cluster="uid", image=V2, origin=V1, by="anna@bridge", began="2026-01-02T03:04:05+00:00")

PLAN = Plan("checkout", NEW, replicas=1, interval=15, ready_within=60, max_wait=600)

SETTLED = do.Situation(state=None, stable_image=V1, stable_settled=True, canary_image=None)

READY = do.Waited(ready=True)


def look(verdict: Verdict, elapsed: float = 15, **more: str) -> do.Look:
    """Return one look with that verdict."""
    return do.Look(Assessment(verdict, (), (), f"it is {verdict}."), elapsed, **more)


def walk(flow: do.Flow, answers: Sequence[object]) -> tuple[list[do.Action], do.Outcome]:
    """Run *flow*, answering what asks with the next of *answers*; an exception is what CreateCanary meets."""
    waiting = list(answers)
    taken: list[do.Action] = []
    action = next(flow)
    while True:
        taken.append(action)
        asks = isinstance(action, do.Inspect | do.WaitReady | do.Measure)
        fails = isinstance(action, do.CreateCanary) and isinstance(waiting[0], Exception)
        answer: Any = waiting.pop(0) if asks or fails else None
        try:
            action = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
        except StopIteration as stop:
            assert waiting == []
            return taken, stop.value


def going(direction: Direction, reason: str, ending: Ending | None = None) -> do.SaveState:
    """Return the note that a rollout goes that way."""
    return do.SaveState(replace(NEW, direction=direction, reason=reason, ending=ending))


BACK = [do.RestoreStable(V2), do.DeleteCanary(), do.WaitReady(do.Side.STABLE, 60), do.ClearState(), do.ReleaseLock()]

BEGIN = [do.AcquireLock(), do.Inspect(), do.KeepConfiguration(), do.SaveState(NEW)]

CANARY = [do.CreateCanary(V2, 1), do.WaitReady(do.Side.CANARY, 60)]


def test_a_pass_is_promoted() -> None:
    """The direction is noted before it is taken; the canary goes last, when the stable pods are Ready."""
    taken, outcome = walk(start(PLAN), [SETTLED, READY, look(Verdict.INCONCLUSIVE), look(Verdict.PASS, 30), READY])

    assert taken == [
        *BEGIN,
        *CANARY,
        do.Measure(),
        do.Pause(15),
        do.Measure(),
        going(Direction.FORWARD, "it is PASS."),
        do.Promote(V2),
        do.WaitReady(do.Side.STABLE, 60),
        do.DeleteCanary(),
        do.ClearState(),
        do.ReleaseLock(),
    ]
    assert outcome == do.Outcome(Ending.PROMOTED, "it is PASS.")


def test_a_fail_is_put_back() -> None:
    """Nothing is promoted, and the reason is the verdict's sentence."""
    taken, outcome = walk(start(PLAN), [SETTLED, READY, look(Verdict.FAIL), READY])

    back = going(Direction.BACK, "it is FAIL.", Ending.ROLLED_BACK)
    assert taken == [*BEGIN, *CANARY, do.Measure(), back, *BACK]
    assert outcome == do.Outcome(Ending.ROLLED_BACK, "it is FAIL.")


def test_a_canary_that_never_gets_ready_is_put_back() -> None:
    """It is not even measured."""
    taken, outcome = walk(start(PLAN), [SETTLED, do.Waited(ready=False, reason="pod x: CrashLoopBackOff"), READY])

    assert do.Measure() not in taken
    assert outcome == do.Outcome(Ending.ROLLED_BACK, "the canary never became Ready: pod x: CrashLoopBackOff")


def test_a_canary_that_breaks_while_it_is_judged_is_put_back() -> None:
    """No verdict is waited for."""
    _, outcome = walk(start(PLAN), [SETTLED, READY, look(Verdict.INCONCLUSIVE, trouble="pod x: OOMKilled"), READY])

    assert outcome == do.Outcome(Ending.ROLLED_BACK, "the canary broke: pod x: OOMKilled")


def test_time_runs_out_as_inconclusive() -> None:
    """Undecided is not promoted: everything is put back, and a person has to look."""
    _, outcome = walk(start(PLAN), [SETTLED, READY, look(Verdict.INCONCLUSIVE, 600), READY])

    assert outcome == do.Outcome(Ending.INCONCLUSIVE, "no decision within 10 min: it is INCONCLUSIVE.")


def test_a_pass_on_a_version_that_somebody_else_changed_is_not_taken() -> None:
    """The evidence is of another comparison."""
    taken, outcome = walk(start(PLAN), [SETTLED, READY, look(Verdict.PASS, changed="its template"), READY])

    assert do.Promote(V2) not in taken
    assert outcome.ending is Ending.INCONCLUSIVE


def test_a_promotion_that_does_not_get_ready_is_undone() -> None:
    """The stable version is restored although the canary had passed."""
    crash = do.Waited(ready=False, reason="pod y: ImagePullBackOff")
    taken, outcome = walk(start(PLAN), [SETTLED, READY, look(Verdict.PASS), crash, READY])

    assert taken[-6:] == [
        going(Direction.BACK, f"the new stable pods never became Ready: {crash.reason}", Ending.ROLLED_BACK),
        *BACK,
    ]
    assert outcome.ending is Ending.ROLLED_BACK


def test_force_needs_no_canary() -> None:
    """Past the gate it goes straight to promotion, with the reason noted."""
    taken, outcome = walk(start(replace(PLAN, forced="closed")), [SETTLED, READY])

    assert taken[4:6] == [going(Direction.FORWARD, "forced: closed"), do.Promote(V2)]
    assert outcome.ending is Ending.PROMOTED


@pytest.mark.parametrize("at", [do.CreateCanary, do.WaitReady, do.Measure, do.Pause, do.Promote])
def test_an_interruption_puts_everything_back(at: type) -> None:
    """Whatever was being done: the way back is noted, then walked."""
    flow = start(PLAN)
    answers = {do.Inspect: SETTLED, do.WaitReady: READY, do.Measure: look(Verdict.INCONCLUSIVE)}
    if at is do.Promote:
        answers[do.Measure] = look(Verdict.PASS)
    action = next(flow)
    while not isinstance(action, at):
        action = flow.send(answers.get(type(action)))

    taken = [flow.throw(do.Interrupted(Ending.INTERRUPTED, "stopped by Ctrl-C"))]
    while not isinstance(taken[-1], do.ReleaseLock):
        taken.append(flow.send(READY if isinstance(taken[-1], do.WaitReady) else None))
    with pytest.raises(StopIteration) as stop:
        flow.send(None)

    assert taken == [going(Direction.BACK, "stopped by Ctrl-C", Ending.INTERRUPTED), *BACK]
    assert stop.value.value == do.Outcome(Ending.INTERRUPTED, "stopped by Ctrl-C")


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (ApiError(403, "Forbidden", "exceeded quota"), Ending.ROLLED_BACK),
        (UnreachableError("an answer", "a timeout", "wait"), Ending.INCONCLUSIVE),
    ],
)
def test_a_server_that_says_no_fails_and_a_silent_one_is_inconclusive(error: Exception, ending: Ending) -> None:
    """Either way everything is put back, and the reason named."""
    _, outcome = walk(start(PLAN), [SETTLED, error, READY])

    assert outcome.ending is ending
    assert "it could not go on" in outcome.reason


def test_a_lost_lock_ends_the_run_without_another_change() -> None:
    """What somebody else holds is not ours to put back."""
    flow = start(PLAN)
    next(flow)
    flow.send(None)
    flow.send(SETTLED)

    assert flow.throw(RefusedError("the lock", "somebody took it over", "leave it")) == do.ReleaseLock()
    with pytest.raises(RefusedError):
        flow.send(None)


@pytest.mark.parametrize(
    ("direction", "ending", "first"),
    [
        (Direction.UNDECIDED, None, do.CreateCanary(V2, 1)),
        (Direction.FORWARD, None, do.Promote(V2)),
        (Direction.BACK, Ending.ROLLED_BACK, do.RestoreStable(V2)),
    ],
)
def test_a_resumed_rollout_goes_on_in_its_direction(direction: Direction, ending: Ending | None, first: object) -> None:
    """What was decided is not decided again."""
    state = replace(NEW, direction=direction, ending=ending)
    flow = start(PLAN)
    next(flow)
    flow.send(None)

    assert flow.send(do.Situation(state, V1, stable_settled=False, canary_image=V2)) == first


@pytest.mark.parametrize(
    ("situation", "found"),
    [
        (replace(SETTLED, state=replace(NEW, image="localhost/checkout:v9")), "one to localhost/checkout:v9"),
        (replace(SETTLED, canary_image=V2), "left behind"),
        (replace(SETTLED, stable_image=V2), V2),
        (replace(SETTLED, stable_settled=False), "a rollout in progress or a broken stable version"),
    ],
)
def test_what_it_refuses_to_begin_on(situation: do.Situation, found: str) -> None:
    """Each refusal names what it found."""
    with pytest.raises(RefusedError) as refused:
        begin_or_resume(PLAN, situation)

    assert found in refused.value.found


def test_abort_takes_everything_back() -> None:
    """What the canary runs is what is undone."""
    taken, outcome = walk(abort(PLAN), [replace(SETTLED, canary_image=V2), READY])

    assert taken == [do.AcquireLock(), do.Inspect(any_state=True), *BACK]
    assert outcome.ending is Ending.ABORTED


def test_undo_restores_the_previous_revision() -> None:
    """And waits until it is Ready."""
    taken, outcome = walk(undo(PLAN), [replace(SETTLED, stable_image=V2), READY])

    assert taken == [
        do.AcquireLock(),
        do.Inspect(),
        do.RestoreStable(V2),
        do.WaitReady(do.Side.STABLE, 60),
        do.ReleaseLock(),
    ]
    assert outcome.ending is Ending.UNDONE


def test_undo_is_refused_during_a_rollout() -> None:
    """Abort is what ends a rollout."""
    with pytest.raises(RefusedError, match="rollout abort checkout"):
        walk(undo(PLAN), [replace(SETTLED, canary_image=V2)])


def test_undo_says_when_the_previous_revision_does_not_run() -> None:
    """A restored version that crashes is a failure, not a success."""
    with pytest.raises(QuarterdeckError, match="CrashLoopBackOff"):
        walk(undo(PLAN), [SETTLED, do.Waited(ready=False, reason="pod z: CrashLoopBackOff")])


def test_the_state_is_read_back_as_it_was_written() -> None:
    """The annotation round-trips, and belongs to one cluster."""
    state = replace(NEW, direction=Direction.BACK, ending=Ending.ROLLED_BACK, reason="it is FAIL.")
    annotations = {"quarterdeck.dev/rollout": state.to_annotation()}
    deployment = {"metadata": {"name": "checkout", "annotations": annotations}}

    assert read_state(deployment, "uid") == state
    assert read_state({"metadata": {"name": "checkout"}}, "uid") is None
    with pytest.raises(RefusedError, match="copied or restored"):
        read_state(deployment, "another")


def test_a_state_written_before_there_were_strategies_is_a_canary() -> None:
    """A rollout begun by an older release is finished by this one."""
    fields = json.loads(NEW.to_annotation())
    del fields["strategy"], fields["baseline"]
    deployment = {"metadata": {"name": "checkout", "annotations": {"quarterdeck.dev/rollout": json.dumps(fields)}}}

    assert read_state(deployment, "uid") == NEW
    assert NEW.strategy is Strategy.CANARY


@pytest.mark.parametrize("text", ["{", "[]", '{"direction": "sideways"}', '{"direction": "back", "ending": null}'])
def test_a_state_it_cannot_read_is_refused(text: str) -> None:
    """It says that abort needs no state."""
    deployment = {"metadata": {"name": "checkout", "annotations": {"quarterdeck.dev/rollout": text}}}
    with pytest.raises(RefusedError, match="rollout abort checkout"):
        read_state(deployment, "uid")
