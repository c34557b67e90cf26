"""What a scrape costs the worker that serves the page: `python tests/bench/scrape_cost.py [--write]`.

Processor time of reading, adding up and writing the page, best of several, for many workers and for many series; ours
and, of as many series, what `prometheus_client` does in its mode for several processes, or in one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time

import results

from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.exposition.collector import Collector
from quarterdeck_instrumentation.exposition.page import Format, render
from quarterdeck_instrumentation.exposition.snapshot import Snapshot
from quarterdeck_instrumentation.exposition.store import Folder
from quarterdeck_instrumentation.registry import Registry

ROUNDS = 7
LINES = 18
"""Lines a histogram with the contract's buckets has on an OpenMetrics page."""

HOLDER = """
import sys
from quarterdeck_instrumentation.exposition.store import Pair
pairs = [Pair(sys.argv[1], f"worker-{number}") for number in range(int(sys.argv[2]))]
data = bytes.fromhex(sys.stdin.readline())
for pair in pairs * 2:
    pair.write(data)
print("written", flush=True)
sys.stdin.read()
"""
"""One process that is many workers: it holds all their locks."""


PEER = """
import os, sys, time
from prometheus_client import CollectorRegistry, Histogram, multiprocess
from prometheus_client.openmetrics.exposition import generate_latest
workers, routes, rounds, *bounds = sys.argv[1:]
def observe(registry):
    labels = ("method", "route", "code", "error", "scheme", "module")
    histogram = Histogram("http_server_request_duration_seconds", "h", labels, registry=registry, buckets=bounds)
    for route in range(int(routes)):
        child = histogram.labels("GET", f"/resources/{route}/{{id}}", "200", "", "http", "")
        child.observe(0.01)
        child.observe(1.5)
registry = CollectorRegistry()
if workers == "1":
    observe(registry)
else:
    for _ in range(int(workers)):
        child = os.fork()
        if not child:
            observe(CollectorRegistry())
            os._exit(0)
        os.waitpid(child, 0)
    multiprocess.MultiProcessCollector(registry)
seconds = []
for _ in range(int(rounds)):
    began = time.process_time()
    generate_latest(registry)
    seconds.append(time.process_time() - began)
print(min(seconds))
"""
"""The same workers and routes by `prometheus_client`."""


def main() -> None:
    """Measure both cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    rows = []
    for workers, routes in ((32, 100), (1, 100_000 // LINES)):
        best, size = measure(workers, routes)
        theirs = measure_peer(workers, routes)
        what = f"{workers} worker{'s' if workers > 1 else ''}, {routes:,} routes ({size / 1e6:.1f} MB)"
        print(f"{what}: {best * 1000:.1f} ms; prometheus_client {theirs * 1000:.1f} ms")  # noqa: T201 -- a script's output
        rows.append({"workers": workers, "what": what, "ours": round(best, 4), "prometheus_client": round(theirs, 4)})
    if options.write:
        results.write("scrape", rows, key=("workers",))


def measure_peer(workers: int, routes: int) -> float:
    """Return the processor seconds of one scrape of `prometheus_client`'s page."""
    with tempfile.TemporaryDirectory() as folder:
        bounds = map(str, HTTP_SERVER_DURATION.buckets)
        done = subprocess.run(
            [sys.executable, "-c", PEER, str(workers), str(routes), str(ROUNDS), *bounds],
            env={"PROMETHEUS_MULTIPROC_DIR": folder} if workers > 1 else {},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def measure(workers: int, routes: int) -> tuple[float, int]:
    """Return the processor seconds of one scrape, and the page's bytes."""
    registry = Registry(routes)
    for route in range(routes):
        child = registry.distribution(HTTP_SERVER_DURATION, "GET", f"/resources/{route}/{{id}}", "200", "", "http")
        child.observe(0.01)
        child.observe(1.5)
    data = snapshot.encode(1, *registry.snapshot())
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, "-c", HOLDER, folder, str(workers)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write(data.hex() + "\n")
            holder.stdin.flush()
            holder.stdout.readline()
            collector = Collector(Folder(folder), "worker-own", Snapshot)
            seconds, size = [], 0
            for _ in range(ROUNDS):
                began = time.process_time()
                size = len("".join(render(*collector.collect(), Format.OPENMETRICS)).encode())
                seconds.append(time.process_time() - began)
            holder.stdin.close()
    return min(seconds), size


if __name__ == "__main__":
    main()
