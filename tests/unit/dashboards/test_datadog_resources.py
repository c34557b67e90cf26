"""What Datadog should have of a catalogue: queries by OpenTelemetry's names, in the windows that Datadog has."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.datadog import left_out, resources
from quarterdeck_dashboards.datadog.burn import burn_rates

HEAD = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: jobs
    namespace: shop
    owner: Payments & Billing
    tier: 2
    image: registry.example/jobs:v1
    framework: flask
    metrics:
      - {name: jobs.done, kind: counter}
      - {name: jobs.wait, kind: histogram, unit: s, buckets: [1, 5]}
      - {name: jobs.last, kind: gauge, unit: s}
    slos:
"""


def _slo(line: str) -> list[dict[str, str]]:
    (found,) = [each for each in resources(parse(f"{HEAD}      - {{{line}}}\n", "s"), "prod") if each.kind == "slo"]
    specification = found.body["sli_specification"]
    how = specification["count"] if "count" in specification else specification["time_slice"]["query"]
    queries: list[dict[str, str]] = how["queries"]
    return queries


OWN = "env:prod AND kube_namespace:shop AND service:jobs"
FINE = "NOT http.response.status_code:5*"


@pytest.mark.parametrize(
    ("line", "good", "events"),
    [
        (
            "name: a, kind: availability, objective: 99.9, route: /pay",
            f"count:http.server.request.duration{{{OWN} AND http.route:/pay AND {FINE}}}.as_count()",
            f"count:http.server.request.duration{{{OWN} AND http.route:/pay}}.as_count()",
        ),
        (
            "name: a, kind: latency, objective: 99.9, threshold: 250ms",
            f"count(v: v<=0.25):http.server.request.duration{{{OWN} AND {FINE}}}.as_count()",
            f"count:http.server.request.duration{{{OWN} AND {FINE}}}.as_count()",
        ),
        (
            "name: a, kind: queue-wait, objective: 99.9, metric: jobs.wait, threshold: 5s",
            f"count(v: v<=5):jobs.wait{{{OWN}}}.as_count()",
            f"count:jobs.wait{{{OWN}}}.as_count()",
        ),
    ],
)
def test_good_events_of_all(line: str, good: str, events: str) -> None:
    """The counters are those of the recording rules: OpenTelemetry's names with dots, attributes as tags."""
    assert [each["query"] for each in _slo(line)] == [good, events]


def test_a_throughput_is_judged_by_time_slices() -> None:
    """Five minutes are good in which the counter grew fast enough."""
    (query,) = _slo("name: a, kind: throughput, objective: 99, metric: jobs.done, minimum: 2")

    assert query["query"] == f"sum:jobs.done{{{OWN}}}.as_rate()"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "name: a, kind: freshness, objective: 99, metric: jobs.last, threshold: 1h",
            "how old a time is cannot be asked there, for want of the present one",
        ),
        (
            "name: a, kind: custom, objective: 99, errors: bad_total, events: all_total",
            "its counters are named as Prometheus has them, and so without OpenTelemetry's name",
        ),
        (
            "name: a, kind: availability, objective: 99, window: 14d",
            "its window is 14d, and Datadog's objectives have 7d, 30d, 90d",
        ),
        ("name: a, kind: availability, objective: 99.9995", "its objective 99.9995 has more than 3 decimals"),
    ],
)
def test_what_datadog_cannot_state_is_left_out_and_said(line: str, reason: str) -> None:
    """No objective is approximated in silence, and no monitor refers to one that is not there."""
    catalogue = parse(f"{HEAD}      - {{{line}}}\n", "s")

    assert left_out(catalogue) == (f"jobs/a: {reason}",)
    assert [each.key for each in resources(catalogue, "prod") if "burn" in each.key or each.kind == "slo"] == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("7d", [("page", 8.4, 1), ("ticket", 0.998, 17)]),
        ("30d", [("page", 14.4, 1), ("page", 6.0, 6), ("ticket", 1.5, 48)]),
        ("90d", [("page", 14.4, 3), ("page", 6.0, 18), ("ticket", 4.5, 48)]),
    ],
)
def test_burn_rates_in_the_windows_there_are(window: str, expected: list[tuple[str, float, int]]) -> None:
    """Whole hours from 1 to 48: no row fires more easily than the table's, and none always with another."""
    catalogue = parse(f"{HEAD}      - {{name: a, kind: availability, objective: 99.9, window: {window}}}\n", "s")
    service = catalogue.services[0]

    found = [
        (each.severity.value, each.above, round(each.long.total_seconds() / 3600))
        for each in burn_rates(service, service.slos[0])
    ]

    assert found == expected
    assert all(each.short * 12 == each.long for each in burn_rates(service, service.slos[0]))


def test_every_monitor_leads_to_a_page_and_a_team() -> None:
    """Its runbook is one that is written, and notification rules find it by team and severity."""
    pages = {entry.name for entry in entry_points(group="quarterdeck.runbooks")}
    line = "      - {name: a, kind: availability, objective: 99.9}\n"
    monitors = [each for each in resources(parse(HEAD + line, "s"), "prod") if each.kind == "monitor"]

    assert {each.body["message"].rpartition("/runbooks/")[2].strip("/") for each in monitors} <= pages
    assert all("team:payments_billing" in each.body["tags"] for each in monitors)
    assert [each.key for each in monitors] == [
        "monitor/jobs/errorbudgetburn/a/page-1h",
        "monitor/jobs/errorbudgetburn/a/page-6h",
        "monitor/jobs/errorbudgetburn/a/ticket-48h",
        "monitor/jobs/servicedown",
        "monitor/jobs/workerssaturated",
        "monitor/jobs/listenqueuefilling",
        "monitor/jobs/openfilesnearlimit",
    ]
