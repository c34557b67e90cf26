"""Every panel asked of a real Prometheus that scrapes real services under load: none fails, none stays empty.

What other programs emit, and contrib's clients, is served from recorded pages that count on with every scrape.
"""

from __future__ import annotations

import re
import subprocess
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
import yaml
from click.testing import CliRunner
from tests.programs import free_port

from quarterdeck_contract.naming import prometheus_name
from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_dashboards import build, dashboards
from quarterdeck_dashboards.adapters.prometheus import PrometheusApi
from quarterdeck_dashboards.catalogue import Catalogue, parse
from quarterdeck_dashboards.dashboards import foreign, outside
from quarterdeck_dashboards.dashboards.command import preview
from quarterdeck_dashboards.dashboards.preview import ask, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.conftest import Service

pytestmark = pytest.mark.tools

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    tier: 1
    framework: fastapi
    image: a/checkout:v1
    dependencies:
      - {name: orders}
      - {name: ledger, kind: postgresql}
    slos:
      - {name: availability, kind: availability, objective: 99.5}
      - {name: quick, kind: latency, objective: 99, threshold: 250ms}
  - {name: orders, namespace: shop, owner: payments, framework: flask, image: 'a/orders:v2'}
  - name: mailer
    namespace: shop
    owner: letters
    framework: celery
    image: a/mailer:v1
    metrics:
      - {name: mail.sent, kind: counter, unit: "{mail}", description: Mails that were sent.}
      - {name: mail.wait, kind: histogram, unit: s, buckets: [1, 10, 60]}
  - name: biller
    namespace: shop
    owner: payments
    framework: batch
    image: a/biller:v1
    dependencies:
      - {name: bills, kind: rabbitmq}
  - {name: stock, namespace: shop, owner: goods, framework: grpc, image: 'a/stock:v1'}
"""

CHECKOUT = """
import gc
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/works", tags=["works"])
def works() -> None:
    gc.collect()


@app.get("/fails")
async def fails() -> None:
    raise LookupError


@app.get("/slow")
def slow() -> None:
    time.sleep(0.3)


@app.get("/healthz")
async def healthz() -> None:
    pass
"""
ORDERS = """
from flask import Flask

app = Flask(__name__)


@app.get("/orders/<int:order>")
def order(order: int) -> str:
    return str(order)


@app.get("/healthz")
def healthz() -> str:
    return ""
"""
STOCK = """
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def get(request, context):
    return request


def fails(request, context):
    raise LookupError


server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((
    grpc.method_handlers_generic_handler("shop.Stock", {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "Fails": grpc.unary_unary_rpc_method_handler(fails),
    }),
))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
"""
MAILER = """
import gc
import time

from opentelemetry import metrics

meter = metrics.get_meter("mailer")
sent = meter.create_counter("mail.sent", "{mail}")
wait = meter.create_histogram("mail.wait", "s", explicit_bucket_boundaries_advisory=[1, 10, 60])
while True:
    sent.add(1)
    wait.record(2)
    gc.collect()
    time.sleep(0.1)
"""
INTERVAL = timedelta(seconds=1)
ASKED = ("checkout", "orders")
"""Services of HTTP."""
ASKED_FOR = (*(("checkout", path) for path in ("/works", "/works", "/fails", "/slow")), ("orders", "/orders/1"))
"""Services of HTTP and their paths, in the order in which they are asked."""
SPAN = timedelta(minutes=2)


class Recorded:
    """Recorded pages, over HTTP: every value grows with every scrape, as that of a program that works."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.pages = pages
        scrapes = iter(range(1, 1_000_000))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = pages[self.path]
                number = str(next(scrapes))
                body = re.sub(r"^([^#].*) \S+$", rf"\1 {number}", text, flags=re.MULTILINE).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                with suppress(OSError):  # asked for by a scrape that waits no longer
                    self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def _of_clients() -> str:
    """Return the page of a service whose clients are contrib's."""
    lines = []
    for metric in foreign.ALL:
        name = prometheus_name(metric)
        labels = ",".join(f'{label.prometheus}="x"' for label in metric.labels)
        lines.append(f"# TYPE {name} histogram")
        lines += [f'{name}_bucket{{{labels},le="{bound:g}"}} 0' for bound in (*metric.buckets, float("inf"))]
        lines += [f"{name}_sum{{{labels}}} 0", f"{name}_count{{{labels}}} 0"]
    return re.sub('le="inf"', 'le="+Inf"', "\n".join(lines)) + "\n"


