"""Which moments of a rollout are told of, with flows as they are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone
from quarterdeck_scripts.rollout.acting.told import Herald
from quarterdeck_scripts.rollout.judge.criteria import Criteria
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Verdict
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.asks import Ask, Wish
from quarterdeck_scripts.rollout.steps.state import Direction, Ending, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"
NEW = State(id="checkout-v2-1", cluster="uid", image=V2, origin=V1, by="anna@bridge", began="2026-01-02T03:04:05+00:00")
PLAN = flow.Plan("checkout", NEW, replicas=1, interval=15, ready_within=60, max_wait=600)
SETTLED = do.Situation(state=None, stable_image=V1, stable_settled=True, canary_image=None)
READY = do.Waited(ready=True)


def look(verdict: Verdict) -> do.Look:
    """Return one look with that verdict."""
    return do.Look(Assessment(verdict, (), (), f"it is {verdict}."), 15)


def record(image: str = V2) -> RolloutRecord:
    """Return the record of a rollout of *image* that ben goes on with."""
    return RolloutRecord(
        *(NEW.id, "checkout", "shop", "prod", "uid", image, V1, "ben@desk", 100.0, 15.0, 600.0), Criteria(), ()
    )


def run(steps: do.Flow, answers: Mapping[type, Any], image: str = V2) -> list[Notice]:
    """Run *steps*, answering each action by its class; an exception is what it meets. Return what is told."""
    heard: list[Notice] = []
    following = Herald(record(image), lambda: 200.0, heard.append).follow(steps)
    resume: Callable[[Any], Any] = following.send
    given: Any = None
    with suppress(StopIteration, QuarterdeckError):  # what is told says how it ended
        while True:
            action = resume(given)
            given = answers.get(type(action))
            resume = following.throw if isinstance(given, Exception) else following.send
    return heard


def test_a_rollout_that_passes_is_told_from_its_beginning_to_its_end() -> None:
    """With all that tells it from others, and the verdict's own sentence."""
    heard = run(flow.start(PLAN), {do.Inspect: SETTLED, do.WaitReady: READY, do.Measure: look(Verdict.PASS)})

    assert heard[0] == Notice(
        occasion=Occasion.BEGAN,
        tone=Tone.INFO,
        title="checkout: rollout of v2 began (prod)",
        text=f"it runs {V1}",
        at=200.0,
        run="checkout-v2-1",
        service="checkout",
        namespace="shop",
        environment="prod",
        version="v2",
        by="ben@desk",
        began=100.0,
    )
    assert [(each.occasion, each.tone, each.title, each.text) for each in heard[1:]] == [
        (Occasion.PROMOTING, Tone.INFO, "checkout: promoting v2 (prod)", "it is PASS."),
        (Occasion.ENDED, Tone.SUCCESS, "checkout: promoted v2 (prod)", "it is PASS."),
    ]


def test_a_failure_is_told_before_everything_is_back() -> None:
    """Whoever is on call need not wait for the pods."""
    heard = run(flow.start(PLAN), {do.Inspect: SETTLED, do.WaitReady: READY, do.Measure: look(Verdict.FAIL)})

    assert [(each.tone, each.title, each.text) for each in heard[1:]] == [
        (Tone.WARNING, "checkout: going back from v2 (prod)", "it is FAIL."),
        (Tone.ERROR, "checkout: rolled back v2 (prod)", "it is FAIL."),
    ]


def test_a_rollout_that_was_left_is_taken_up_not_begun() -> None:
    """The same run, by another person."""
    situation = replace(SETTLED, state=NEW, canary_image=V2)
    heard = run(flow.start(PLAN), {do.Inspect: situation, do.WaitReady: READY, do.Measure: look(Verdict.PASS)})

    assert (heard[0].occasion, heard[0].title, heard[0].text) == (
        Occasion.TAKEN_UP,
        "checkout: rollout of v2 taken up again (prod)",
        "anna@bridge",
    )
    assert {notice.run for notice in heard} == {"checkout-v2-1"}


def test_a_command_that_is_refused_tells_nobody() -> None:
    """Another rollout is under way, or the lock is held: nothing has happened."""
    other = replace(SETTLED, state=replace(NEW, image="localhost/checkout:v3"), canary_image="localhost/checkout:v3")
    held = RefusedError("the lock to be free", "it is held by ben", "wait")

    assert run(flow.start(PLAN), {do.Inspect: other}) == []
    assert run(flow.undo(PLAN), {do.Inspect: other}) == []
    assert run(flow.start(PLAN), {do.AcquireLock: held}) == []


