"""The distributed mode on loopback: Thanos as the stack starts it, before two Prometheus that scrape the same."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml
from loopback import Asked, addresses, end, process, until

from quarterdeck_dashboards.build import rule_files
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_stacks.scraping import REPLICA
from quarterdeck_stacks.settings.monitoring import ObjectStore, StoreKind
from quarterdeck_stacks.telemetry import thanos
from quarterdeck_stacks.telemetry.places import THANOS_GRPC_PORT, THANOS_HTTP_PORT
from quarterdeck_stacks.telemetry.storing import for_thanos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools

PAGE = """\
# TYPE quarterdeck_build_info gauge
quarterdeck_build_info 1
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{{http_response_status_code="500",error_type="500",le="+Inf"}} {failed}
http_server_request_duration_seconds_count{{http_response_status_code="500",error_type="500"}} {failed}
http_server_request_duration_seconds_sum{{http_response_status_code="500",error_type="500"}} {failed}
"""
"""A service of which every request fails."""
INTERVAL = timedelta(seconds=1)
LABELS = {"cluster": "test", "namespace": "shop", "service": "checkout", "pod": "checkout-0", "version": "v1"}
DAYS_AGO = 2
HISTORY = {DAYS_AGO * 86_400 - minute * 60: 100.0 + minute for minute in range(0, 60, 5)}
"""Seconds ago to a value: what only one Prometheus has, in a block that it uploads."""


class _Service(BaseHTTPRequestHandler):
    scrapes = itertools.count(1)

    def do_GET(self) -> None:
        """Serve the page; a hundred more requests have failed each time."""
        body = PAGE.format(failed=100 * next(self.scrapes)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Running:
    """What runs."""

    query: Asked
    ruler: Asked
    alone: Asked
    """A Prometheus that evaluates the rules by itself, and that Thanos does not know."""
    alertmanager: str
    first: tuple[subprocess.Popen[bytes], ...]
    """The Prometheus with the history, and its sidecar."""


@pytest.fixture(scope="module")
def running(tool: Callable[[str], Path], root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run everything, with the object store in a folder."""
    folder = tmp_path_factory.mktemp("thanos")
    bucket = folder / "bucket"
    bucket.mkdir()
    objstore = for_thanos(ObjectStore(StoreKind.FILE, str(bucket), {}))
    rules = _rules(root, folder)
    at = dict(
        zip(
            ("a", "b", "alone", "alertmanager", "query", "store", "rule", "compact"),
            addresses(8, [9090, 9093, THANOS_GRPC_PORT, THANOS_HTTP_PORT]),
            strict=True,
        )
    )
    listening = {name: thanos.Listening(host=address) for name, address in at.items()}
    with ExitStack() as stack:
        service = stack.enter_context(_serving())

        def run(name: str, *command: str | Path) -> subprocess.Popen[bytes]:
            return stack.enter_context(process(folder / f"{name}.log", *command))

        def prometheus(name: str, *arguments: str, rules: str = "") -> subprocess.Popen[bytes]:
            config = folder / f"{name}.yml"
            config.write_text(_configuration(name, service, rules))
            return run(
                name,
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / name}",
                "--storage.tsdb.retention.time=30d",
                f"--web.listen-address={at[name]}:9090",
                *arguments,
            )

        _write_history(tool("promtool"), folder / "history.txt", folder / "a")
        servers = [prometheus("a", *thanos.BLOCK), prometheus("b", *thanos.BLOCK)]
        prometheus("alone", rules=rules)
        (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        run(
            "alertmanager",
            tool("alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={at['alertmanager']}:9093",
            "--cluster.listen-address=",
        )
        for name in ("a", "b", "alone"):
            until(Asked(f"http://{at[name]}:9090").is_ready, f"Prometheus {name}")
        binary = tool("thanos")
        sidecars = [
            run(
                f"sidecar-{name}",
                binary,
                *thanos.sidecar(
                    f"http://{at[name]}:9090", str(folder / name), object_store=objstore, listening=listening[name]
                ),
            )
            for name in ("a", "b")
        ]
        until(lambda: any(bucket.glob("*/meta.json")), "the block to be uploaded")
        run(
            "store",
            binary,
            *thanos.store(str(folder / "store"), object_store=objstore, listening=listening["store"]),
        )
        grpc = [f"{at[name]}:{THANOS_GRPC_PORT}" for name in ("a", "b", "store", "rule")]
        run("query", binary, *thanos.query(grpc, replica_label=REPLICA, listening=listening["query"]))
        ruler = thanos.Ruler(
            query=f"http://{at['query']}:{THANOS_HTTP_PORT}",
            alertmanagers=(f"http://{at['alertmanager']}:9093",),
            rules=rules,
            interval=INTERVAL,
            cluster="test",
            replica="rule-0",
            data=str(folder / "rule"),
            object_store=objstore,
            listening=listening["rule"],
        )
        run("rule", binary, *ruler.arguments)
        run(
            "compact",
            binary,
            *thanos.compact(
                str(folder / "compact"), timedelta(days=400), object_store=objstore, listening=listening["compact"]
            ),
        )
        asked = {name: Asked(f"http://{at[name]}:{THANOS_HTTP_PORT}") for name in ("query", "store", "rule", "compact")}
        for name, each in asked.items():
            until(each.is_ready, f"Thanos' {name}")
        yield Running(
            query=asked["query"],
            ruler=asked["rule"],
            alone=Asked(f"http://{at['alone']}:9090"),
            alertmanager=f"http://{at['alertmanager']}:9093",
            first=(servers[0], sidecars[0]),
        )


def test_what_two_servers_have_scraped_is_one_series(running: Running) -> None:
    """Each sample twice below, once above: the label that tells the two apart is gone."""
    name = "http_server_request_duration_seconds_count"

    def replicas(deduplicated: str) -> list[str]:
        found = running.query.get("query", query=name, dedup=deduplicated)["result"]
        return sorted(each["metric"].get(REPLICA, "") for each in found)

    until(lambda: replicas("false") == ["a", "b"], "both servers to have scraped")
    until(lambda: replicas("true") == [""], "them to be one")


def test_the_ruler_fires_the_alerts_that_a_prometheus_fires(running: Running) -> None:
    """The same alerts with the same labels reach Alertmanager, from what the two others have scraped."""

    def firing(of: Asked) -> set[tuple[tuple[str, str], ...]]:
        (alerts,) = of.get("alerts").values()  # `alerts` in Prometheus' words, `Alerts` in Thanos', null where none is
        return {
            tuple(sorted(each["labels"].items()))
            for each in alerts or ()
            if each["state"] == "firing" and each["labels"]["alertname"] == "ErrorBudgetBurn"
        }

    def notified() -> set[str]:
        alerts = httpx.get(f"{running.alertmanager}/api/v2/alerts", timeout=10).raise_for_status().json()
        return {each["labels"]["severity"] for each in alerts if each["labels"]["alertname"] == "ErrorBudgetBurn"}

    until(lambda: len(firing(running.alone)) == 2, "the alerts of a Prometheus by itself")
    until(lambda: len(firing(running.ruler)) == 2, "the ruler's alerts")
    until(lambda: notified() == {"page", "ticket"}, "Alertmanager to be told")
    alone = {tuple((k, v) for k, v in labels if k != REPLICA) for labels in firing(running.alone)}
    ruled = {tuple((k, v) for k, v in labels if k != thanos.RULER_REPLICA) for labels in firing(running.ruler)}
    assert ruled == alone


def test_what_a_server_had_is_answered_for_when_it_is_gone(running: Running) -> None:
    """Its block has been uploaded: the store answers with every value, though no server has it any more."""
    for each in reversed(running.first):
        end(each)

    now = time.time()
    expression = f"max_over_time(history[{DAYS_AGO}d12h])"
    until(lambda: running.query.values(expression) == {(): max(HISTORY.values())}, "the store to answer", 60)
    found = running.query.get("query", query=f"history[{DAYS_AGO}d12h]", time=str(now))["result"]
    assert [[float(value) for _, value in each["values"]] for each in found] == [[HISTORY[ago] for ago in HISTORY]]


def _rules(root: Path, folder: Path) -> str:
    """Write the rules of the catalogue's service; return the pattern that finds them."""
    path = root / "services.yaml"
    catalogue = parse(path.read_text(), str(path), lambda name: (root / name).read_text())
    (folder / "rules").mkdir()
    files = rule_files(catalogue, scrape_interval=INTERVAL, exporters=frozenset())
    (folder / "rules" / "service-checkout.yaml").write_text(files["service-checkout.yaml"])
    return str(folder / "rules" / "*.yaml")


def _configuration(name: str, service: str, rules: str) -> str:
    target = {"targets": [service], "labels": LABELS}
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": "1s",
                "evaluation_interval": "1s",
                "external_labels": {"cluster": "test", REPLICA: name},
            },
            "rule_files": [rules] if rules else [],
            "scrape_configs": [{"job_name": "pods", "static_configs": [target]}],
        }
    )


def _write_history(promtool: Path, text: Path, database: Path) -> None:
    """Put HISTORY into a block of its own in *database*."""
    now = int(time.time())
    samples = "".join(f"history {value} {now - ago}\n" for ago, value in HISTORY.items())
    text.write_text(f"# TYPE history gauge\n{samples}# EOF\n")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, database]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def _serving() -> Iterator[str]:
    """Serve the service's page; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
