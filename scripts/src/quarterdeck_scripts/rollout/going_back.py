"""What abort and undo do, for one service or several: look, show, ask, put back in reverse, tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import EXIT_DONE
from quarterdeck_scripts import console
from quarterdeck_scripts.rollout import text
from quarterdeck_scripts.rollout.checks import preflight
from quarterdeck_scripts.rollout.rehearsal import rehearse
from quarterdeck_scripts.rollout.steps import entry, flow, train
from quarterdeck_scripts.rollout.steps.actions import Flow, Outcome, Situation
from quarterdeck_scripts.rollout.steps.state import Ending
from quarterdeck_scripts.rollout.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from quarterdeck_scripts.rollout.beginning import Open
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.session import Session


@dataclass(frozen=True, slots=True)
class Left:
    """What a rollout left of one service."""

    session: Session
    situation: Situation
    promoted: bool = False
    """Whether all that it goes with are promoted, and it is only to be finished: see `train.is_promoted`."""

    @property
    def image(self) -> str:
        """The version that goes."""
        state = self.situation.state
        return self.situation.canary_image or (state.image if state else "")

    def plan(self) -> flow.Plan:
        """Return the plan of its abort."""
        state = self.situation.state
        return self.session.plan(self.image, self.situation, train=state.train if state else ())

    def steps(self) -> Flow:
        """Return what is done."""
        return flow.finish(self.plan()) if self.promoted else flow.abort(self.plan())

    def __str__(self) -> str:
        name, stable = self.session.service.name, self.situation.stable_image
        if self.promoted:
            return f"Plan: clear what is noted of {name}'s rollout, {_all_promoted(_train_of(self))}"
        if self.situation.unusable:
            return f"Plan: take away what is noted of {name}'s rollout, which is no use here, and put back what it left"
        then = f" and undo its promotion in {name}" if stable == self.image else f"; {name} stays on {stable}"
        return f"Plan: remove the canary of {self.image}{then}"


def abort(
    open_session: Open,
    services: Sequence[str],
    *,
    yes: bool,
    dry_run: bool,
    take_over: bool,
    elsewhere: Callable[[Sequence[Left]], bool] = lambda _: False,
) -> int:
    """Put everything back that rollouts of *services* left, and of what went together with them.

    *elsewhere* has whoever runs it do that; it returns False where nobody does. With *take_over* nobody is asked.

    Raises:
        QuarterdeckError: it is refused, or could not be brought to an end.
    """
    found = _left(open_session, services)
    if not found:
        return EXIT_DONE
    for each in found:
        preflight.require_rights(each.session.environment.cluster, each.session.rights(each.plan(), each.situation))
        console.say(str(each))
        if not each.promoted:
            _say_configuration(each.session, each.image)
    if dry_run:
        for each in found:
            console.say(rehearse(each.session, each.plan(), each.steps()))
        return EXIT_DONE
    for each in found:
        environment = each.session.environment
        preflight.bind_cluster(each.session.folder, environment.name, environment.cluster_uid)
    console.confirm("Go ahead?", yes=yes)
    if not take_over and elsewhere(found):
        return EXIT_DONE
    trains = dict.fromkeys(filter(None, map(_train_of, found)))
    codes = [_abort_train(open_session, names, take_over=take_over) for names in trains]
    together = {member.service for names in trains for member in train.members_of(names)}
    for each in found:
        with_others = each.situation.unusable and each.session.service.name in together
        if not (_train_of(each) or with_others):
            outcome, code = each.session.run(
                flow.abort(each.plan()), each.session.record(each.plan()), take_over=take_over
            )
            console.emit_done(text.outcome_of(each.session.service.name, outcome))
            codes.append(code)
    return max(codes)


def _say_configuration(session: Session, image: str) -> None:
    """Say which ConfigMaps are put back with the version before *image*, and what cannot be."""
    for line in session.view().restoration(image).lines():
        console.say(f"  {line}")


def _left(open_session: Open, services: Sequence[str]) -> list[Left]:
    """Return what is left of *services* and of those that go with them, the last one to begin first."""
    seen: dict[str, Left] = {}
    for service in services:
        session = open_session(service)
        each = seen[service] = Left(session, session.view().inspect(any_state=True))
        for member in train.members_of(_train_of(each)):
            session = open_session(member.service)
            seen.setdefault(member.service, Left(session, session.view().inspect(any_state=True)))
    for service in services:
        situation = seen[service].situation
        if not _is_left(situation):
            console.say(f"No rollout of {service} is under way; it runs {situation.stable_image}.")
    situations = {service: each.situation for service, each in seen.items()}
    return [
        replace(each, promoted=train.is_promoted(train.members_of(_train_of(each)), situations))
        for each in reversed(seen.values())
        if _is_left(each.situation)
    ]


def _is_left(situation: Situation) -> bool:
    let_in = situation.canary_image is not None or bool(situation.directed) or situation.weighed or situation.baseline
    return let_in or situation.state is not None or situation.unusable


def _train_of(left: Left) -> tuple[str, ...]:
    return left.situation.state.train if left.situation.state else ()


def _all_promoted(names: Iterable[str]) -> str:
    services = " ".join(member.service for member in train.members_of(names))
    return f"all of which is promoted; `quarterdeck rollout undo {services}` takes it back"


def _abort_train(open_session: Open, names: Sequence[str], *, take_over: bool) -> int:
    """Put a whole train back, as one that goes back by itself: whoever goes on after a kill does not begin it again."""
    members = train.members_of(names)
    parts: dict[str, tuple[Session, RolloutRecord]] = {}
    situations: dict[str, Situation] = {}
    for member in members:
        session = open_session(member.service)
        situations[member.service] = session.view().inspect(any_state=True)
        plan = session.plan(member.image, situations[member.service], train=tuple(names))
        parts[member.service] = session, session.record(plan)
    by = next(iter(parts.values()))[0].actor
    together = Together(parts, take_over=take_over)
    if train.is_promoted(members, situations):
        outcome, code = together.finish(members, Outcome(Ending.PROMOTED, _all_promoted(names)))
    else:
        outcome, code = together.take_back(members, Outcome(Ending.ABORTED, f"aborted by {by}"))
    for member in members:
        console.emit_done(text.outcome_of(member.service, outcome))
    return code


def undo(open_session: Open, services: Sequence[str], *, yes: bool, dry_run: bool, write_back: bool = False) -> int:
    """Bring the previous revision of *services* back, what calls before what is called.

    With *write_back*, print the change that makes the stack's files say so, too.

    Raises:
        QuarterdeckError: it is refused, or could not be brought to an end.
    """
    sessions = {service: open_session(service) for service in services}
    catalogue = sessions[services[0]].environment.catalogue
    calls = {service.name: [each.name for each in service.dependencies] for service in catalogue.services}
    ordered = [sessions[service] for service in reversed(train.order(list(services), calls))]
    undone = [(session, plan) for session in ordered if (plan := _undoing(session))]
    if dry_run:
        for session, plan in undone:
            console.say(rehearse(session, plan, flow.undo(plan)))
    if dry_run or not undone:
        return EXIT_DONE
    for session, _ in undone:
        environment = session.environment
        preflight.bind_cluster(session.folder, environment.name, environment.cluster_uid)
    console.confirm("Go ahead?", yes=yes)
    for session, plan in undone:
        outcome, code = session.run(flow.undo(plan), session.record(plan))
        console.emit_done(text.outcome_of(session.service.name, outcome))
        if code != EXIT_DONE:
            return code
        if write_back:
            console.emit_done(session.write_back(session.view().inspect().stable_image))
    return EXIT_DONE


def _undoing(session: Session) -> flow.Plan | None:
    """Say what undoing does, and return its plan; None where it was done, and seen to its end."""
    view = session.view()
    situation = view.inspect()
    entry.refuse_under_way(session.service.name, situation)
    what = text.undo(view.stable(), view.replica_sets())
    console.say(what.text)
    if what.already:
        if situation.state is not None or (situation.stable_settled and not view.served()):
            return None
        console.say("  It was not seen to its end: that is done now.")
    _say_configuration(session, situation.stable_image)
    plan = session.plan("", situation)
    preflight.require_rights(session.environment.cluster, session.rights(plan, situation))
    return plan