def test_a_beginning_that_could_not_be_noted_tells_nobody() -> None:
    """Nothing was changed, so nobody has to look."""
    refused = RefusedError("the audit log", "a full disk", "mend it")

    assert run(flow.start(PLAN), {do.Inspect: SETTLED, do.SaveState: refused}) == []


def test_what_is_left_half_done_calls_for_somebody() -> None:
    """With the cause; and it is the last that this run tells."""
    gone = RefusedError("the lock to be held", "ben@desk took it over", "leave it to them")
    heard = run(flow.start(PLAN), {do.Inspect: SETTLED, do.CreateCanary: gone})

    assert (heard[-1].occasion, heard[-1].tone, heard[-1].title, heard[-1].text) == (
        Occasion.LEFT,
        Tone.ERROR,
        "checkout: rollout of v2 left as it is, somebody has to look (prod)",
        "ben@desk took it over",
    )


@pytest.mark.parametrize(
    ("steps", "image", "title"),
    [
        (flow.abort, V2, "checkout: aborted v2 (prod)"),
        (flow.undo, "", "checkout: undone (prod)"),
    ],
)
def test_abort_and_undo_are_told_when_they_are_done(
    steps: Callable[[flow.Plan], do.Flow], image: str, title: str
) -> None:
    """They never began anything."""
    heard = run(steps(PLAN), {do.Inspect: SETTLED, do.WaitReady: READY}, image)

    assert [(each.occasion, each.title) for each in heard] == [(Occasion.ENDED, title)]


def test_a_pause_that_stands_in_the_way_promotes_nothing_yet() -> None:
    """What was not noted is not told."""
    heard: list[Notice] = []

    def steps() -> do.Flow:
        yield do.SaveState(replace(NEW, direction=Direction.FORWARD, reason="it is PASS."))
        return do.Outcome(Ending.ABORTED, "aborted")

    following = Herald(record(), lambda: 200.0, heard.append).follow(steps())
    next(following)
    with pytest.raises(StopIteration):
        following.send("paused by anna")

    assert heard == []


def test_a_pause_is_told_once() -> None:
    """However often it is seen; who asked, and why."""
    ask = Ask(Wish.PAUSE, NEW.id, "anna@bridge", "2026-01-02T03:04:05+00:00", "lunch")
    looks = [
        replace(look(Verdict.INCONCLUSIVE), ask=ask),
        replace(look(Verdict.INCONCLUSIVE), ask=ask),
        look(Verdict.PASS),
    ]
    heard: list[Notice] = []
    following = Herald(record(), lambda: 200.0, heard.append).follow(flow.start(PLAN))
    given: Any = None
    with suppress(StopIteration):
        while True:
            action = following.send(given)
            answers = {do.Inspect: SETTLED, do.WaitReady: READY}
            given = looks.pop(0) if isinstance(action, do.Measure) else answers.get(type(action))

    assert [(each.occasion, each.text) for each in heard][1:3] == [
        (Occasion.PAUSED, "pause asked for by anna@bridge at 2026-01-02T03:04:05+00:00: lunch"),
        (Occasion.PROMOTING, "it is PASS."),
    ]


def test_to_clear_the_note_of_a_service_that_waited_for_others_tells_nobody() -> None:
    """It was told that it was promoted when it was."""
    done = replace(SETTLED, state=replace(NEW, direction=Direction.FORWARD, train=("checkout", "orders")))

    assert run(flow.finish(PLAN), {do.Inspect: done}) == []


def test_a_service_that_goes_back_with_others_is_told_to_go_back() -> None:
    """Not that somebody takes its rollout up."""
    state = replace(NEW, direction=Direction.FORWARD, train=("checkout", "orders"))
    done = replace(SETTLED, state=state)
    outcome = do.Outcome(Ending.ROLLED_BACK, "orders failed")
    heard = run(flow.take_back(replace(PLAN, new=state), outcome), {do.Inspect: done, do.WaitReady: READY})

    assert [(each.occasion, each.text) for each in heard] == [
        (Occasion.GOING_BACK, "orders failed"),
        (Occasion.ENDED, "orders failed"),
    ]


def test_notices_name_the_kind_of_what_is_rolled_out() -> None:
    """An Event is about a StatefulSet where the service is one."""
    heard = run(flow.abort(PLAN), {do.Inspect: replace(SETTLED, kind="StatefulSet"), do.WaitReady: READY})

    assert [each.kind for each in heard] == ["StatefulSet"]
