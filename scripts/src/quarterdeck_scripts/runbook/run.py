"""The one loop that carries out an action: plan, rehearse, ask, write down, change, wait until it shows.

Nothing is decided here; what to do and what is missing comes from the action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.kube.client import ApiError, UnreachableError
from quarterdeck_scripts.kube.differences import differences
from quarterdeck_scripts.rollout.acting.sightings import Patience, Sightings

if TYPE_CHECKING:
    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.ports import Clock
    from quarterdeck_scripts.runbook.model import AnyAction, Options, Plan, Progress, Request, Subject
    from quarterdeck_scripts.runbook.ports import Lock

POLL = 3.0
"""Seconds between two looks: three or four requests each, so about one a second."""

_PATIENCE = Patience(believe=10.0)
"""A pod that fails for this long ends the wait: several crashes or pulls, so a dependency that is late may come."""

_DRY = {"dryRun": "All"}
_MOVED = frozenset({409, 422})
"""Statuses by which the server says that a precondition does not hold."""

Tell = Callable[[str], None]
"""Takes where things stand, for a person."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the server would do, by its own account."""

    changes: tuple[str, ...]
    """Lines: what is changed, and how."""
    hindrances: tuple[str, ...]
    """What it would not do at this moment."""


@dataclass(frozen=True)
class Runner:
    """Carries out one action on one subject."""

    cluster: Cluster
    clock: Clock
    name: str
    """The action's id, as the audit log has it."""
    action: AnyAction
    subject: Subject

    def plan(self, options: Options) -> Plan:
        """Look, and decide what to do. Changes nothing."""
        return self.action.plan(self.action.observe(self.cluster, self.subject), options)

    def rehearse(self, plan: Plan) -> Rehearsal:
        """Have the server rehearse *plan* (a dry run): what it would change, and what it would refuse.

        Raises:
            ApiError: it would refuse the change itself: no permission, an admission rule, a world that moved.
        """
        changes: list[str] = []
        hindrances: list[str] = []
        for request in plan.requests:
            before = self.cluster.request("GET", request.path)
            changes += [request.about, *(f"  {line}" for line in differences(before, self._send(request, _DRY)))]
        for request in plan.follow_ups:
            try:
                self._send(request, _DRY)
                changes.append(f"{request.about}: evicted")
            except ApiError as error:
                if error.status not in request.passing:
                    raise
                hindrances.append(f"{request.about}: {error.message}")
        return Rehearsal(tuple(changes), tuple(hindrances))

    def carry_out(
        self, plan: Plan, options: Options, *, lock: Lock, audit: AuditLog, why: str, within: float, tell: Tell
    ) -> Progress:
        """Do what *plan* says, and wait until the cluster shows that it is done.

        Args:
            plan: as it was shown and agreed to.
            options: those it was made with.
            lock: of the subject: neither another action nor a rollout may change it meanwhile.
            audit: where the change is written down, before and after.
            why: the reason given.
            within: seconds until it has to be done.
            tell: called with where things stand.

        Raises:
            RefusedError: the world moved since the plan was made, or somebody else is at it; nothing was changed.
            QuarterdeckError: it is not done in time, or will not be; says what is still wrong.
        """
        lock.acquire()
        try:
            with audit.change(action=self.name, subject=str(self.subject), before=plan.before, why=why) as change:
                lock.holds()
                self._change(plan, options)
                progress = self._wait(plan, within, lock, tell, change)
                change.after = progress.now
                return progress
        finally:
            lock.release()

    def _change(self, plan: Plan, options: Options) -> None:
        """Send the plan's requests. When an answer is lost, look whether it was carried out before sending again."""
        for request in plan.requests:
            try:
                self._send(request)
            except UnreachableError:
                again = self.plan(options)
                if request in again.requests:
                    self._send(request)
                elif again.requests:
                    raise
            except ApiError as error:
                if error.status not in _MOVED:
                    raise
                raise RefusedError(
                    f"the {request.about} to be as it was when the plan was made",
                    f"another state ({error.found})",
                    "nothing was changed; run it again and read the new plan",
                ) from error

    def _wait(self, plan: Plan, within: float, lock: Lock, tell: Tell, change: Any) -> Progress:
        deadline = self.clock.monotonic() + within
        sightings = Sightings(_PATIENCE)
        missing: tuple[str, ...] = ("nothing was seen yet",)
        while True:
            _keep(lock, tell)
            try:
                progress = self._look(plan)
                change.after = progress.now
                if not progress.missing:
                    return progress
                missing = progress.missing
                tell(missing[0])
                failure = sightings.see(progress.failures, self.clock.monotonic())
                if failure:
                    raise self._not_done(plan, missing, f"{failure}, which waiting does not mend")
            except UnreachableError as error:
                tell(f"asking again: {error.found}")
                missing = (*missing[:1], f"the last look failed: {error.found}")
            if self.clock.monotonic() >= deadline:
                raise self._not_done(plan, missing, f"not done within {within:.0f} s")
            self.clock.sleep(POLL)

    def _look(self, plan: Plan) -> Progress:
        progress: Progress = self.action.progress(plan, self.action.observe(self.cluster, self.subject))
        for request in progress.requests:
            try:
                self._send(request)
            except ApiError as error:
                if error.status not in request.passing:
                    raise
        return progress

    def _send(self, request: Request, query: dict[str, str] | None = None) -> Json:
        return self.cluster.request(
            request.method, request.path, query=query, body=request.body, content_type=request.content_type
        )

    def _not_done(self, plan: Plan, missing: tuple[str, ...], reason: str) -> QuarterdeckError:
        return QuarterdeckError(
            f"to {plan.summary}",
            f"{reason}. Still wrong:\n  " + "\n  ".join(missing),
            "mend what is named and run the same command again: it goes on from here",
        )


def _keep(lock: Lock, tell: Tell) -> None:
    try:
        lock.keep()
    except (ApiError, UnreachableError) as error:
        tell(f"the lock could not be renewed ({error.found})")
