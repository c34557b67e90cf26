"""What telemetry costs, by arithmetic: each number here can be added up by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from click.testing import CliRunner

from quarterdeck_contract import metrics
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.command import contract as command
from quarterdeck_dashboards.cost import (
    BASE_BYTES,
    BYTES_PER_SERIES,
    GROUP_SERIES,
    PROMETHEUS_SERIES,
    Assumptions,
    label_sets,
    predict,
)

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - {name: shop, owner: a, image: "a:v1", replicas: 3, routes: 10}
  - {name: calls, owner: a, image: "a:v1", replicas: 1, framework: grpc, routes: 4}
  - name: jobs
    owner: a
    image: a:v1
    replicas: 1
    framework: batch
    metrics:
      - {name: jobs.wait, kind: histogram, unit: s, labels: [queue, kind], buckets: [1, 10]}
      - {name: jobs.done, kind: counter}
"""
CATALOGUE = parse(TEXT, "services.yaml")
SHOP, CALLS, JOBS = CATALOGUE.services
ALONE = Assumptions(watches_itself=False)


def _sets(metric: metrics.Metric) -> tuple[int, ...]:
    return tuple(label_sets(metric, service, ALONE) for service in CATALOGUE.services)


def test_requests_have_a_label_set_for_each_route_and_status() -> None:
    """And one for what no route matches; of HTTP or of remote calls, as the framework serves; none for jobs."""
    assert _sets(metrics.HTTP_SERVER_DURATION) == (21, 0, 0)
    assert _sets(metrics.HTTP_SERVER_ACTIVE) == (2, 0, 0)
    assert _sets(metrics.RPC_SERVER_DURATION) == (0, 9, 0)


def test_closed_sets_of_values_are_counted_whole() -> None:
    """Generations, kinds of context switches, parts of the instrumentation."""
    assert _sets(metrics.GC_DURATION) == (3, 3, 3)
    assert _sets(metrics.PROCESS_CONTEXT_SWITCHES) == (2, 2, 2)
    assert _sets(metrics.FAILURES) == (8, 8, 8)


def test_a_service_without_declared_routes_is_assumed_to_have_some() -> None:
    """As many as the assumptions say."""
    assert label_sets(metrics.HTTP_SERVER_DURATION, SHOP.model_copy(update={"routes": None}), ALONE) == 41


def test_own_metrics_have_assumed_values_of_each_label() -> None:
    """Ten for each of two labels."""
    first, second = (own.stated() for own in JOBS.metrics)

    assert (label_sets(first, JOBS, ALONE), label_sets(second, JOBS, ALONE)) == (100, 1)


def test_pods_multiply_what_each_of_them_shows() -> None:
    """Series, samples and custom metrics; what rules record is one for all pods."""
    one, three = (predict(CATALOGUE, ALONE, {"shop": pods}).services[0] for pods in (1, 3))

    assert predict(CATALOGUE, ALONE).services[0] == three
    assert (three.scraped, three.datadog) == (3 * one.scraped, 3 * one.datadog)
    assert three.samples == 3 * (one.scraped + 5) / 15


def test_a_distribution_is_ten_custom_metrics_with_percentiles_and_five_without() -> None:
    """For each combination of tags and each pod."""
    kept, dropped = (
        predict(CATALOGUE, replace(ALONE, percentiles=percentiles), {"shop": 1}).services[0].datadog
        for percentiles in (True, False)
    )

    assert kept - dropped == 5 * (21 + 3 + 1)  # requests, garbage collections, the event loop's lag


def test_a_rolling_window_of_objectives_is_recorded_once_for_each() -> None:
    """Seventeen series at most, whatever the number of pods."""
    promised = parse(
        TEXT.replace("routes: 10}", "routes: 10, slos: [{name: up, kind: availability, objective: 99.5}]}"), "a.yaml"
    )

    assert 10 < predict(promised, ALONE).services[0].recorded <= 17


def test_memory_is_by_the_series_and_twice_theirs_after_a_rollout() -> None:
    """The old pods' series stay in the head block for a while."""
    found = predict(CATALOGUE, ALONE)
    series = sum(each.series for each in found.services)

    assert found.memory == BASE_BYTES + series * BYTES_PER_SERIES
    assert found.rollout_memory == BASE_BYTES + 2 * series * BYTES_PER_SERIES


def test_prometheus_itself_is_counted_where_it_watches_itself() -> None:
    """With what it says of each group of rules: one of each service, and its own."""
    assert predict(CATALOGUE, ALONE).others.series == 0
    assert predict(CATALOGUE, Assumptions()).others.scraped == PROMETHEUS_SERIES + 4 * GROUP_SERIES


def test_a_scrape_half_as_often_is_half_the_samples() -> None:
    """And as many series."""
    often, rarely = (predict(CATALOGUE, replace(ALONE, scrape_interval=timedelta(seconds=s))).total for s in (15, 30))

    assert (often.series, often.samples) == (rarely.series, 2 * rarely.samples)


def test_operations_of_an_openapi_document_are_its_routes() -> None:
    """Each path with each of its methods."""
    document = json.dumps({"paths": {"/a": {"get": {"operationId": "a"}, "put": {"operationId": "b"}}}})
    text = TEXT.replace("routes: 10", "openapi: api.json")

    assert parse(text, "services.yaml", lambda _: document).services[0].routes == 2


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    """With the assumptions, so that nobody takes a guess for a measurement."""
    (tmp_path / "services.yaml").write_text(TEXT)
    options = ["cost", "--services", str(tmp_path / "services.yaml"), "--pods", "shop=5"]

    table = CliRunner().invoke(command, options, standalone_mode=False)
    document = CliRunner().invoke(command, [*options, "--output", "json"], standalone_mode=False)

    assert [line.split()[:2] for line in table.stdout.splitlines()[1:4]] == [
        ["shop", "5"],
        ["calls", "1"],
        ["jobs", "1"],
    ]
    assert "2 status codes a route" in table.stdout
    found = json.loads(document.stdout)
    assert found["services"][0]["pods"] == 5
    assert found["total"]["series"] == predict(CATALOGUE, Assumptions(), {"shop": 5}).total.series


def test_pods_of_a_service_that_is_none_are_refused(tmp_path: Path) -> None:
    """With the names that there are."""
    (tmp_path / "services.yaml").write_text(TEXT)
    options = ["cost", "--services", str(tmp_path / "services.yaml"), "--pods"]

    other = CliRunner().invoke(command, [*options, "shp=5"])
    number = CliRunner().invoke(command, [*options, "shop=many"])

    assert "expected SERVICE=NUMBER with one of shop, calls, jobs, found shp=5" in " ".join(other.stderr.split())
    assert (other.exit_code, number.exit_code) == (2, 2)
