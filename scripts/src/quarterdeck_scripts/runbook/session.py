"""Puts the parts of one `runbook run` together: what was asked, the environment, the loop, what is said."""

from __future__ import annotations

import getpass
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_dashboards.duration import parse_duration
from quarterdeck_scripts.audit import AuditLog, actor_of
from quarterdeck_scripts.ports import Clock, SystemClock
from quarterdeck_scripts.rollout.acting.lock import NODE, LeaseLock
from quarterdeck_scripts.rollout.checks.preflight import bind_cluster
from quarterdeck_scripts.runbook.model import AnyAction, Options, Plan, Progress, Subject, Target
from quarterdeck_scripts.runbook.run import Rehearsal, Runner, Tell
from quarterdeck_scripts.workspace import AUDIT, state_of

if TYPE_CHECKING:
    from quarterdeck_scripts.environment import Environment

NODE_WITHIN = 600.0
"""Seconds that a drain may take when `--within` is not given: pods end in their grace periods, one after another
where a budget lets one go at a time."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    name: str
    """The action's id."""
    action: AnyAction
    service: str | None
    node: str | None
    replicas: int | None
    undo: bool
    force: bool
    within: str
    """A duration; empty for the default."""

    def require_fitting(self) -> None:
        """Make sure that the options are those of the action.

        Raises:
            UsageError: its subject is missing, or an option is another action's.
        """
        given = {
            "--service": self.service is not None,
            "--node": self.node is not None,
            "--replicas": self.replicas is not None,
            "--undo": self.undo,
        }
        wanted = f"--{self.action.target}"
        usage = f"quarterdeck runbook run {self.action.usage}"
        if not given[wanted]:
            raise UsageError(f"{wanted} for the action {self.name}", f"no {wanted}", f"run `{usage}`")
        allowed = {wanted} | ({"--undo"} if self.action.target is Target.NODE else set())
        surplus = [
            option for option, is_given in given.items() if is_given and option not in allowed | set(usage.split())
        ]
        if surplus:
            raise UsageError(f"options of the action {self.name}", ", ".join(surplus), f"run `{usage}`")
        if self.within:
            try:
                parse_duration(self.within)
            except ValueError as error:
                raise UsageError(
                    "a duration for --within, such as 90s or 5m", repr(self.within), "write `--within 5m`"
                ) from error


@dataclass(frozen=True)
class Session:
    """One run of one action in one environment."""

    environment: Environment
    asked: Asked
    clock: Clock = SystemClock()  # noqa: RUF009 -- it has no state

    @cached_property
    def subject(self) -> Subject:
        """What is acted on.

        Raises:
            UsageError: the environment's catalogue has no such service.
        """
        if self.asked.action.target is Target.NODE:
            return Subject("Node", self.asked.node or "")
        service = self.environment.service(self.asked.service or "")
        return Subject("Deployment", service.name, service.namespace)

    @cached_property
    def options(self) -> Options:
        """What was asked for besides."""
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        return Options(now, self.asked.replicas, force=self.asked.force, undo=self.asked.undo)

    @property
    def within(self) -> float:
        """Seconds that it may take: what was asked for, else what the catalogue gives a new pod."""
        if self.asked.within:
            return parse_duration(self.asked.within).total_seconds()
        if self.subject.kind == "Node":
            return NODE_WITHIN
        return self.environment.service(self.subject.name).rollout.ready_within.total_seconds()

    @property
    def _runner(self) -> Runner:
        return Runner(self.environment.cluster, self.clock, self.asked.name, self.asked.action, self.subject)

    @property
    def _lock(self) -> LeaseLock:
        """The subject's lock: a service's is the one that its rollouts take."""
        cluster, subject = self.environment.cluster, self.subject
        holder = f"{getpass.getuser()}@{socket.gethostname()} (pid {os.getpid()}), {self.asked.name}"
        if subject.kind == "Node":
            return LeaseLock(cluster, SYSTEM_NAMESPACE, subject.name, holder=holder, clock=self.clock, kind=NODE)
        return LeaseLock(cluster, subject.namespace, subject.name, holder=holder, clock=self.clock)

    def prepare(self) -> tuple[Plan, Rehearsal]:
        """Make the plan and have the server rehearse it. Changes nothing."""
        plan = self._runner.plan(self.options)
        return plan, self._runner.rehearse(plan)

    def described(self, plan: Plan, rehearsal: Rehearsal) -> str:
        """Return the plan as a person reads it before saying yes."""
        environment = self.environment
        where = f"{environment.cluster.server}, environment {environment.name} ({environment.cluster_uid})"
        lines = [f"Plan: {plan.summary}", f"  cluster  {where}", *(f"  {line}" for line in plan.details)]
        if rehearsal.changes:
            lines += ["The server would change:", *(f"  {line}" for line in rehearsal.changes)]
        if rehearsal.hindrances:
            lines += ["The server would refuse, at this moment:", *(f"  {line}" for line in rehearsal.hindrances)]
        if not (plan.requests or plan.follow_ups):
            lines.append("Nothing has to be changed.")
        return "\n".join(lines)

    def carry_out(self, plan: Plan, why: str, tell: Tell) -> Progress:
        """Do it; see `Runner.carry_out`."""
        environment = self.environment
        bind_cluster(state_of(environment.name), environment.name, environment.cluster_uid)
        audit = AuditLog(environment.cluster, AUDIT, actor_of(environment.cluster))
        return self._runner.carry_out(
            plan, self.options, lock=self._lock, audit=audit, why=why, within=self.within, tell=tell
        )

    def result(self, plan: Plan, rehearsal: Rehearsal, progress: Progress | None, output: str) -> str:
        """Return the data for stdout; *progress* is None after a dry run."""
        if output == "json":
            told = {
                "action": self.asked.name,
                "subject": str(self.subject),
                "environment": self.environment.name,
                "outcome": "done" if progress else "dry run",
                "plan": plan.summary,
                "changes": rehearsal.changes,
                "hindrances": rehearsal.hindrances,
                "before": plan.before,
                "after": progress.now if progress else None,
            }
            return json.dumps(told, indent=2, sort_keys=True)
        if progress is None:
            return f"{self.asked.name} {self.subject}: dry run, nothing was changed."
        now = ", ".join(f"{key} {_text(value)}" for key, value in progress.now.items())
        return f"{self.asked.name} {self.subject}: done. {now}"


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
