"""Generated rules in a real Prometheus that scrapes real services: every rule yields what it should."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.programs import free_port

from quarterdeck_contract import labels as l_
from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_dashboards import build
from quarterdeck_dashboards.alerts import Exporter
from quarterdeck_dashboards.catalogue import Catalogue, parse
from quarterdeck_dashboards.check import rules
from quarterdeck_dashboards.check.tree import selectors
from quarterdeck_dashboards.series import SYNTHETIC, external
from quarterdeck_dashboards.slo.recorded import BURN_RATE, EXHAUSTION, SLO_LABELS
from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.slo.report import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.conftest import Service

    from quarterdeck_scripts.slo.report import Report

pytestmark = pytest.mark.tools

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - &service
    name: checkout
    namespace: shop
    owner: payments
    image: a/b:v1
    slos:
      - {name: availability, kind: availability, objective: 99.5}
      - {name: quick, kind: latency, objective: 99, threshold: 1s}
      - {name: fast, kind: latency, objective: 99, threshold: 10s}
  - <<: *service
    name: orders
"""
"""Two services that promise the same. One of them fails and is slow; the other never did and never was."""

SOURCE = """
import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.get("/works")
async def works() -> None:
    pass


@app.get("/fails")
async def fails() -> None:
    raise LookupError


@app.get("/slow")
async def slow() -> None:
    await asyncio.sleep(1.2)


@app.get("/healthz")
async def healthz() -> None:
    pass
"""

INTERVAL = timedelta(seconds=1)
FAILED, SLOW, FINE = 10, 5, 15
"""Requests to `checkout`: a third fails, and of the others a quarter takes longer than a second. A busy machine's quick
ones take a part of that."""


class Server:
    """A Prometheus, from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/api/v1/", timeout=10)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; None while there is none. A query that is wrong is an error."""
        try:
            answer = self._client.get(path, params=parameters)
        except httpx.TransportError:
            return None
        assert answer.status_code != httpx.codes.BAD_REQUEST, answer.text
        return answer.json()["data"] if answer.is_success else None

    def query(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return the samples of *query* at this moment."""
        data = self.ask("query", query=query)
        return [(each["metric"], float(each["value"][1])) for each in data["result"]] if data else []

    def value(self, query: str) -> float | None:
        """Return the one value of *query*; None while there is none."""
        found = self.query(query)
        return found[0][1] if found else None


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Return the catalogue of the two services."""
    return parse(CATALOGUE, "services.yaml")


@pytest.fixture(scope="module")
def services(lasting_service: Callable[..., Service]) -> dict[str, Service]:
    """Return both services, answering."""
    return {name: lasting_service(source=SOURCE).ready(1) for name in ("checkout", "orders")}


@pytest.fixture(scope="module")
def prometheus(
    tool: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    services: dict[str, Service],
    catalogue: Catalogue,
    until: Callable[[Callable[[], Any], str], Any],
) -> Iterator[Server]:
    """Return a Prometheus with the generated rules, once the traffic is in its recorded rates."""
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    build.write(build.generated(catalogue, scrape_interval=INTERVAL), folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(services, address)))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
                f"--enable-feature={','.join(FEATURE_FLAGS)}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://{address}")
    try:
        until(lambda: len(server.query("up == 1")) == 3, "three targets that answer")
        _send_traffic(services)
        for service in services:
            until(partial(_has_settled, server, service), f"{service} in the recorded rates")
        yield server
    finally:
        server.close()
        process.kill()
        process.wait()


def _configuration(services: dict[str, Service], address: str) -> dict[str, Any]:
    interval = f"{INTERVAL.seconds}s"
    own = {"cluster": "local", "namespace": "quarterdeck", "service": "prometheus", "pod": "prometheus-0"}
    pods = [
        {
            "targets": [f"127.0.0.1:{service.metrics_port}"],
            "labels": {"cluster": "local", "namespace": "shop", "service": name, "pod": f"{name}-0"}
            | {"version": "v1", "track": "stable"},
        }
        for name, service in services.items()
    ]
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:1"]}]}]},
        "scrape_configs": [
            {"job_name": "pods", "static_configs": [*pods, {"targets": [address], "labels": own}]},
        ],
    }


