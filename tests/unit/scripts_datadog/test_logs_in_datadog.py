"""What pods log is asked of Datadog as of a Prometheus: errors, counter by counter, and nothing else."""

from __future__ import annotations

from typing import Any

from tests.unit.scripts_datadog.metric_store import Metrics

from quarterdeck_scripts.datadog.metrics import DatadogMetrics, PodLabels
from quarterdeck_scripts.datadog.question import question
from quarterdeck_scripts.rollout.judge import queries
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.logged import LogCount, Logged

BEGIN = 1_800_000_000.0
PODS = {"a": PodLabels("stable", "v1"), "c": PodLabels("canary", "v2")}
FACTS = [PodFact(name, known.track, ready=True, born_during=name == "c") for name, known in PODS.items()]


class Store:
    """Answers as Datadog does, from what was sent; see `publish.ports.Api`."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def logs(self, pod: str, at: float, severity: str, times: int) -> None:
        """Take what *pod* exports at *at*."""
        target = {"env": "prod", "kube_namespace": "shop", "service": "checkout", "pod_name": pod}
        version = PODS[pod].version
        self.metrics.send("quarterdeck.log.records", at, 1.0, times, log__severity=severity, version=version, **target)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Answer a query."""
        asked = options["query"]
        assert (method, path) == ("GET", "/api/v1/query")
        return self.metrics.answer(asked["query"], int(asked["from"]), int(asked["to"]))


def test_errors_are_asked_for_by_pod() -> None:
    """And in sum, which shows whether all was sent; of each side, because Datadog knows of none."""
    asked = question(queries.logged("shop", "checkout", 180), ("env:prod",))

    where = "env:prod AND kube_namespace:shop AND service:checkout AND log.severity IN (error,fatal)"
    suffix = ".as_count().rollup(sum, 20)"
    assert [str(each) for each in asked.queries()] == [  # type: ignore[union-attr]  # it is no clock
        f"sum:quarterdeck.log.records{{{where}}} by {{pod_name,version,log.severity}}{suffix}",
        f"sum:quarterdeck.log.records{{{where}}}{suffix}",
    ]


def test_errors_are_counted_as_pods_export_them() -> None:
    """Each once, over looks that overlap; warnings are none."""
    store, count = Store(), LogCount(warm_up=0.0)
    datadog = DatadogMetrics(store, environment="prod", pods=lambda: PODS, now=lambda: BEGIN)
    text, logged = queries.logged("shop", "checkout", 180), []
    for minute in range(4):
        at = BEGIN + 60 * minute
        for pod, errors in (("a", 2), ("c", 30)):
            store.logs(pod, at + 5, "ERROR", errors)
            store.logs(pod, at + 5, "FATAL", 1)
            store.logs(pod, at + 5, "WARN", 500)
        answer = datadog.query(text, at=at + 60)
        assert answer.warnings == ()
        logged.append(count.take(FACTS, answer.series, (600, 600), at + 60))

    assert [each and each.errors for each in logged] == [(31, 3), (62, 6), (93, 9), (124, 12)]
    assert logged[-1] == Logged((124, 12), (600, 600), (3.0, 3.0))
