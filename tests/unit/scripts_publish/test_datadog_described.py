"""Every dashboard, monitor, objective and downtime that is generated, held to Datadog's own API description."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.scripts_publish.description import FILE, VARIABLE, Description, description

from quarterdeck_dashboards.catalogue import load, parse
from quarterdeck_dashboards.datadog import resources
from quarterdeck_dashboards.datadog.downtimes import of_rollout

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.resource import Resource

EVERY_KIND = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    owner: payments
    image: a/checkout:v1
    framework: fastapi
    metrics:
      - {name: jobs.done, kind: counter}
      - {name: jobs.wait, kind: histogram, unit: s, buckets: [1, 5]}
      - {name: jobs.last, kind: gauge, unit: s}
    slos:
      - {name: availability, kind: availability, objective: 99.5}
      - {name: latency, kind: latency, objective: 99, threshold: 250ms, window: 7d}
      - {name: monthly, kind: availability, objective: 99.9, calendar: month}
      - {name: wait, kind: queue-wait, objective: 99, metric: jobs.wait, threshold: 5s, window: 90d}
      - {name: throughput, kind: throughput, objective: 99, metric: jobs.done, minimum: 1}
      - {name: fresh, kind: freshness, objective: 99, metric: jobs.last, threshold: 1h}
    dependencies:
      - {name: orders}
      - {name: ledger, kind: postgresql}
      - {name: carts, kind: redis}
  - name: orders
    owner: payments
    image: a/orders:v1
    framework: grpc
    slos: [{name: availability, kind: availability, objective: 99.5}]
  - {name: mailer, owner: letters, image: 'a/mailer:v1', framework: celery}
  - name: biller
    owner: letters
    image: a/biller:v1
    framework: batch
    dependencies: [{name: bills, kind: rabbitmq}]
"""
"""Services, objectives and dependencies of every kind that panels and monitors know."""


@pytest.fixture(scope="module")
def judge() -> Description:
    """Return Datadog's description."""
    if not FILE.exists():
        pytest.skip(f"needs Datadog's API description: set {VARIABLE} to its path")
    return description()


def _wrong(judge: Description, kind: str, body: Any) -> list[str]:
    return judge.request("POST", f"/api/v1/{kind}", {}, body)


def _all(root: Path) -> list[Resource]:
    catalogue = parse(EVERY_KIND, "services.yaml")
    downtime = of_rollout("checkout", "prod", "WorkersSaturated", datetime(2026, 1, 1, tzinfo=UTC))
    return [*resources(catalogue, "prod"), *resources(load(root / "services.yaml"), "prod"), downtime]


def test_everything_generated_is_as_datadog_describes_it(judge: Description, root: Path) -> None:
    """Of services of every kind, and of the repository's own."""
    every = _all(root)

    assert {each.key: wrong for each in every if (wrong := _wrong(judge, each.kind, each.body))} == {}
    assert {each.kind for each in every} == {"dashboard", "monitor", "slo", "downtime"}


def test_the_description_refuses_what_datadog_has_not(judge: Description, root: Path) -> None:
    """So that the test above means something: another type, a missing query, a widget of no kind."""
    one = {each.kind: each.body for each in reversed(_all(root))}
    widget = one["dashboard"]["widgets"][0]

    assert _wrong(judge, "slo", one["slo"] | {"type": "metrics"})
    assert _wrong(judge, "monitor", {name: value for name, value in one["monitor"].items() if name != "query"})
    assert _wrong(judge, "dashboard", one["dashboard"] | {"layout_type": "orderly"})
    drawn = {**widget, "definition": widget["definition"] | {"type": "groups"}}
    assert _wrong(judge, "dashboard", one["dashboard"] | {"widgets": [drawn]})
