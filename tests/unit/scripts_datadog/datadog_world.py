"""A service whose pods send their metrics to a Datadog on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.unit.scripts_publish.datadog_server import KEYS

from quarterdeck_contract import VERSION
from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.datadog.metrics import DatadogMetrics, PodLabels
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.judge.criteria import Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord

if TYPE_CHECKING:
    from tests.unit.scripts_publish.datadog_server import DatadogServer

BEGIN = 1_800_000_000.0
EXPORT = 60.0
"""Seconds between two exports of a pod."""


@dataclass
class World:
    """A service whose pods send their metrics to Datadog once a minute, in time that flies."""

    server: DatadogServer
    clock: FakeClock = field(default_factory=lambda: FakeClock(BEGIN))
    pods: dict[str, PodLabels] = field(default_factory=dict)

    def api(self) -> DatadogMetrics:
        """Return Datadog, as a process of ours speaks to it."""
        api = JsonApi(self.server.url, KEYS, called="Datadog", clock=self.clock, within=1)
        return DatadogMetrics(
            api,
            environment="prod",
            pods=lambda: dict(self.pods),
            now=self.clock.now,
            routes=("/orders/{id}",),
        )

    def serve(self, pod: str, seconds: float, *, rate: float = 10.0, failing: float = 0.0, slow: float = 0.0) -> None:
        """Have *pod* serve for *seconds* from now on, *failing* and *slow* shares of its requests."""
        metrics, end = self.server.metrics, self.clock.now() + seconds
        known = self.pods[pod]
        target = {"env": "prod", "kube_namespace": "shop", "service": "checkout", "pod_name": pod}
        target["version"] = known.version
        at = self.clock.now() + len(pod) % 7  # pods export when they like
        while at < end:
            metrics.send("quarterdeck.build.info", at, 1.0, contract_version=VERSION, **target)
            failed, late = round(rate * EXPORT * failing), round(rate * EXPORT * slow)
            for status, value, times in (
                ("500", 0.02, failed),
                ("200", 0.7, late),
                ("200", 0.02, round(rate * EXPORT) - failed - late),
            ):
                metrics.send(
                    "http.server.request.duration",
                    at,
                    value,
                    times,
                    http__request__method="GET",
                    http__route="/orders/{id}",
                    http__response__status_code=status,
                    **target,
                )
            at += EXPORT

    def measurer(self, *objectives: Objective) -> tuple[Measurer, RolloutRecord]:
        """Return what judges the canary from now on."""
        record = RolloutRecord(
            *("id", "checkout", "shop", "prod", "uid", "x:v2", "x:v1", "anna", BEGIN, EXPORT, 3600.0),
            Criteria(),
            objectives,
            since=self.clock.now(),
        )
        return Measurer(self.api(), record, version="v2"), record

    def facts(self) -> list[PodFact]:
        """Return the pods as the cluster has them."""
        return [
            PodFact(name, known.track, ready=True, born_during=known.track == "canary")
            for name, known in self.pods.items()
        ]
