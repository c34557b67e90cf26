"""How a new version is let in and looked at until it is decided, strategy by strategy: part of the flow.

It ends with a direction, and leaves the walking to `flow`. Whoever resumes a rollout that is not decided takes the
same steps from the beginning: each is already done where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.verdict import Verdict
from quarterdeck_scripts.rollout.steps.actions import (
    CreateCanary,
    Direct,
    Fence,
    Foresee,
    Freeze,
    Hold,
    Look,
    Measure,
    Pause,
    Side,
    Waited,
    WaitReady,
    Weigh,
)
from quarterdeck_scripts.rollout.steps.asks import Wish
from quarterdeck_scripts.rollout.steps.state import Baseline, Direction, Ending, State, Strategy

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from quarterdeck_scripts.rollout.steps.actions import Action
    from quarterdeck_scripts.rollout.steps.flow import Plan


def judge(plan: Plan, state: State) -> Generator[Action, Any, State]:
    """Let some of the new version in, and look until the evidence decides, or cannot."""
    waited = yield from _let_in(plan)
    if not waited.ready:
        return state.back(Ending.ROLLED_BACK, f"the canary never became Ready: {waited.reason}")
    weights = plan.new.weights
    weight: int = (yield Weigh(weights[0], unless_more=True)) if weights else 0
    while True:
        more = [each for each in weights if each > weight]
        decided, passed = yield from _look(plan, state, more[0] if more else 0)
        if not (passed and more):
            return decided
        weight = yield Weigh(more[0])


def _look(plan: Plan, state: State, following: int) -> Generator[Action, Any, tuple[State, bool]]:
    """Look until it is decided; return the decision, and whether it is to go forward by the evidence's PASS.

    A PASS is held while the error budget, as it is now, would not bear a complete failure at the *following* percent of
    the requests: before the first step a person was asked, here nobody is. 0: no step follows.
    """
    judged = seen = 0.0
    held: float | None = None
    while True:
        look: Look = yield Measure()
        if not _paused(look):
            judged += look.elapsed - seen
        seen = look.elapsed
        decided = _decided(plan, state, look, judged - (held or 0.0))
        passed = decided is not None and decided.direction is Direction.FORWARD and look.ask is None
        short: str = (yield Foresee(following)) if passed and following else ""
        if short:
            held = judged if held is None else held
            decided, passed = (_held(plan, state, short) if judged - held >= plan.max_wait else None), False
        if decided is not None:
            return decided, passed
        yield Pause(plan.interval)


def _held(plan: Plan, state: State, short: str) -> State:
    """Return the state of going back from a step for which the error budget was too small for too long."""
    reason = f"held for {plan.max_wait / 60:.0f} min before the next step: {short}"
    return state.back(Ending.INCONCLUSIVE, reason)


def _let_in(plan: Plan) -> Generator[Action, Any, Waited]:
    """Bring the new version to where it can be judged; return whether its pods got Ready."""
    waited: Waited
    if plan.strategy is Strategy.ROLLING:
        yield Hold(plan.image, plan.replicas)
        waited = yield WaitReady(Side.CANARY, plan.ready_within)
        if waited.ready:
            yield Freeze()
        return waited
    if plan.fenced:
        yield Fence()
    yield CreateCanary(plan.image, plan.replicas)
    fresh = plan.new.baseline is Baseline.FRESH
    if fresh:
        yield CreateCanary(plan.new.origin, plan.replicas, Side.BASELINE)
    waited = yield WaitReady(Side.CANARY, plan.ready_within)
    if waited.ready and fresh:
        waited = yield WaitReady(Side.BASELINE, plan.ready_within)
    if waited.ready and plan.strategy is Strategy.BLUE_GREEN:
        yield Direct(Side.CANARY)
    return waited


def _decided(  # noqa: PLR0911 -- a table, a line for each that a look can show
    plan: Plan, state: State, look: Look, judged: float
) -> State | None:
    """Return where *look* leads, after *judged* seconds without those it was paused; None: look again."""
    assessment, ask = look.assessment, look.ask
    if look.changed:
        return state.back(Ending.INCONCLUSIVE, f"somebody else changed {look.changed}")
    if assessment.verdict is Verdict.FAIL:
        return state.back(Ending.ROLLED_BACK, assessment.explanation)
    if look.trouble:
        return state.back(Ending.ROLLED_BACK, f"the canary broke: {look.trouble}")
    if ask is not None:
        return None if ask.wish is Wish.PAUSE else state.forward(f"{ask}, without a verdict")
    if assessment.verdict is Verdict.PASS:
        return state.forward(assessment.explanation)
    if judged >= plan.max_wait:
        reason = f"no decision within {plan.max_wait / 60:.0f} min: {assessment.explanation}"
        return state.back(Ending.INCONCLUSIVE, reason)
    return None


def _paused(look: Look) -> bool:
    return look.ask is not None and look.ask.wish is Wish.PAUSE
