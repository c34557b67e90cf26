"""A Datadog on loopback, and what is published there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.scripts_publish.datadog_server import KEYS, DatadogServer
from tests.unit.scripts_publish.description import FILE, VARIABLE, description

from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.datadog import resources
from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.datadog.store import DOWNTIME, DatadogStore
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.publish.run import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_dashboards.resource import Resource
    from quarterdeck_scripts.kube.fake import FakeCluster
    from quarterdeck_scripts.publish.plan import Plan

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    tier: 1
    framework: fastapi
    image: registry.example/checkout:v1
    slos:
      - {name: availability, kind: availability, objective: 99.5}
"""
MORE = """\
  - name: orders
    namespace: shop
    owner: payments
    image: registry.example/orders:v1
    framework: flask
    slos:
      - {name: fast, kind: latency, objective: 99, threshold: 1s}
"""


@cache
def wanted(text: str = CATALOGUE, *, whole: bool = False, environment: str = "prod") -> tuple[Resource, ...]:
    """Return what Datadog should have; of the dashboards the smallest alone, unless *whole*."""
    every = resources(parse(text, "services.yaml"), environment)
    return tuple(each for each in every if whole or each.kind != "dashboard" or each.key.endswith("slo-report"))


@dataclass
class Desk:
    """Plans and applies against a Datadog on loopback."""

    server: DatadogServer
    clock: FakeClock
    slept: list[float] = field(default_factory=list)
    timeout: float = 20.0
    """Seconds until an answer is given up."""

    def store(self, environment: str = "prod") -> DatadogStore:
        """Return a store that speaks to it by HTTP, and waits in no time."""
        api = JsonApi(self.server.url, KEYS, called="Datadog", clock=self.clock, timeout=self.timeout)
        return DatadogStore(api, environment)

    def publication(self, every: tuple[Resource, ...], environment: str = "prod", **more: Any) -> Publication:
        """Return what is to be published."""
        return Publication("Datadog", self.store(environment), every, kept=frozenset({DOWNTIME}), **more)

    def plan(self, every: tuple[Resource, ...]) -> Plan:
        """Return a plan."""
        return self.publication(every).plan()

    def apply(self, every: tuple[Resource, ...], environment: str = "prod", audit: AuditLog | None = None) -> Plan:
        """Plan and carry out; return the plan."""
        publication = self.publication(every, environment)
        plan = publication.plan()
        self.server.calls.clear()
        publication.carry_out(plan, audit, "datadog apply", lambda _: None)
        return plan

    def destroy(self, environment: str = "prod") -> None:
        """Delete what is ours."""
        publication = Publication("Datadog", self.store(environment))
        publication.carry_out(publication.plan(), None, "datadog destroy", lambda _: None)

    def names(self, kind: str) -> list[str]:
        """Return what is there, by name."""
        return sorted(each["name"] for each in self.server.objects[kind].values())

    def one(self, kind: str, part: str) -> dict[str, Any]:
        """Return the one thing whose name has *part* in it."""
        (found,) = (each for each in self.server.objects[kind].values() if part in each["name"])
        return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Return a desk at a Datadog; nothing may be said to it, or by it, that its description has not."""
    if not FILE.exists():
        pytest.skip(f"needs Datadog's API description: set {VARIABLE} to its path")
    server = DatadogServer(description())
    slept: list[float] = []
    clock = FakeClock(on_sleep=slept.append)
    try:
        yield Desk(server, clock, slept)
        assert server.wrong == []
    finally:
        server.close()


@pytest.fixture
def audit(cluster: FakeCluster, tmp_path: Path) -> AuditLog:
    """Return the audit log of a cluster in memory."""
    return AuditLog(cluster, tmp_path / "audit", "tester")
