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
from quarterdeck_scripts.rollout.steps.actions import (
    AcquireLock,
    ClearState,
    DeleteCanary,
    Direct,
    Flow,
    Inspect,
    Interrupted,
    KeepConfiguration,
    Outcome,
    Promote,
    ReleaseLock,
    RestoreStable,
    SaveState,
    Side,
    Situation,
    Waited,
    WaitReady,
    Weigh,
)
from quarterdeck_scripts.rollout.steps.asks import FREEZE
from quarterdeck_scripts.rollout.steps.entry import begin_or_resume, check_origin, refuse_under_way
from quarterdeck_scripts.rollout.steps.judging import judge
from quarterdeck_scripts.rollout.steps.state import Direction, Ending, State, Strategy

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from quarterdeck_scripts.rollout.steps.actions import Action
    from quarterdeck_scripts.rollout.steps.asks import Ask

__all__ = ["Plan", "abort", "begin_or_resume", "finish", "start", "take_back", "undo"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollout is to do, complete: a flow asks nobody for more."""

    service: str
    new: State
    """The state to begin with, unless the same rollout is already under way."""
    replicas: int
    """Pods of the new version while it is judged."""
    interval: float
    """Seconds between two looks: the scrape interval, because nothing is new in between."""
    ready_within: float
    """Seconds a version has to become Ready."""
    max_wait: float
    """Seconds of judging after which it is given up as inconclusive."""
    forced: str = ""
    """Why the gate is passed by; empty when it is not."""
    guarding: bool = False
    """Whether the update is one that somebody else began."""
    by: str = ""
    """Who runs the command, who need not be who began the rollout: a person and a machine."""

    @property
    def image(self) -> str:
        """The new version."""
        return self.new.image

    @property
    def strategy(self) -> Strategy:
        """How it is let in."""
        return self.new.strategy

    @property
    def fenced(self) -> bool:
        """Whether the Service leads to the pods of one side alone meanwhile."""
        return self.strategy is Strategy.BLUE_GREEN or bool(self.new.weights)


_NOT_TAKEN = frozenset({400, 403, 413, 422})
"""How an API server says that it will not have this change, though it may have others."""


def start(plan: Plan) -> Flow:
    """Let a new version in, or hold one that somebody else lets in, or go on with what a killed run left."""
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
    """Take the lock around *steps*. A flow that is dropped half-way leaves it: whoever dropped it is dying.

    An interruption that *steps* let through came before anything was changed.
    """
    try:
        yield AcquireLock()
    except Interrupted as interrupted:
        return Outcome(interrupted.ending, interrupted.reason)
    try:
        outcome = yield from steps
    except Interrupted as interrupted:
        outcome = Outcome(interrupted.ending, interrupted.reason)
    except Exception:
        yield ReleaseLock()
        raise
    yield ReleaseLock()
    return outcome


def _start(plan: Plan) -> Flow:
    situation: Situation = yield Inspect()
    state = begin_or_resume(plan, situation)
    check_origin(plan.service, state, situation)
    if state != situation.state:
        if not plan.guarding:  # its ConfigMaps may be the new version's already
            yield KeepConfiguration()
        yield SaveState(state)
    return (yield from _walk(plan, state))


def _abort(plan: Plan) -> Flow:
    situation: Situation = yield Inspect(any_state=True)
    outcome = Outcome(Ending.ABORTED, f"aborted by {plan.by}")
    image, state = situation.canary_image or plan.image, situation.state
    if state is not None and state.direction is not Direction.BACK:
        # Whoever goes on after a kill walks back as well, and whoever was taken over meets another version.
        yield from _note_back(state.back(outcome.ending, outcome.reason))
    directed, weighed = bool(situation.directed), situation.weighed or bool(state and state.weights)
    return (yield from _back(plan, image, outcome, directed=directed, weighed=weighed))


def _take_back(plan: Plan, outcome: Outcome) -> Flow:
    situation: Situation = yield Inspect()
    state = begin_or_resume(plan, situation)
    if state.direction is not Direction.BACK:
        state = state.back(outcome.ending, outcome.reason)
        yield SaveState(state)
    return (yield from _walk(plan, state))


def _finish(plan: Plan) -> Flow:
    situation: Situation = yield Inspect()
    yield ClearState()
    state = situation.state or plan.new
    return Outcome(state.ending or Ending.PROMOTED, state.reason)


def _undo(plan: Plan) -> Flow:
    situation: Situation = yield Inspect()
    refuse_under_way(plan.service, situation)
    lost: str = yield RestoreStable(situation.stable_image)
    waited: Waited = yield WaitReady(Side.STABLE, plan.ready_within)
    if not waited.ready:
        raise QuarterdeckError(
            f"the previous revision of {plan.service} to become Ready", waited.reason, "mend what it names"
        )
    return Outcome(Ending.UNDONE, _with_lost(f"undone by {plan.new.by}", lost))


def _walk(plan: Plan, state: State) -> Flow:
    """Go on from *state*; an interruption at any step turns it back."""
    try:
        if state.direction is Direction.UNDECIDED:
            state = yield from _decide(plan, state)
        if state.direction is Direction.FORWARD:
            waited = yield from _promote(plan)
            if waited.ready:
                if not state.train:
                    yield ClearState()
                return Outcome(Ending.PROMOTED, state.reason)
            state = state.back(Ending.ROLLED_BACK, f"the new stable pods never became Ready: {waited.reason}")
            yield from _note_back(state)
    except Interrupted as interrupted:
        state = state.back(interrupted.ending, interrupted.reason)
        yield from _note_back(state)
    except RefusedError:
        # The world moved under us (another template, the lock lost): what is not ours is not ours to restore.
        raise
    except QuarterdeckError as error:
        # A server that said no (quota, admission, a right taken away) has answered; silence has not.
        ending = Ending.ROLLED_BACK if isinstance(error, ApiError) else Ending.INCONCLUSIVE
        state = state.back(ending, f"it could not go on: {error.found}")
        yield from _note_back(state)
    outcome = Outcome(state.ending or Ending.ROLLED_BACK, state.reason)
    weighed, keep_state = bool(plan.new.weights), bool(state.train)
    return (yield from _back(plan, state.image, outcome, directed=plan.fenced, weighed=weighed, keep_state=keep_state))


def _decide(plan: Plan, state: State) -> Generator[Action, Any, State]:
    """Judge until it is decided and noted which way it goes; return the state then."""
    while True:
        decided = (yield from judge(plan, state)) if not plan.forced else state.forward(f"forced: {plan.forced}")
        if decided.direction is Direction.BACK:
            yield from _note_back(decided)
            return decided
        paused = yield SaveState(decided)
        if not paused:
            return decided
        if plan.forced:
            raise _is_paused(plan, paused)


def _note_back(state: State) -> Generator[Action, Any, None]:
    """Note that it goes back; a server that takes no such note (annotations of 256 KiB) does not keep it from that.

    Whoever goes on after a kill then begins where the last note has it, and comes to the same end.
    """
    try:
        yield SaveState(state)
    except ApiError as error:
        if error.status not in _NOT_TAKEN:
            raise


def _promote(plan: Plan) -> Generator[Action, Any, Waited]:
    """Make the new version the stable one, and leave nothing beside it; return whether it got Ready."""
    yield Promote(plan.image)
    waited: Waited = yield WaitReady(Side.STABLE, plan.ready_within)
    if waited.ready:
        if plan.new.weights:
            yield Weigh(0)
        if plan.fenced:
            yield Direct(None)
        yield DeleteCanary()
    return waited


def _back(plan: Plan, image: str, outcome: Outcome, *, directed: bool, weighed: bool, keep_state: bool = False) -> Flow:
    """Put everything back on the stable version, and see that it is.

    Args:
        plan: what was to be done.
        image: the version that goes.
        outcome: how it ends.
        directed: whether the Service may lead to one side alone. Only when the new pods are gone may it lead to all.
        weighed: whether routes may lead to the canary.
        keep_state: whether the state stays, because the service goes with others.
    """
    lost: str = yield RestoreStable(image)
    if weighed:
        yield Weigh(0)
    if directed:
        yield Direct(Side.STABLE)
    yield DeleteCanary()
    waited: Waited = yield WaitReady(Side.STABLE, plan.ready_within)
    if directed:
        yield Direct(None)
    if not keep_state:
        yield ClearState()
    outcome = replace(outcome, reason=_with_lost(outcome.reason, lost))
    if waited.ready:
        return outcome
    reason = f"{outcome.reason} The stable version is not whole: {waited.reason}"
    return replace(outcome, reason=reason, whole=False)


def _with_lost(reason: str, lost: str) -> str:
    return f"{reason} Not restored: {lost}." if lost else reason


def _is_paused(plan: Plan, ask: Ask) -> RefusedError:
    if ask.by == FREEZE:
        return RefusedError(
            f"nothing to hold a promotion of {plan.service}",
            ask.why,
            "wait for that to end (`quarterdeck rollout thaw` lets a line that somebody stopped run again), or add "
            "--override REASON, which is audited",
        )
    return RefusedError(
        f"a rollout of {plan.service} that is not paused",
        str(ask),
        f"run `quarterdeck rollout resume {plan.service}` first, or `quarterdeck rollout promote {plan.service}`",
    )
