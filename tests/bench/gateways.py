"""Collectors as processes: gateways with the stack's own configuration, and an agent that splits traces over them.

The load-balancing exporter cannot be built here; two pipelines with a `filter` each stand for it. All else is what the
stack renders. `python tests/bench/gateways.py [--spans N] [--write]` measures what a gateway can take.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml
from loopback import DEADLINE, addresses, end, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans_load import Truth, requests

from quarterdeck_scripts.tools import install
from quarterdeck_stacks.settings.monitoring import TraceSettings
from quarterdeck_stacks.telemetry import collector
from quarterdeck_stacks.telemetry.agent import Agent
from quarterdeck_stacks.telemetry.gateway import Gateway
from quarterdeck_stacks.telemetry.places import (
    COLLECTOR_HEALTH_PORT,
    COLLECTOR_METRICS_PORT,
    OTLP_GRPC_PORT,
    OTLP_HTTP_PORT,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MEMORY = 512 * 1024**2
"""Bytes that a gateway may have."""
TRACES = TraceSettings(
    enabled=True, retention=timedelta(days=1), storage="", sampled_percent=10, slow=timedelta(seconds=1)
)
PORTS = (OTLP_GRPC_PORT, OTLP_HTTP_PORT, COLLECTOR_METRICS_PORT, COLLECTOR_HEALTH_PORT)
"""What every collector listens on."""
_HALVES = {"a": "[0-7]", "b": "[89a-f]"}
"""Gateway to the last digits of the trace ids that are its."""


class Kept:
    """Where traces are kept: takes spans by OTLP over HTTP, and remembers whose they are."""

    def __init__(self, *, reads: bool = True) -> None:
        self.spans: Counter[bytes] = Counter()
        """Trace id to spans."""
        self.is_open = threading.Event()
        """Whether it takes anything; until then it asks senders to come again."""
        self.is_open.set()
        lock = threading.Lock()
        kept = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken = kept.is_open.is_set()
                if taken and reads:
                    request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
                    ids = [
                        span.trace_id
                        for resource in request.resource_spans
                        for scope in resource.scope_spans
                        for span in scope.spans
                    ]
                    with lock:
                        kept.spans.update(ids)
                self.send_response(200 if taken else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class Process:
    """A collector that runs."""

    address: str
    popen: subprocess.Popen[bytes]

    def own(self, name: str) -> float:
        """Return the sum of one of its own metrics."""
        lines = httpx.get(f"http://{self.address}:{COLLECTOR_METRICS_PORT}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[{{ ]", line))

    @property
    def processor_seconds(self) -> float:
        """What it has used so far."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_bytes(self) -> int:
        """The most memory it has had so far."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.popen.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024


@contextmanager
def running(
    binary: Path,
    address: str,
    configuration: str,
    folder: Path,
    *overrides: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Run a collector on *address* until the end, by its configuration and what *overrides* say otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(configuration)
    variables = {
        **os.environ,
        **(environment or {}),
        "POD_IP": address,
        "POD_NAME": folder.name,
        "GOMEMLIMIT": collector.go_memory_limit(MEMORY),
    }
    given = [f"--config={each}" for each in (folder / "config.yaml", *(f"yaml:{each}" for each in overrides))]
    with (folder / "log").open("ab") as log:
        popen = subprocess.Popen([binary, *given], env=variables, stdout=log, stderr=log)
    try:
        until(lambda: _healthy(address) or _ended(popen, folder), f"the collector at {address} to be healthy")
        yield Process(address, popen)
    finally:
        end(popen)


def _healthy(address: str) -> bool:
    return httpx.get(f"http://{address}:{COLLECTOR_HEALTH_PORT}/", timeout=5).is_success


def _ended(popen: subprocess.Popen[bytes], folder: Path) -> bool:
    assert popen.poll() is None, (folder / "log").read_text()[-2000:]
    return False


def gateway(metrics_to: Iterable[str], traces_to: str, queue: Path) -> str:
    """Return a gateway's configuration as the stack renders it, its queue in the folder *queue*."""
    made = Gateway(
        cluster="test",
        memory=MEMORY,
        queue=1024**3,
        metrics_to=tuple(metrics_to),
        traces_to=traces_to,
        traces=TRACES,
        directory=str(queue),
    )
    return made.to_yaml()


