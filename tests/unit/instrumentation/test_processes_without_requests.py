"""Scripts, batch jobs and consumers: telemetry begins with the first span or measurement, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Collector

BIN = Path(sys.executable).parent
JOB = """
import os, signal, sys
from opentelemetry import trace

@trace.get_tracer("nightly").start_as_current_span("job")
def job():
    return "done"

if __name__ == "__main__":
    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
    assert "quarterdeck_instrumentation.runtime" not in sys.modules
    if "fork" in sys.argv[1:]:
        from multiprocessing import get_context
        for method in ("fork", "spawn"):
            process = get_context(method).Process(target=job)
            process.start()
            process.join()
    job()
    if "_exit" in sys.argv[1:]:
        os._exit(3)
    if "kill" in sys.argv[1:]:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    if "raise" in sys.argv[1:]:
        raise SystemExit(4)
"""
COUNTED = """
import http.client, os, time
from opentelemetry import metrics
counter = metrics.get_meter("nightly").create_counter("rows.copied")
import sys
assert "quarterdeck_instrumentation.runtime" not in sys.modules
counter.add(3)
port = int(os.environ["OTEL_EXPORTER_PROMETHEUS_PORT"])
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
    finally:
        connection.close()
print([line.rpartition(" ")[2] for line in page.splitlines() if line.startswith("rows_copied_total")])
"""
BRIEF = """
from opentelemetry import metrics
metrics.get_meter("nightly").create_counter("rows.copied").add(3)
"""
FORKED = """
import os, time, urllib.request
from multiprocessing import get_context
from opentelemetry import metrics
from prometheus_client import Counter
from quarterdeck_instrumentation import runtime
runtime._PATIENCE = 60.0  # seconds: a busy machine reads later than a page may usually wait for
copied = metrics.get_meter("nightly").create_counter("rows.copied")
sold = Counter("sold", "What was sold.")
url = f"http://127.0.0.1:{os.environ['OTEL_EXPORTER_PROMETHEUS_PORT']}/metrics"

def shown():
    page = urllib.request.urlopen(url).read().decode()
    lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith(("rows_copied_total", "sold_total")))
    return {name.partition("{")[0]: float(value) for name, _, value in lines}

def work(number):
    copied.add(1)

def sell():
    sold.inc()
    os._exit(0)

if __name__ == "__main__":
    copied.add(1)
    sold.inc()
    with get_context("fork").Pool(2) as pool:
        pool.map(work, range(10))
        pool.close()
        pool.join()
    child = get_context("fork").Process(target=sell)
    child.start()
    child.join()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if shown() == {"rows_copied_total": 11.0, "sold_total": 2.0}:
                break
        except OSError:
            time.sleep(0.01)
    print(shown())
"""
OVER = """
import os, time, urllib.request
from opentelemetry import metrics
from quarterdeck_instrumentation import failures, runtime
from quarterdeck_instrumentation.exposition import store
elect = store.await_election

def late(folder):
    while os.path.isdir(folder):
        time.sleep(0.001)
    return elect(folder)

store.await_election = late
metrics.get_meter("nightly").create_counter("rows.copied").add(3)
runtime.end()
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    try:
        page = urllib.request.urlopen(f"http://127.0.0.1:{os.environ['OTEL_EXPORTER_PROMETHEUS_PORT']}/metrics").read()
        break
    except OSError:
        time.sleep(0.01)
print(b"rows_copied_total 3" in page, failures.counts())
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from opentelemetry import metrics, trace
tracers = [trace.get_tracer(f"thread {number}") for number in range(8)]
together = Barrier(8)

def job(tracer):
    together.wait()
    tracer.start_span("job").end()

with ThreadPoolExecutor(8) as pool:
    list(pool.map(job, tracers))
