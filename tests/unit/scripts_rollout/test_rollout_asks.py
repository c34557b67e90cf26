"""What is asked of a rollout under way is taken at its next step: paused, gone on with, promoted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, Around, path
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.view import ServiceView
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Verdict
from quarterdeck_scripts.rollout.steering.asking import Asker
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.asks import FREEZE, Ask, Wish, read_ask
from quarterdeck_scripts.rollout.steps.state import Direction, Ending, State

if TYPE_CHECKING:
    from collections.abc import Sequence

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

NEW = State("checkout-v2-1", "uid", V2, V1, "anna@bridge", "2026-11-22T10:00:00+00:00")
PLAN = flow.Plan("checkout", NEW, replicas=1, interval=15, ready_within=60, max_wait=600)
SETTLED = do.Situation(state=None, stable_image=V1, stable_settled=True, canary_image=None)
READY = do.Waited(ready=True)

PAUSE = Ask(Wish.PAUSE, NEW.id, "ben@shore", "2026-11-22T10:05:00+00:00", "lunch")
PROMOTE = replace(PAUSE, wish=Wish.PROMOTE)


def look(verdict: Verdict, elapsed: float, ask: Ask | None = None) -> do.Look:
    """Return one look with that verdict."""
    return do.Look(Assessment(verdict, (), (), f"it is {verdict}."), elapsed, ask=ask)


def ending(looks: Sequence[do.Look], *, paused_at_saving: Ask | None = None) -> do.Outcome:
    """Return how a rollout ends that has these looks; the first forward note meets *paused_at_saving*."""
    steps, waiting, stands = flow.start(PLAN), list(looks), paused_at_saving
    action = next(steps)
    while True:
        answer: Any = None
        match action:
            case do.Inspect():
                answer = SETTLED
            case do.WaitReady():
                answer = READY
            case do.Measure():
                answer = waiting.pop(0)
            case do.SaveState(state) if state.direction is Direction.FORWARD:
                answer, stands = stands, None
        try:
            action = steps.send(answer)
        except StopIteration as stop:
            assert waiting == []
            outcome: do.Outcome = stop.value
            return outcome


def test_a_pass_is_not_taken_while_it_is_paused() -> None:
    """It is judged on, and promoted when the pause is gone."""
    looks = [look(Verdict.PASS, 15, PAUSE), look(Verdict.PASS, 900, PAUSE), look(Verdict.PASS, 915)]

    assert ending(looks) == do.Outcome(Ending.PROMOTED, "it is PASS.")


def test_a_fail_is_put_back_while_it_is_paused() -> None:
    """A pause holds a canary back, not its removal."""
    assert ending([look(Verdict.FAIL, 15, PAUSE)]).ending is Ending.ROLLED_BACK


def test_the_time_of_a_pause_is_not_counted() -> None:
    """A rollout does not run out of time while somebody holds it, and has the rest of its time after that."""
    undecided = [
        look(Verdict.INCONCLUSIVE, 15),
        look(Verdict.INCONCLUSIVE, 4000, PAUSE),
        look(Verdict.INCONCLUSIVE, 4584),
    ]

    assert ending([*undecided, look(Verdict.PASS, 4590)]).ending is Ending.PROMOTED
    assert ending([*undecided, look(Verdict.INCONCLUSIVE, 4585)]).ending is Ending.INCONCLUSIVE


def test_promotion_is_taken_without_a_verdict() -> None:
    """Who asked for it, and why, is the rollout's reason."""
    outcome = ending([look(Verdict.INCONCLUSIVE, 15, PROMOTE)])

    assert outcome.ending is Ending.PROMOTED
    assert outcome.reason == ("promote asked for by ben@shore at 2026-11-22T10:05:00+00:00: lunch, without a verdict")


def test_a_canary_that_fails_is_not_promoted_because_somebody_asked() -> None:
    """What was asked for was asked without knowing of the failure."""
    assert ending([look(Verdict.FAIL, 15, PROMOTE)]).ending is Ending.ROLLED_BACK


def test_a_pause_between_verdict_and_promotion_holds_it() -> None:
    """The note of the decision is not written then, and it is judged on."""
    looks = [look(Verdict.PASS, 15), look(Verdict.PASS, 30, PAUSE), look(Verdict.PASS, 45)]

    assert ending(looks, paused_at_saving=PAUSE).ending is Ending.PROMOTED


def test_force_does_not_override_a_pause() -> None:
    """Somebody wants it held: that is lifted by its own command."""
    steps = flow.start(replace(PLAN, forced="closed"))
    taken = [steps.send(answer) for answer in (None, None, SETTLED, None, None, PAUSE)]

    assert taken[-1] == do.ReleaseLock()
    with pytest.raises(RefusedError, match="is not paused"):
        steps.send(None)


def test_force_is_told_which_freeze_holds_it() -> None:
    """Nobody paused it, so nothing is there to be resumed: the freeze ends, or is overridden."""
    freeze = replace(PAUSE, by=FREEZE, why="the freeze 'weekend' holds until Mon 2026-11-23 08:00 UTC")
    steps = flow.start(replace(PLAN, forced="closed"))
    for answer in (None, None, SETTLED, None, None, freeze):
        steps.send(answer)

    with pytest.raises(RefusedError) as refused:
        steps.send(None)

    assert refused.value.found == "the freeze 'weekend' holds until Mon 2026-11-23 08:00 UTC"
    assert "`quarterdeck rollout thaw`" in refused.value.next_step
    assert "--override REASON" in refused.value.next_step


