"""What a scrape costs the worker that serves the page: `python tests/bench/scrape_cost.py`.

Processor time of reading, adding up and writing the page, best of several, for many workers and for many series.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

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


def main() -> None:
    """Measure both cases and print them."""
    for workers, routes in ((32, 100), (1, 100_000 // LINES)):
        best, size = measure(workers, routes)
        print(f"{workers} workers, {routes} routes: {best * 1000:.1f} ms, {size / 1e6:.1f} MB")  # noqa: T201 -- a script's output


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