def _send_traffic(services: dict[str, Service]) -> None:
    wanted = (("/fails", FAILED, 500), ("/slow", SLOW, 200), ("/works", FINE, 200))
    with ThreadPoolExecutor(SLOW) as customers:
        for path, times, status in wanted:
            answers = customers.map(services["checkout"].get, [path] * times)
            assert [answered for answered, _ in answers] == [status] * times
    assert [services["orders"].get("/works")[0] for _ in range(30)] == [200] * 30


def _has_settled(server: Server, service: str) -> bool:
    """Say whether everything that was sent has been scraped and has passed through every rule."""
    sent = FAILED + SLOW + FINE if service == "checkout" else 30
    own = f'{{service="{service}"}}'
    counted = server.value(f"sum(http_server_request_duration_seconds_count{own})")
    recorded = server.value(f'slo:events:rate5m{{service="{service}",slo="availability"}}')
    now = server.value(f"sum(rate(http_server_request_duration_seconds_count{own}[5m]))")
    objectives = server.value(f"count(slo:burn_rate:1h{own})")  # the last rules of each group, with a pace of its own
    return (
        counted == sent
        and objectives == 3
        and recorded is not None
        and now is not None
        and abs(recorded / now - 1) < 0.2
    )


def _ratio(server: Server, service: str, slo: str, window: str = "5m") -> float | None:
    return server.value(f'slo:error_ratio:{window}{{service="{service}",slo="{slo}"}}')


def test_prometheus_loads_every_rule_and_evaluates_it_without_error(
    prometheus: Server, catalogue: Catalogue, until: Callable[..., Any]
) -> None:
    """As many as were generated."""

    def evaluated() -> list[dict[str, Any]]:
        loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return loaded if all(rule["health"] != "unknown" for rule in loaded) else []

    loaded = until(evaluated, "all rules to be evaluated")

    generated = build.rule_files(catalogue, scrape_interval=INTERVAL)
    assert len(loaded) == sum(len(rules.parse(text, name)) for name, text in generated.items())
    assert {(rule["health"], rule.get("lastError")) for rule in loaded} == {("ok", None)}


def test_every_recording_rule_yields_one_sample_with_the_declared_labels(
    prometheus: Server, catalogue: Catalogue
) -> None:
    """For the service that never failed as well: 0 is not the same as no data."""
    declared = {"__name__", *(label.prometheus for label in SLO_LABELS)}
    found = {}
    for name, text in build.rule_files(catalogue, scrape_interval=INTERVAL).items():
        service = name.removeprefix("service-").removesuffix(".yaml")
        for rule in rules.parse(text, name):
            if not rule.is_alert:
                query = f'{rule.name}{{service="{service}",slo="{rule.labels["slo"]}"}}'
                if rule.name == EXHAUSTION.name and prometheus.value(query.replace(rule.name, BURN_RATE.name)) == 0:
                    continue  # nothing burns, so nothing ends
                found[query] = [set(labels) for labels, _ in prometheus.query(query)]

    assert len(found) == 2 * 3 * 14 + 2  # two of six objectives burn
    assert found == {query: [declared] for query in found}


def test_recorded_ratios_are_what_was_sent(prometheus: Server, until: Callable[..., Any]) -> None:
    """A third failed; of the rest a quarter was over 1 s and none over 10 s. The other service did nothing wrong.

    Exactly so once the series are some scrapes old: `rate` extrapolates each to its own first and last sample.
    """
    for slo, share in (("availability", 1 / 3), ("quick", 1 / 4)):
        until(
            lambda slo=slo, share=share: _ratio(prometheus, "checkout", slo) == pytest.approx(share, rel=0.05),
            f"the ratio of {slo} to be {share:.4f}",
        )
    assert _ratio(prometheus, "checkout", "fast") == pytest.approx(0, abs=1e-9)
    for slo in ("availability", "quick", "fast"):
        for window in ("5m", "30m", "1h", "6h", "3d"):
            assert _ratio(prometheus, "orders", slo, window) == pytest.approx(0, abs=1e-9)