def ask_of(world: Any, wish: Wish, *, rollout: str = "") -> None:
    """Write what is asked of the rollout of `checkout` under way, or of *rollout*."""
    state = json.loads(world.annotations()[ROLLOUT_STATE])
    ask = Ask(wish, rollout or state["id"], "ben@shore", "2026-11-22T10:05:00+00:00", "lunch")
    annotate(world, ask.to_annotation())


def annotate(world: Any, text: str | None) -> None:
    """Write the annotation by which a rollout is asked for something."""
    body = {"metadata": {"annotations": {ROLLOUT_ASK: text}}}
    world.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)


def run(world: Any) -> tuple[do.Outcome, float]:
    """Roll v2 out; return how it ended, and after how many seconds."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    began = world.clock.now()
    outcome, _ = session.run(flow.start(plan), session.record(plan))
    return outcome, world.clock.now() - began


def test_a_running_rollout_waits_until_it_is_resumed(world: Any) -> None:
    """Longer than its own patience, and what was asked is gone from the cluster at the end."""
    world.catalogue = world.catalogue.replace("max_wait: 5m", "max_wait: 1m")
    world.at_time[40] = lambda: ask_of(world, Wish.PAUSE)
    world.at_time[160] = lambda: annotate(world, None)

    outcome, seconds = run(world)

    assert outcome.ending is Ending.PROMOTED
    assert seconds > 120
    assert world.images() == [V2] * 3


def test_a_paused_rollout_still_removes_a_bad_canary(world: Any) -> None:
    """The pause goes with the rollout."""
    world.at_time[32] = lambda: ask_of(world, Wish.PAUSE)
    world.behave(V2, failing=0.05)

    outcome, _ = run(world)

    assert outcome.ending is Ending.ROLLED_BACK
    assert ROLLOUT_ASK not in world.annotations()
    assert world.images() == [V1] * 3


def test_a_running_rollout_is_promoted_when_asked(world: Any) -> None:
    """At its next look, although no request has come."""
    world.behave(V2, rate=0.0)
    world.at_time[60] = lambda: ask_of(world, Wish.PROMOTE)

    outcome, seconds = run(world)

    assert outcome.ending is Ending.PROMOTED
    assert "promote asked for by ben@shore" in outcome.reason
    assert seconds < 40
    assert ROLLOUT_ASK not in world.annotations()


def test_what_was_asked_of_another_rollout_is_not_done(world: Any) -> None:
    """A pause that an earlier rollout left behind holds nothing."""
    world.at_time[40] = lambda: ask_of(world, Wish.PAUSE, rollout="checkout-v0")

    outcome, _ = run(world)

    assert outcome.ending is Ending.PROMOTED
    assert ROLLOUT_ASK not in world.annotations()


@pytest.mark.parametrize("text", ["{", "[]", '{"wish": "dance"}', '{"wish": "pause"}'])
def test_what_cannot_be_read_is_a_pause(text: str) -> None:
    """Waiting loses nothing."""
    ask = read_ask({"metadata": {"annotations": {ROLLOUT_ASK: text}}}, "checkout-v2-1")

    assert ask is not None
    assert ask.wish is Wish.PAUSE


def test_what_is_asked_is_read_back_as_it_was_written() -> None:
    """The annotation and the value are one."""
    assert read_ask({"metadata": {"annotations": {ROLLOUT_ASK: PAUSE.to_annotation()}}}, NEW.id) == PAUSE


class Stammering(Around):
    """A cluster that refuses what is written to Deployments once, and the second time writes it but says it failed."""

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        self.written: list[Any] = []

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or fail."""
        if method != "PATCH" or "/deployments/" not in where:
            return self._cluster.request(method, where, **options)
        self.written.append(options["body"])
        if len(self.written) == 1:
            raise ApiError(500, "InternalError", "not now")
        answer = self._cluster.request(method, where, **options)
        if len(self.written) == 2:
            raise ApiError(500, "InternalError", "it was too much")
        return answer


def test_an_ask_is_written_once_by_a_server_that_fails_for_a_moment(world: Any) -> None:
    """Nobody has to type it again: it is looked whether it was written, and only then sent again."""
    cluster = Stammering(world.cluster)

    def ask() -> None:
        session = world.session()
        view = ServiceView(cluster, "shop", "checkout", session.environment.cluster_uid)
        asker = Asker(cluster, session.environment.cluster_uid, view, FakeClock(), "ben@shore")
        stable, state, _ = asker.rollout()
        wanted = asker.wished(Wish.PAUSE, "lunch", state)
        asker.write(stable, wanted, "lunch", session.audit())
        assert wanted is not None
        assert world.annotations()[ROLLOUT_ASK] == wanted.to_annotation()

    world.at_time[40] = ask
    world.at_time[50] = lambda: annotate(world, None)

    outcome, _ = run(world)

    assert outcome.ending is Ending.PROMOTED
    assert len(cluster.written) == 2