"""
OWN = """
import atexit
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
trace.get_tracer("start").start_span("early").end()
own = TracerProvider()
own.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: "own: " + span.name)))
trace.set_tracer_provider(own)
assert trace.get_tracer_provider() is own
trace.get_tracer("later").start_span("later").end()
"""


def run(tmp_path: Path, code: str, port: int, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run *code* as a script under `quarterdeck-instrument`, with its page on *port*."""
    script = tmp_path / "nightly.py"
    script.write_text(code)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
    page = {"OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    patient = {"QUARTERDECK_FLUSH_TIMEOUT": "10"}  # a collector that answers does so late on a busy machine
    return subprocess.run(
        [BIN / "quarterdeck-instrument", sys.executable, script, *arguments],
        env={**inherited, **page, **patient, "QUARTERDECK_METRICS_DIR": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("how", "status", "jobs"),
    [("", 0, 1), ("raise", 4, 1), ("_exit", 3, 1), ("kill", -15, 1), ("fork", 0, 3)],
    ids=["returns", "exits", "os._exit", "SIGTERM", "children forked and spawned"],
)
@pytest.mark.parametrize("page", ["prometheus", "none"], ids=["page", "no page"])
def test_no_span_is_lost_however_a_script_ends(  # noqa: PLR0917 -- fixtures are parameters
    tmp_path: Path, collector: Collector, free_port: int, how: str, status: int, jobs: int, page: str
) -> None:
    """A span that a decorator makes is enough; nothing was imported before it, and the exit status is the script's."""
    sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "OTEL_METRICS_EXPORTER": page}

    done = run(tmp_path, JOB, free_port, how, **sent)

    assert (done.returncode, done.stderr) == (status, "")
    assert collector.names() == ["job"] * jobs


def test_threads_that_begin_together_lose_no_span(tmp_path: Path, collector: Collector, free_port: int) -> None:
    """Who comes second waits until there is a provider."""
    done = run(tmp_path, THREADS, free_port, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")

    assert (done.returncode, done.stderr) == (0, "")
    assert collector.names() == ["job"] * 8


def test_a_script_whose_spans_go_nowhere_is_left_alone(tmp_path: Path, free_port: int) -> None:
    """No provider, no page, no thread."""
    code = JOB + (
        '    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"\n'
        '    assert "quarterdeck_instrumentation.runtime" not in sys.modules\n'
    )

    done = run(tmp_path, code, free_port)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_measurement_opens_the_page_and_is_on_it(tmp_path: Path, free_port: int) -> None:
    """Of an instrument that was made when there was no provider."""
    done = run(tmp_path, COUNTED, free_port)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "['3']\n")


@pytest.mark.parametrize("exporters", ["otlp", "prometheus,otlp"], ids=["pushed alone", "with a page"])
def test_what_a_brief_script_counts_is_pushed(
    tmp_path: Path, collector: Collector, free_port: int, exporters: str
) -> None:
    """When it ends, which is its only push: by then the SDK can start no thread to find out whose metrics they are."""
    sent = {
        "OTEL_METRICS_EXPORTER": exporters,
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{collector.port}/v1/metrics",
    }

    done = run(tmp_path, BRIEF, free_port, **sent)

    assert (done.returncode, done.stderr, len(collector.metrics)) == (0, "", 1)
    assert b"rows.copied" in collector.metrics[0]


def test_a_script_that_is_over_before_its_page_is_there_says_nothing(tmp_path: Path, free_port: int) -> None:
    """Its folder is gone when the page's thread comes to it: nothing has failed. Should it go on, it has its page."""
    done = run(tmp_path, OVER, free_port)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "True {}\n")


def test_what_forked_children_count_is_on_the_page(tmp_path: Path, free_port: int) -> None:
    """Of a process that had measured something itself before it forked them; they serve nothing, and end."""
    done = run(tmp_path, FORKED, free_port)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{'rows_copied_total': 11.0, 'sold_total': 2.0}\n"


def test_a_provider_that_is_set_after_the_first_span_is_the_service_s(
    tmp_path: Path, collector: Collector, free_port: int
) -> None:
    """What was traced before went where the environment says; OpenTelemetry alone would refuse the second provider."""
    done = run(tmp_path, OWN, free_port, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "own: later")
    assert collector.names() == ["early"]
