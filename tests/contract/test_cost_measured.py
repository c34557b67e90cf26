"""What telemetry costs, predicted and then counted in a real Prometheus that scrapes real services."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.programs import free_port

from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_dashboards import build
from quarterdeck_dashboards.catalogue import Catalogue, parse
from quarterdeck_dashboards.cost import GROUP_SERIES, PROMETHEUS_SERIES, Assumptions, predict
from quarterdeck_instrumentation.testing import parse as read_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.conftest import Service

pytestmark = pytest.mark.tools

ROUTES = 12
INTERVAL = timedelta(seconds=1)
ASSUMPTIONS = Assumptions(INTERVAL, statuses=2, methods=1, watches_itself=False)
WITHIN = 0.1
"""How far a prediction may be from what is counted."""
CATALOGUE = f"""\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: one
    owner: a
    image: a:v1
    replicas: 1
    routes: {ROUTES}
    slos:
      - {{name: up, kind: availability, objective: 99.5}}
      - {{name: fast, kind: latency, objective: 99, threshold: 250ms}}
  - {{name: two, owner: a, image: "a:v1", replicas: 1, routes: {ROUTES}}}
"""
SOURCE = f"""
from fastapi import FastAPI, HTTPException

app = FastAPI()


def answer(fails: bool = False) -> None:
    if fails:
        raise HTTPException(503)


for number in range({ROUTES}):
    app.get(f"/route-{{number}}")(answer)


@app.get("/healthz")
async def healthz() -> None:
    pass
"""
"""Every route can be answered with either of two status codes."""


@dataclass(frozen=True)
class Measured:
    """What was counted."""

    samples: float
    """Of one scrape of all pods."""
    head: float
    """Series in the head block."""
    own: int
    """Series on Prometheus' own page."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Return the catalogue of both services."""
    return parse(CATALOGUE, "services.yaml")


@pytest.fixture(scope="module")
def measured(
    tool: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    lasting_service: Callable[..., Service],
    catalogue: Catalogue,
    until: Callable[[Callable[[], Any], str], Any],
) -> Iterator[Measured]:
    """Return what a Prometheus holds of two services, each route of which answered with each status."""
    two = ("--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker")
    services = {
        "one": lasting_service(source=SOURCE).ready(1),
        "two": lasting_service(*two, source=SOURCE, server="gunicorn").ready(2),
    }
    for service in services.values():
        for number in range(ROUTES):
            assert service.get(f"/route-{number}")[0] == 200
            assert service.get(f"/route-{number}?fails=true")[0] == 503
        assert service.get("/nowhere")[0] == 404
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    build.write(build.generated(catalogue, scrape_interval=INTERVAL), folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(services)))
    arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    arguments += [f"--web.listen-address={address}", f"--enable-feature={','.join(FEATURE_FLAGS)}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([tool("prometheus"), *arguments], stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=10) as client:
            until(lambda: _value(client, "count(slo:error_budget_remaining:ratio)") == 2, "every rule to have recorded")
            page = read_page(client.get("/metrics").text)
            head = page.value("prometheus_tsdb_head_series")
            # Of a page that a busy machine gave too late there is no sample.
            whole = "sum(scrape_samples_scraped) and on () min(up) == 1"
            samples = until(lambda: _value(client, whole), "a scrape of every pod")
            yield Measured(samples, head, len(page.samples))
    finally:
        process.kill()
        process.wait()


def _configuration(services: dict[str, Service]) -> dict[str, Any]:
    interval = f"{INTERVAL.seconds}s"
    pods = [
        {
            "targets": [f"127.0.0.1:{service.metrics_port}"],
            "labels": {
                "cluster": "local",
                "namespace": "default",
                "service": name,
                "pod": f"{name}-0",
                "track": "stable",
            },
        }
        for name, service in services.items()
    ]
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules/service-*.yaml"],
        "scrape_configs": [{"job_name": "pods", "static_configs": pods}],
    }


def _value(client: httpx.Client, query: str) -> float | None:
    try:
        answer = client.get("/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return None
    found = answer.json()["data"]["result"] if answer.is_success else []
    return float(found[0]["value"][1]) if found else None


def test_samples_of_a_scrape_are_as_predicted(measured: Measured, catalogue: Catalogue) -> None:
    """Over the pages of all pods, whatever the number of workers behind each."""
    predicted = predict(catalogue, ASSUMPTIONS).total.scraped

    assert measured.samples == pytest.approx(predicted, rel=WITHIN)


def test_series_in_prometheus_are_as_predicted(measured: Measured, catalogue: Catalogue) -> None:
    """What is scraped, what Prometheus adds for each target, and what the rules record."""
    predicted = predict(catalogue, ASSUMPTIONS).total.series

    assert measured.head == pytest.approx(predicted, rel=WITHIN)


def test_what_prometheus_says_of_itself_is_as_predicted(measured: Measured) -> None:
    """With four groups of rules."""
    assert measured.own == pytest.approx(PROMETHEUS_SERIES + 4 * GROUP_SERIES, rel=WITHIN)