def test_a_report_says_what_is_left_and_who_spent_it(
    prometheus: Server, catalogue: Catalogue, until: Callable[..., Any]
) -> None:
    """In real numbers: a third of all requests failed, all of them to one route of one release."""

    def settled() -> dict[tuple[str, str], Report] | None:
        reports = read(catalogue, PrometheusApi(prometheus.url))
        found = {(report.service.name, report.slo.name): report for report in reports}
        burnt = found["checkout", "availability"]
        # In the first scrapes after their births the errors' rate is ahead of the events', and counts are extrapolated.
        routes = [spender.bad for spender in burnt.spenders["route"]]
        right = burnt.number("error_ratio") == pytest.approx(1 / 3, rel=0.1) and routes == [
            pytest.approx(FAILED, rel=0.1)
        ]
        return found if right else None

    found = until(settled, "a third of all events to be bad")

    burnt, kept = found["checkout", "availability"], found["orders", "availability"]
    ratio = burnt.number("error_ratio")
    assert burnt.number("remaining") == pytest.approx(1 - ratio / 0.005, rel=0.1)
    assert [spender.name for spender in burnt.spenders["release"]] == ["v1"]
    assert [spender.name for spender in burnt.spenders["route"]] == ["GET /fails"]
    assert burnt.spenders["route"][0].bad == pytest.approx(FAILED, rel=0.1)
    assert (kept.number("remaining"), kept.number("exhaustion_seconds"), kept.spenders["route"]) == (1.0, None, ())


def test_the_burning_budget_pages_for_the_service_that_burns(prometheus: Server, until: Callable[..., Any]) -> None:
    """With the labels that Alertmanager routes and inhibits by; and for that service alone."""

    def firing() -> list[dict[str, str]]:
        query = 'ALERTS{alertname="ErrorBudgetBurn",alertstate="firing",severity="page"}'
        found = [labels for labels, _ in prometheus.query(query)]
        return found if len(found) == 2 else []

    alerts = until(firing, "both burning objectives to page")

    common = {
        "__name__": "ALERTS",
        "alertname": "ErrorBudgetBurn",
        "alertstate": "firing",
        "severity": "page",
        "cluster": "local",
        "namespace": "shop",
        "service": "checkout",
    }
    assert sorted(alerts, key=lambda each: each["slo"]) == [
        {**common, "slo": "availability"},
        {**common, "slo": "quick"},
    ]


def test_every_series_that_an_alert_asks_for_exists(
    prometheus: Server, catalogue: Catalogue, until: Callable[..., Any]
) -> None:
    """Prometheus' own among them: an alert on a series that is never there can never fire.

    But for slots, which a server without a limit does not have.
    """
    files = build.rule_files(catalogue, scrape_interval=INTERVAL, exporters={Exporter.PROMETHEUS})
    asked = {
        str(selector)
        for name, text in files.items()
        for rule in rules.parse(text, name)
        if rule.is_alert
        for selector in selectors(rule.expr)
    }

    limits = {
        f'quarterdeck_worker_{what}{{namespace="shop",service="{service}"}}'
        for what in ("busy", "capacity")
        for service in ("checkout", "orders")
    }

    def missing() -> set[str]:
        return {selector for selector in asked if not prometheus.query(selector)}

    # A scrape that a busy machine did not answer in time leaves nothing at that moment.
    until(lambda: missing() == limits, lambda: f"{missing()} to be {limits}")


def test_the_recorded_page_of_prometheus_is_still_true(prometheus: Server) -> None:
    """Every series of this Prometheus is known to the contract check, with every label."""
    known = {**external(), **{each.name: each for each in SYNTHETIC}}
    own = prometheus.ask("series", **{"match[]": '{service="prometheus",__name__!~"ALERTS.*|slo:.*"}'})
    assert len(own) > 500

    unknown = {
        (each["__name__"], label)
        for each in own
        for label in each
        if label != "__name__" and (each["__name__"] not in known or known[each["__name__"]].label(label) is None)
    }
    assert unknown == set()
    assert known["up"].label(l_.POD.prometheus) is l_.POD
