"""Where a flow goes on, or why it does not begin: what the cluster shows, against what is planned. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.kube.in_place import PAUSED
from quarterdeck_scripts.rollout.steps.state import Direction, Strategy

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.steps.actions import Situation
    from quarterdeck_scripts.rollout.steps.flow import Plan
    from quarterdeck_scripts.rollout.steps.state import State


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
    if plan.guarding:
        _check_under_way(plan, situation, abort_first)
    else:
        _check_clean(plan, situation, abort_first)
        _check_fits(plan, situation)
    return plan.new


def check_origin(service: str, state: State, situation: Situation) -> None:
    """Refuse to go on with a canary that was judged beside another version than the one that is deployed by now.

    Raises:
        RefusedError: somebody deployed one while nobody ran the rollout.
    """
    if state.direction is not Direction.BACK and situation.stable_image not in (state.origin, state.image):
        raise RefusedError(
            f"{service} to run {state.origin} still, which the canary of {state.image} was let in beside",
            f"{situation.stable_image}, which somebody deployed meanwhile",
            f"run `quarterdeck rollout abort {service}`, which leaves {situation.stable_image} alone, and start again",
        )


def refuse_under_way(service: str, situation: Situation) -> None:
    """Refuse to undo what is still being rolled out.

    Raises:
        RefusedError: a rollout of *service* is under way.
    """
    if situation.state is not None or situation.canary_image is not None:
        raise RefusedError(
            f"no rollout of {service} under way",
            f"one to {situation.state.image if situation.state else situation.canary_image}",
            f"run `quarterdeck rollout abort {service}`, which puts everything back",
        )


def _check_clean(plan: Plan, situation: Situation, abort_first: str) -> None:
    """Refuse to begin on what another rollout left, or while something else goes on."""
    if situation.canary_image is not None:
        raise RefusedError(f"no canary of {plan.service}", f"one of {situation.canary_image}, left behind", abort_first)
    if situation.directed:
        found = "one that a rollout has switched to one track"
        raise RefusedError(f"the Service {plan.service} to lead to pods of every track", found, abort_first)
    _check_nothing_beside(plan, situation, abort_first)
    if situation.stable_image == plan.image:
        raise RefusedError(
            f"an image that {plan.service} does not run yet", plan.image, "give the new version's image with --image"
        )
    if not situation.replicas:
        raise RefusedError(
            f"pods of {plan.service}, to compare with and to serve", "none: it is scaled to 0", "scale it up first"
        )
    if situation.unfit == PAUSED:
        raise RefusedError(
            f"{plan.service} to take a new version once it is promoted",
            "spec.paused: true",
            f"unpause it (`kubectl rollout resume deployment {plan.service}`), or leave it to whoever paused it",
        )
    if not situation.stable_settled:
        raise RefusedError(
            f"{plan.service} to be settled: every pod Ready and of the newest template",
            "a rollout in progress or a broken stable version",
            f"see `quarterdeck rollout status {plan.service}`; undo it with `quarterdeck rollout undo {plan.service}`, "
            f"or judge it with `quarterdeck rollout guard {plan.service}`",
        )


def _check_nothing_beside(plan: Plan, situation: Situation, abort_first: str) -> None:
    if situation.weighed:
        raise RefusedError(f"no Service of a canary of {plan.service}", "one that a rollout left behind", abort_first)
    if situation.baseline:
        raise RefusedError(f"no baseline of {plan.service}", "one that a rollout left behind", abort_first)


def _check_fits(plan: Plan, situation: Situation) -> None:
    """Refuse a strategy that the workload is not made for."""
    if situation.kind != "Deployment" and plan.strategy is not Strategy.ROLLING:
        raise RefusedError(
            f"{plan.service} to be a Deployment, which can run another beside it ({plan.strategy})",
            f"a {situation.kind}",
            f"roll it out with --strategy {Strategy.ROLLING}, or say so in the catalogue",
        )
    if plan.strategy is Strategy.BLUE_GREEN and situation.directed is None:
        found = "none, or one whose selector names a track already"
        raise RefusedError(f"a Service {plan.service}, whose selector is switched", found, "take another strategy")
    if plan.new.weights and (plan.strategy is not Strategy.CANARY or situation.directed is None):
        found = f"strategy {plan.strategy}" if plan.strategy is not Strategy.CANARY else f"no Service {plan.service}"
        raise RefusedError("a canary under a Service, to which routes may lead by weight", found, "correct the weights")
    if plan.strategy is Strategy.ROLLING and not plan.forced:
        _check_holdable(plan, situation)


def _check_under_way(plan: Plan, situation: Situation, abort_first: str) -> None:
    """Refuse to guard where nobody began an update, or where something else goes on."""
    if situation.canary_image is not None or situation.directed:
        found = f"one of {situation.canary_image}" if situation.canary_image else "a Service that leads to one track"
        raise RefusedError(f"no canary of {plan.service}", found, abort_first)
    _check_nothing_beside(plan, situation, abort_first)
    if situation.stable_settled:
        raise RefusedError(
            f"an update of {plan.service} under way, to be guarded",
            "none: every pod is Ready and of the newest template",
            f"begin one with `quarterdeck rollout start {plan.service} --image …`, which judges it from the start",
        )
    _check_holdable(plan, situation)


def _check_holdable(plan: Plan, situation: Situation) -> None:
    if situation.unfit:
        raise RefusedError(
            f"an update of {plan.service} that can be held at its first pods",
            situation.unfit,
            "change that, or take another strategy",
        )
    if situation.kind != "Deployment" and situation.replicas <= plan.replicas:
        raise RefusedError(
            f"more than {plan.replicas} pods of {plan.service}, so that some are left to compare with",
            str(situation.replicas),
            f"scale {plan.service} up, lower canary_replicas, or pass the gate by with --force REASON",
        )


def _goes_with(plan: Plan, state: State) -> RefusedError:
    with_others = " ".join(state.train)
    return RefusedError(
        f"a rollout of {plan.service} " + (f"with {' '.join(plan.new.train)}" if plan.new.train else "alone"),
        "one that was begun " + (f"with {with_others}" if with_others else "alone"),
        f"run the command that began it (`quarterdeck rollout start {with_others or plan.service} …`), or put "
        f"everything back with `quarterdeck rollout abort {with_others or plan.service}`",
    )
