"""The order of a rollout's steps, as generators of actions. Nothing here acts, waits or reads a clock.

Whatever happens, a flow ends in one of two states: the new version is the stable one, or everything is as
it was. The direction is saved before the first step of it is taken, so that whoever runs the same command
after a kill walks the same way on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.kube.client import ApiError
from quarterdeck_scripts.rollout.actions import (
    AcquireLock,
    ClearState,
    CreateCanary,
    DeleteCanary,
    Flow,
    Inspect,
    Interrupted,
    Look,
    Measure,
    Outcome,
    Pause,
    Promote,
    ReleaseLock,
    RestoreStable,
    SaveState,
    Side,
    Situation,
    Waited,
    WaitReady,
)
from quarterdeck_scripts.rollout.asks import Wish
from quarterdeck_scripts.rollout.state import Direction, Ending, State, Strategy
from quarterdeck_scripts.rollout.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from quarterdeck_scripts.rollout.actions import Action
    from quarterdeck_scripts.rollout.asks import Ask


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollout is to do, complete: a flow asks nobody for more."""

    service: str
    new: State
    """The state to begin with, unless the same rollout is already under way."""
    replicas: int
    """Pods of the canary."""
    interval: float
    """Seconds between two looks: the scrape interval, because nothing is new in between."""
    ready_within: float
    """Seconds a version has to become Ready."""
    max_wait: float
    """Seconds of judging after which it is given up as inconclusive."""
    forced: str = ""
    """Why the gate is passed by; empty when it is not."""

    @property
    def image(self) -> str:
        """The new version."""
        return self.new.image

    @property
    def strategy(self) -> Strategy:
        """How it is let in."""
        return self.new.strategy


def start(plan: Plan) -> Flow:
    """Let a new version in, or go on with what a killed run left."""
    return _locked(_start(plan))


def abort(plan: Plan) -> Flow:
    """Put everything back, whatever is there; needs no stored state."""
    return _locked(_abort(plan))


def undo(plan: Plan) -> Flow:
    """Bring the stable version's previous revision back."""
    return _locked(_undo(plan))


def take_back(plan: Plan, outcome: Outcome) -> Flow:
    """Put a service back that goes with others which go back; one that does so already ends as it was to."""
    return _locked(_take_back(plan, outcome))


def finish(plan: Plan) -> Flow:
    """Clear the state of a service that goes with others: all of them have come to their end."""
    return _locked(_finish(plan))


def _locked(steps: Flow) -> Flow:
    """Take the lock around *steps*. A flow that is dropped half-way leaves it: whoever dropped it is dying."""
    yield AcquireLock()
    try:
        outcome = yield from steps
    except Exception:
        yield ReleaseLock()
        raise
    yield ReleaseLock()
    return outcome


def _start(plan: Plan) -> Flow:
    situation: Situation = yield Inspect()
    state = begin_or_resume(plan, situation)
    if state != situation.state:
        yield SaveState(state)
    return (yield from _walk(plan, state))


def _abort(plan: Plan) -> Flow:
    situation: Situation = yield Inspect(any_state=True)
    outcome = Outcome(Ending.ABORTED, f"aborted by {plan.new.by}")
    return (yield from _back(plan, situation.canary_image or plan.image, outcome))


def _take_back(plan: Plan, outcome: Outcome) -> Flow:
    situation: Situation = yield Inspect()
    state = begin_or_resume(plan, situation)
    if state.direction is not Direction.BACK:
        state = _back_state(state, outcome.ending, outcome.reason)
        yield SaveState(state)
    return (yield from _walk(plan, state))


def _finish(plan: Plan) -> Flow:
    situation: Situation = yield Inspect()
    yield ClearState()
    state = situation.state or plan.new
    return Outcome(state.ending or Ending.PROMOTED, state.reason)


def _undo(plan: Plan) -> Flow:
    situation: Situation = yield Inspect()
    if situation.state is not None or situation.canary_image is not None:
        raise RefusedError(
            f"no rollout of {plan.service} under way",
            f"one to {situation.state.image if situation.state else situation.canary_image}",
            f"run `quarterdeck rollout abort {plan.service}`, which puts everything back",
        )
    yield RestoreStable(situation.stable_image)
    waited: Waited = yield WaitReady(Side.STABLE, plan.ready_within)
    if not waited.ready:
        raise QuarterdeckError(
            f"the previous revision of {plan.service} to become Ready", waited.reason, "mend what it names"
        )
    return Outcome(Ending.UNDONE, f"undone by {plan.new.by}")


def begin_or_resume(plan: Plan, situation: Situation) -> State:
    """Return the state to go on with.

    Raises:
        RefusedError: another rollout is under way or left something behind, or there is nothing to roll out.
    """
    abort_first = f"run `quarterdeck rollout abort {plan.service}` first"
    state = situation.state
    if state is not None:
        if state.image == plan.image and state.train != plan.new.train:
            raise _goes_with(plan, state)
        if state.image == plan.image:
            return state
        raise RefusedError(
            f"no other rollout of {plan.service}",
            f"one to {state.image} by {state.by}, begun {state.began}",
            f"finish it with `quarterdeck rollout start {plan.service} --image {state.image}`, or {abort_first}",
        )
    if situation.canary_image is not None:
        raise RefusedError(f"no canary of {plan.service}", f"one of {situation.canary_image}, left behind", abort_first)
    if situation.stable_image == plan.image:
        raise RefusedError(
            f"an image that {plan.service} does not run yet", plan.image, "give the new version's image with --image"
        )
    if not situation.stable_settled:
        raise RefusedError(
            f"{plan.service} to be settled: every pod Ready and of the newest template",
            "a rollout in progress or a broken stable version",
            f"see `quarterdeck rollout status {plan.service}`; undo it with `quarterdeck rollout undo {plan.service}`",
        )
    return plan.new


