"""Running an action on a cluster in memory, in time that passes at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.lock import NODE, LeaseLock
from quarterdeck_scripts.runbook.model import Options, Plan, Progress, Subject, Target
from quarterdeck_scripts.runbook.registry import action_called
from quarterdeck_scripts.runbook.run import Runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.kube.fake import FakeCluster


@dataclass
class Bench:
    """Runs actions, and keeps what was told meanwhile."""

    cluster: Cluster
    audit: AuditLog
    clock: FakeClock
    told: list[str] = field(default_factory=list)

    def runner(self, name: str, subject: str) -> Runner:
        """Return the runner of the action *name* on a service of `shop`, or on a node."""
        action = action_called(name)
        service = action.target is Target.SERVICE
        on = Subject("Deployment", subject, "shop") if service else Subject("Node", subject)
        return Runner(self.cluster, self.clock, name, action, on)

    def lock(self, name: str, subject: str, holder: str = "alice@bridge") -> LeaseLock:
        """Return the lock that the action *name* takes of *subject*, not yet taken."""
        if action_called(name).target is Target.NODE:
            return LeaseLock(self.cluster, "quarterdeck", subject, holder=holder, clock=self.clock, kind=NODE)
        return LeaseLock(self.cluster, "shop", subject, holder=holder, clock=self.clock)

    def options(self, **given: Any) -> Options:
        """Return options, asked for at the clock's time."""
        return Options(datetime.fromtimestamp(self.clock.now(), UTC), **given)

    def plan(self, name: str, subject: str, **given: Any) -> Plan:
        """Return the plan of an action."""
        return self.runner(name, subject).plan(self.options(**given))

    def run(self, name: str, subject: str, *, within: float = 60, why: str = "", **given: Any) -> Progress:
        """Plan and carry out an action."""
        runner, options = self.runner(name, subject), self.options(**given)
        plan = runner.plan(options)
        lock = self.lock(name, subject)
        return runner.carry_out(
            plan, options, lock=lock, audit=self.audit, why=why, within=within, tell=self.told.append
        )

    def outcomes(self) -> list[tuple[str, str, str]]:
        """Return action, phase and outcome of each entry of the audit log."""
        return [(entry.action, entry.phase, entry.outcome) for entry in self.audit.verify().entries]


@pytest.fixture
def at_each_look() -> list[Callable[[], None]]:
    """Return what happens each time an action waits: add to it, and it is called once, in order."""
    return []


@pytest.fixture
def bench(cluster: FakeCluster, tmp_path: Path, at_each_look: list[Callable[[], None]]) -> Bench:
    """Return a bench on the cluster in memory."""

    def tick(_: float) -> None:
        if at_each_look:
            at_each_look.pop(0)()

    return Bench(cluster, AuditLog(cluster, tmp_path / "audit", "alice"), FakeClock(on_sleep=tick))


@pytest.fixture
def image(cluster: FakeCluster) -> Callable[[], str]:
    """Return a function that tells the image of the service `checkout`."""

    def tell() -> str:
        deployment = cluster.request("GET", path("Deployment", "shop", "checkout"))
        return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])

    return tell
