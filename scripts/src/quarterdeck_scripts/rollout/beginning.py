"""What a start needs to know of each service before anything is changed: looked at, planned, refused here or never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.checks import finding, preflight
from quarterdeck_scripts.rollout.foresight.asking import counted_at_peak
from quarterdeck_scripts.rollout.line.freezes import GUARD
from quarterdeck_scripts.rollout.steps import flow, train
from quarterdeck_scripts.rollout.steps.train import Member
from quarterdeck_scripts.rollout.together import Together

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from quarterdeck_scripts.rollout.checks.finding import Finding
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.session import Session
    from quarterdeck_scripts.rollout.steps.actions import Outcome, Situation

Open = Callable[[str], "Session"]
"""Takes a service's name."""


@dataclass(frozen=True, slots=True)
class Start:
    """One service about to be rolled out, or gone on with."""

    session: Session
    plan: flow.Plan
    record: RolloutRecord
    findings: tuple[Finding, ...]
    resumed: bool
    finished: bool
    """Whether it has its version already, as one of several that are on their way."""

    @property
    def file(self) -> Path:
        """Where its record is written."""
        return self.session.records / f"{self.record.id}.json"


def require(found: Iterable[Start], override: str) -> None:
    """Refuse what a guard speaks against, and another cluster of the same name.

    What is under way may itself be why a guard speaks: it is walked to its end in any case, and pauses in a freeze.

    Raises:
        RefusedError: at least one finding refuses, and nobody overrides.
    """
    for each in found:
        if not each.resumed:
            finding.require(each.plan.service, each.findings, override)
        environment = each.session.environment
        preflight.bind_cluster(each.session.folder, environment.name, environment.cluster_uid)


def note_overrides(found: Iterable[Start], override: str) -> None:
    """Write down what *override*, a reason, passes by; nothing where it is empty.

    Raises:
        RefusedError: the audit log cannot be written.
    """
    for each in found if override else ():
        passed = [found for found in each.findings if found.guard == GUARD or (found.refuses and not each.resumed)]
        each.session.note_override(passed, override)
        each.record.overridden = override
        each.record.passed = [found.found for found in passed if found.guard == GUARD]


def carry_out(found: Sequence[Start]) -> tuple[Outcome, int]:
    """Roll one service out, or several together; return how it ended and the exit code."""
    first = found[0]
    if len(found) == 1:
        return first.session.run(flow.start(first.plan), first.record)
    members = [Member(each.plan.service, each.plan.image) for each in found]
    together = Together({each.plan.service: (each.session, each.record) for each in found})
    return together.roll_out(members, first.plan.forced)


def starts(open_session: Open, asked: Sequence[Member], after: Iterable[str], forced: str) -> tuple[Start, ...]:
    """Return what is to be rolled out, in order; services that run their version already are left out.

    Args:
        open_session: opens a service of the environment.
        asked: services and their versions.
        after: see `train.order`.
        forced: why the gate is passed by; empty when it is not.

    Raises:
        QuarterdeckError: something stands against it; nothing was changed.
    """
    sessions = {member.service: open_session(member.service) for member in asked}
    for session in sessions.values():
        session.lock().refuse_if_held()
    seen = {service: session.view().inspect() for service, session in sessions.items()}
    members = train.under_way(asked, seen)
    for service in {member.service for member in members} - set(sessions):
        sessions[service] = open_session(service)
        seen[service] = sessions[service].view().inspect()
    if not members:
        members = _in_order(asked, after, sessions, seen)
    together = tuple(map(str, members)) if len(members) > 1 else ()
    return tuple(_start(sessions[each.service], each, seen[each.service], together, forced) for each in members)


def _in_order(
    asked: Sequence[Member], after: Iterable[str], sessions: dict[str, Session], seen: dict[str, Situation]
) -> tuple[Member, ...]:
    if len(asked) == 1:
        return tuple(asked)
    catalogue = sessions[asked[0].service].environment.catalogue
    calls = {service.name: [each.name for each in service.dependencies] for service in catalogue.services}
    images = {member.service: member for member in asked}
    ordered = [images[service] for service in train.order([member.service for member in asked], calls, after)]
    return tuple(member for member in ordered if not train.runs_already(member, seen))


def guarded(session: Session) -> Start:
    """Return an update of a service that somebody else began, to be judged.

    Raises:
        QuarterdeckError: there is none, or something stands against it; nothing was changed.
    """
    session.lock().refuse_if_held()
    situation = session.view().inspect()
    start = _ready(session, session.guard(situation), situation)
    # In a freeze it is judged and held: unguarded, it would go on all the same.
    findings = [replace(each, refuses=each.refuses and each.guard != GUARD) for each in start.findings]
    return replace(start, findings=tuple(findings))


def _start(session: Session, member: Member, situation: Situation, together: tuple[str, ...], forced: str) -> Start:
    plan = session.plan(member.image, situation, forced, train=together)
    finished = bool(together) and train.runs_already(member, {member.service: situation})
    return _ready(session, plan, situation, finished=finished)


def _ready(session: Session, plan: flow.Plan, situation: Situation, *, finished: bool = False) -> Start:
    if not finished:
        flow.begin_or_resume(plan, situation)
    session.check_routes(plan, situation)
    preflight.require_rights(session.environment.cluster, session.rights(plan, situation))
    if not (finished or situation.state or plan.guarding):
        preflight.require_image(session.environment.cluster, session.view().stable(), plan.image)
    if not (plan.forced or finished or situation.state):  # one under way comes to its end without evidence too
        namespace, name = session.service.namespace, session.service.name
        preflight.require_measurable(session.prometheus, namespace, name, session.interval)
    record = session.record(plan)
    if not (plan.forced or finished):
        record.peak = counted_at_peak(session.service, session.prometheus, session.let_in(plan))
    return Start(
        session=session,
        plan=plan,
        record=record,
        findings=() if finished else session.findings(plan),
        resumed=situation.state is not None,
        finished=finished,
    )