def _walk(plan: Plan, state: State) -> Flow:
    """Go on from *state*; an interruption at any step turns it back."""
    try:
        while state.direction is Direction.UNDECIDED:
            decided = (yield from _judge(plan, state)) if not plan.forced else _forward(state, f"forced: {plan.forced}")
            paused = yield SaveState(decided)
            if not paused:
                state = decided
            elif plan.forced:
                raise _is_paused(plan, paused)
        if state.direction is Direction.FORWARD:
            yield Promote(plan.image)
            waited: Waited = yield WaitReady(Side.STABLE, plan.ready_within)
            if waited.ready:
                yield DeleteCanary()
                if not state.train:
                    yield ClearState()
                return Outcome(Ending.PROMOTED, state.reason)
            state = _back_state(state, Ending.ROLLED_BACK, f"the new stable pods never became Ready: {waited.reason}")
            yield SaveState(state)
    except Interrupted as interrupted:
        state = _back_state(state, interrupted.ending, interrupted.reason)
        yield SaveState(state)
    except RefusedError:
        # The world moved under us (another template, the lock lost): what is not ours is not ours to restore.
        raise
    except QuarterdeckError as error:
        # A server that said no (quota, admission, a right taken away) has answered; silence has not.
        ending = Ending.ROLLED_BACK if isinstance(error, ApiError) else Ending.INCONCLUSIVE
        state = _back_state(state, ending, f"it could not go on: {error.found}")
        yield SaveState(state)
    outcome = Outcome(state.ending or Ending.ROLLED_BACK, state.reason)
    return (yield from _back(plan, state.image, outcome, keep_state=bool(state.train)))


def _judge(plan: Plan, state: State) -> Generator[Action, Any, State]:
    """Run a canary until the evidence decides, or cannot."""
    yield CreateCanary(plan.image, plan.replicas)
    waited: Waited = yield WaitReady(Side.CANARY, plan.ready_within)
    if not waited.ready:
        return _back_state(state, Ending.ROLLED_BACK, f"the canary never became Ready: {waited.reason}")
    judged = seen = 0.0
    while True:
        look: Look = yield Measure()
        if not _paused(look):
            judged += look.elapsed - seen
        seen = look.elapsed
        decided = _decided(plan, state, look, judged)
        if decided is not None:
            return decided
        yield Pause(plan.interval)


def _decided(  # noqa: PLR0911 -- a table, a line for each that a look can show
    plan: Plan, state: State, look: Look, judged: float
) -> State | None:
    """Return where *look* leads, after *judged* seconds without those it was paused; None: look again."""
    assessment, ask = look.assessment, look.ask
    if look.changed:
        return _back_state(state, Ending.INCONCLUSIVE, f"somebody else changed the stable version: {look.changed}")
    if assessment.verdict is Verdict.FAIL:
        return _back_state(state, Ending.ROLLED_BACK, assessment.explanation)
    if look.trouble:
        return _back_state(state, Ending.ROLLED_BACK, f"the canary broke: {look.trouble}")
    if ask is not None:
        return None if ask.wish is Wish.PAUSE else _forward(state, f"{ask}, without a verdict")
    if assessment.verdict is Verdict.PASS:
        return _forward(state, assessment.explanation)
    if judged >= plan.max_wait:
        reason = f"no decision within {plan.max_wait / 60:.0f} min: {assessment.explanation}"
        return _back_state(state, Ending.INCONCLUSIVE, reason)
    return None


def _paused(look: Look) -> bool:
    return look.ask is not None and look.ask.wish is Wish.PAUSE


def _back(plan: Plan, image: str, outcome: Outcome, *, keep_state: bool = False) -> Flow:
    """Put everything back on the stable version, and see that it is."""
    yield RestoreStable(image)
    yield DeleteCanary()
    waited: Waited = yield WaitReady(Side.STABLE, plan.ready_within)
    if not keep_state:
        yield ClearState()
    if waited.ready:
        return outcome
    return replace(outcome, reason=f"{outcome.reason} The stable version is not whole: {waited.reason}")


def _goes_with(plan: Plan, state: State) -> RefusedError:
    with_others = " ".join(state.train)
    return RefusedError(
        f"a rollout of {plan.service} " + (f"with {' '.join(plan.new.train)}" if plan.new.train else "alone"),
        "one that was begun " + (f"with {with_others}" if with_others else "alone"),
        f"run the command that began it (`quarterdeck rollout start {with_others or plan.service} …`), or put "
        f"everything back with `quarterdeck rollout abort {with_others or plan.service}`",
    )


def _is_paused(plan: Plan, ask: Ask) -> RefusedError:
    return RefusedError(
        f"a rollout of {plan.service} that is not paused",
        str(ask),
        f"run `quarterdeck rollout resume {plan.service}` first, or `quarterdeck rollout promote {plan.service}`",
    )


def _forward(state: State, reason: str) -> State:
    return replace(state, direction=Direction.FORWARD, reason=reason)


def _back_state(state: State, ending: Ending, reason: str) -> State:
    return replace(state, direction=Direction.BACK, ending=ending, reason=reason)