def splitter(gateways: Mapping[str, str]) -> str:
    """Return the configuration of an agent that sends each half of all traces to one of *gateways* (half: address)."""
    document: dict[str, Any] = yaml.safe_load(Agent(memory=MEMORY, gateway="unused", logs_to=None).to_yaml())
    document["processors"] = {"memory_limiter": document["processors"]["memory_limiter"]}
    document["exporters"], document["service"]["pipelines"] = {}, {}
    for half, address in gateways.items():
        document["processors"][f"filter/{half}"] = {
            "error_mode": "propagate",
            "traces": {"span": [f'not IsMatch(trace_id.string, "{_HALVES[half]}$")']},
        }
        document["exporters"][f"otlp/{half}"] = {
            "endpoint": f"{address}:{OTLP_GRPC_PORT}",
            "tls": {"insecure": True},
            "sending_queue": {"block_on_overflow": True, "num_consumers": 4, "queue_size": 100},
            "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s", "max_elapsed_time": 0},
        }
        document["service"]["pipelines"][f"traces/{half}"] = {
            "receivers": ["otlp"],
            "processors": ["memory_limiter", f"filter/{half}"],
            "exporters": [f"otlp/{half}"],
        }
    return yaml.safe_dump(document)


def send(address: str, spans: int, seed: int, truth: Truth) -> None:
    """Post *spans* spans to the collector at *address*, each request until it is taken."""
    connection = http.client.HTTPConnection(address, OTLP_HTTP_PORT, timeout=DEADLINE)
    for body in requests(spans, seed, truth):
        _post(connection, body)
    connection.close()


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == http.client.OK:
            return
        assert answer.status in {429, 503}, answer.status
        assert time.monotonic() < deadline, "spans were not taken"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one gateway did."""

    spans: int
    processor_seconds: float
    peak_bytes: int

    @property
    def spans_a_core(self) -> float:
        """Spans for each second of one core."""
        return self.spans / self.processor_seconds


def measure(spans: int, seed: int, folder: Path) -> Throughput:
    """Send *spans* to one gateway, which measures, samples and sends them on, and return what that took."""
    binary = install(["otelcol-contrib"])["otelcol-contrib"]
    (address,) = addresses(1, PORTS)
    with ExitStack() as stack:
        kept, metrics = stack.enter_context(Kept()), stack.enter_context(Kept(reads=False))
        configuration = gateway([metrics.url], kept.url, folder / "queue")
        process = stack.enter_context(running(binary, address, configuration, folder / "gateway"))
        began = process.processor_seconds
        truth = Truth()
        send(address, spans, seed, truth)
        until(lambda: truth.must_be_kept <= set(kept.spans), "the traces that must be kept")
        return Throughput(spans, process.processor_seconds - began, process.peak_bytes)


def main() -> None:
    """Measure a gateway and print what it can take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=1_000_000, help="how many are sent")
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.spans, 1, Path(folder))
    figures = f"{found.spans_a_core:,.0f} a second and core, {found.peak_bytes / 1024**2:.0f} MiB at most"
    print(f"{found.spans:,} spans: {figures}")  # noqa: T201 -- a script's output
    if options.write:
        import results  # noqa: PLC0415 -- needs the environments of the peers, for which this measurement does not ask

        row = {
            "spans": found.spans,
            "spans_a_core": round(found.spans_a_core),
            "peak_mebibytes": round(found.peak_bytes / 1024**2),
        }
        results.write("gateway", [row], key=())


if __name__ == "__main__":
    main()