def _pages() -> dict[str, str]:
    folder = resources.files("quarterdeck_dashboards") / "external"
    return {f"/clients/{name}": _of_clients() for name in ("checkout", "mailer")} | {
        f"/{name}": (folder / f"{name}.prom").read_text() for name in outside.PAGES
    }


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Return the catalogue of the services."""
    return parse(CATALOGUE, "services.yaml")


@pytest.fixture(scope="module")
def services(lasting_service: Callable[..., Service]) -> dict[str, Service]:
    """Return a service of each kind, answering: of FastAPI, of Flask, of gRPC, and two that nobody asks."""
    started = {
        "checkout": lasting_service("--limit-concurrency", "50", source=CHECKOUT),
        "orders": lasting_service("--threads", "4", source=ORDERS, server="gunicorn"),
        "stock": lasting_service(source=STOCK, server="python"),
        "mailer": lasting_service(source=MAILER, server="python"),
        "biller": lasting_service(source=MAILER, server="python"),
    }
    for name, each in started.items():
        each.ready(1) if name in ASKED else each.page()
    return started


@pytest.fixture(scope="module")
def prometheus(
    tool: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    services: dict[str, Service],
    catalogue: Catalogue,
    until: Callable[[Callable[[], Any], str], Any],
) -> Iterator[str]:
    """Return the URL of a Prometheus with the generated rules, that scrapes the services under load."""
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    build.write(build.generated(catalogue, scrape_interval=INTERVAL), folder)
    stop = threading.Event()
    load = threading.Thread(target=_load, args=(services, stop), daemon=True)
    with closing(Recorded(_pages())) as recorded:
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(services, recorded)))
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
        try:
            load.start()
            until(lambda: _is_ready(f"http://{address}"), "Prometheus to be ready")
            yield f"http://{address}"
        finally:
            stop.set()
            load.join()
            process.kill()
            process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False


def _configuration(services: dict[str, Service], recorded: Recorded) -> dict[str, Any]:
    interval = f"{INTERVAL.seconds}s"
    common = {"cluster": "local", "namespace": "shop"}
    pods = [
        {
            "targets": [f"127.0.0.1:{service.metrics_port}"],
            "labels": {**common, "service": name, "pod": f"{name}-0"}
            | ({"version": "v2", "track": "canary"} if name == "orders" else {"version": "v1", "track": "stable"}),
        }
        for name, service in services.items()
    ]
    pages = [
        {
            "job_name": path.strip("/"),
            "metrics_path": path,
            "honor_labels": True,
            "static_configs": [
                {"targets": [recorded.address], "labels": {**common, "service": path.rpartition("/")[2]}}
            ],
        }
        for path in recorded.pages
    ]
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules/*.yaml"],
        "scrape_configs": [{"job_name": "pods", "static_configs": pods}, *pages],
    }


def _load(services: dict[str, Service], stop: threading.Event) -> None:
    """Ask the services for everything, over and over."""
    with grpc.insecure_channel(f"127.0.0.1:{services['stock'].port}") as channel:
        while not stop.wait(0.05):
            # On a busy machine an answer may be too late.
            for name, path in ASKED_FOR:
                with suppress(OSError, HTTPException):
                    services[name].get(path)
            for method in ("Get", "Fails"):
                with _expecting_any_end():
                    channel.unary_unary(f"/shop.Stock/{method}")(b"", timeout=5)


class _expecting_any_end:  # noqa: N801 -- reads as a sentence
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        return isinstance(error, grpc.RpcError)


def _seen(url: str, catalogue: Catalogue) -> tuple[tuple[ask.Seen, ...], ask.Period]:
    period = ask.Period.until(datetime.now(UTC), SPAN)
    return ask.ask(PrometheusApi(url), dashboards.of(catalogue), period), period


def _untroubled(url: str, catalogue: Catalogue, last: list[tuple[str, ...]]) -> bool:
    last[:] = [page.troubles(_seen(url, catalogue)[0])]
    return not last[0]


def test_no_panel_fails_or_stays_empty(
    prometheus: str, catalogue: Catalogue, until: Callable[[Callable[[], Any], str], Any]
) -> None:
    """Over services of each kind under load, and recorded pages of other programs."""
    last: list[tuple[str, ...]] = []
    try:
        until(partial(_untroubled, prometheus, catalogue, last), "every panel to have data")
    except AssertionError:
        assert last == [()]

    asked = [query for dashboard in dashboards.of(catalogue) for panel in dashboard.panels() for query in panel.queries]
    assert len(asked) > 100


def test_what_is_marked_can_be_asked_for(
    prometheus: str, catalogue: Catalogue, until: Callable[[Callable[[], Any], Callable[[], str]], Any]
) -> None:
    """New versions, rollouts and alerts; the canary's rollout is on its service's pictures."""
    api = PrometheusApi(prometheus)
    marked: dict[tuple[str, str], list[str | None]] = {}

    def ask_for_all() -> None:
        now = datetime.now(UTC).timestamp()
        for dashboard in dashboards.of(catalogue):
            for mark in dashboard.annotations:
                found = api.at(ask.chosen(str(mark.promql), dashboard.variables), now)
                marked[dashboard.title, mark.title] = [series.labels.get("version") for series in found]

    def are_right() -> bool:
        ask_for_all()
        return (
            marked["Service: orders", "Rollouts"] == ["v2"]
            and marked["Service: checkout", "Rollouts"] == []
            and marked["Service: checkout", "New versions"] == ["v1"]
        )

    # A scrape that a busy machine did not answer in time leaves nothing at that moment.
    until(are_right, lambda: f"the marks of both services: {marked}")


def test_the_preview_stands_alone_and_has_every_panel(prometheus: str, catalogue: Catalogue, tmp_path: Path) -> None:
    """No script, and nothing from elsewhere but what links lead to; the command ends well."""
    (tmp_path / "services.yaml").write_text(CATALOGUE)
    out = tmp_path / "page.html"

    options = ["--services", str(tmp_path / "services.yaml"), "--prometheus", prometheus, "--from", "2m"]
    ended = CliRunner().invoke(preview, [*options, "--out", str(out)], standalone_mode=False)

    assert (ended.return_value, ended.stdout) == (0, f"{out}\n")
    text = out.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r"(src|url\(|@import|<link)", text)
    panels = [panel for dashboard in dashboards.of(catalogue) for panel in dashboard.panels()]
    assert text.count('<div class="panel ') == len(panels)


def test_a_query_that_prometheus_refuses_is_a_failure_that_says_why(prometheus: str) -> None:
    """And so is a Prometheus that is not there."""
    with pytest.raises(ask.QueryFailedError, match=r"bad_data: .*parse error"):
        PrometheusApi(prometheus).at("sum(", 0.0)
    with pytest.raises(ask.QueryFailedError, match="NewConnectionError"):
        PrometheusApi("http://127.0.0.1:1").at("up", 0.0)
