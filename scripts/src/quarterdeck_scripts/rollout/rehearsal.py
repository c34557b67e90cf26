"""What a flow would change, as the server says: its own steps, carried out on a cluster that stores nothing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.audit.log import Change
from quarterdeck_scripts.kube.rehearsal import RehearsedCluster
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.hands import Hands
from quarterdeck_scripts.rollout.acting.lock import LeaseLock
from quarterdeck_scripts.rollout.acting.stop import StopRequest
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Verdict
from quarterdeck_scripts.rollout.steps import actions as do

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.rollout.session import Session
    from quarterdeck_scripts.rollout.steps.flow import Plan

_PASSED = do.Look(Assessment(Verdict.PASS, (), (), "the new version passes"), elapsed=0.0)


def rehearse(session: Session, plan: Plan, steps: do.Flow) -> str:
    """Return, in lines, what *steps* would change if every wait and every verdict turned out well.

    Raises:
        ApiError: the server would refuse one of the changes.
        QuarterdeckError: the flow itself would refuse.
    """
    cluster = RehearsedCluster(session.environment.cluster)
    clock = FakeClock(session.clock.now())
    rehearsing = replace(session, environment=replace(session.environment, cluster=cluster))
    record = rehearsing.record(plan)
    hands = Hands(
        cluster=cluster,
        prometheus=session.prometheus,
        audit=_Unwritten(cluster, session.folder, session.actor),
        lock=_Untaken(cluster, record.namespace, record.service, holder=session.actor, clock=clock),
        clock=clock,
        stop=StopRequest(),
        record=record,
        keeper=rehearsing.keeper(record),
    )
    lines = ["Dry run: the API server accepts"]
    action = next(steps)
    while True:
        before = len(cluster.changes)
        answer = _answer(hands, action)
        lines += _told(action, cluster, before)
        if isinstance(action, do.SaveState) and answer:
            return "\n".join([*lines, f"  Wait: {answer}"])
        try:
            action = steps.send(answer)
        except StopIteration:
            return "\n".join(lines)


def _answer(hands: Hands, action: do.Action) -> Any:
    match action:
        case do.WaitReady():
            return do.Waited(ready=True)
        case do.Measure():
            return _PASSED
        case do.Pause() | do.Foresee() | do.KeepEvidence():
            return None
    return hands.carry_out(action)


def _told(action: do.Action, cluster: RehearsedCluster, first: int) -> Iterator[str]:
    changes = cluster.changes[first:]
    if changes:
        yield f"  {action.title}"
    for change in changes:
        yield f"    {change.what}"
        if not isinstance(action, do.SaveState | do.ClearState):  # their title says it; the annotation is no reading
            yield from (f"      {line}" for line in change.how)


class _Untaken(LeaseLock):
    """The lock of a run that changes nothing: nobody has to be kept out."""

    def acquire(self, *, take_over: bool = False) -> None:
        """Go on."""

    def holds(self) -> None:
        """Go on."""

    def keep(self) -> None:
        """Go on."""

    def release(self) -> None:
        """Go on."""


class _Unwritten(AuditLog):
    """The log of what was not done."""

    @contextmanager
    def change(self, *, action: str, subject: str, before: Any, why: str) -> Iterator[Change]:
        """Let the body make its change of nothing."""
        del action, subject, before, why
        yield Change("")
