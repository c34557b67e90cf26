"""A forked child inherits nothing; a thousand children later the page is as small as before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SERVES = """
import asyncio, json, os, signal, sys, time
from http.client import HTTPConnection
from quarterdeck_instrumentation import failures, runtime
from quarterdeck_instrumentation.asgi import serve
from quarterdeck_instrumentation.testing import parse

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def nothing(*_):
    return {"type": "http.disconnect"}

def request(times=1):
    scope = {"type": "http", "method": "GET", "path": "/a", "headers": [], "scheme": "http"}
    for _ in range(times):
        asyncio.run(serve(app, dict(scope), nothing, nothing))

def page():
    for _ in range(3000):
        try:
            connection = HTTPConnection("127.0.0.1", int(os.environ["OTEL_EXPORTER_PROMETHEUS_PORT"]), timeout=10)
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            time.sleep(0.02)

COUNT = "http_server_request_duration_seconds_count"

def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] in (0, signal.SIGKILL)
"""
"""A worker without a server: it calls an application as one does, and forks."""


def run(code: str, folder: Path, port: int) -> Any:
    """Run *code* after SERVES, and return the JSON it prints."""
    environ = {
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "QUARTERDECK_METRICS_DIR": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVES + code], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return json.loads(done.stdout)


def test_a_forked_child_inherits_no_counts(tmp_path: Path, free_port: int) -> None:
    """Parent five, child one: the page says six, and the child alone one."""
    code = """
os.environ["QUARTERDECK_SESSION_DIR"] = os.environ["QUARTERDECK_METRICS_DIR"]
request(5)
own = []
def work():
    request()
    own.append(parse(page()).value(COUNT))
    runtime.current().write()
    from quarterdeck_instrumentation.testing import Recording
    with open(os.environ["QUARTERDECK_METRICS_DIR"] + "/child", "w") as file:
        file.write(str(Recording(runtime.current()).page().value(COUNT)))
child(work)
with open(os.environ["QUARTERDECK_METRICS_DIR"] + "/child") as file:
    print(json.dumps([parse(page()).value(COUNT), float(file.read()), parse(page()).value("quarterdeck_workers")]))
"""
    assert run(code, tmp_path, free_port) == [6.0, 1.0, 1.0]


def test_a_child_that_serves_nothing_keeps_no_port_and_no_worker_alive(tmp_path: Path, free_port: int) -> None:
    """A pool process forked by a worker outlives it: the port is free and the worker counts as ended all the same."""
    code = """
os.environ["QUARTERDECK_SESSION_DIR"] = os.environ["QUARTERDECK_METRICS_DIR"]
ready, go = os.pipe()
let_go, forked = os.pipe()  # a child lets go of what it inherited as soon as it runs, which need not be at once
worker = os.fork()
if worker == 0:
    request(3)
    page()
    pool = os.fork()
    if pool == 0:
        os.write(forked, b"x")
        os.read(ready, 1)
        os._exit(0)
    os.read(let_go, 1)
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(worker, 0)
request(4)
seen = parse(page())
os.write(go, b"x")
print(json.dumps([seen.value(COUNT), seen.value("quarterdeck_workers")]))
"""
    assert run(code, tmp_path, free_port) == [7.0, 1.0]


def test_a_thousand_replaced_workers_leave_the_page_as_it_was(tmp_path: Path, free_port: int) -> None:
    """Killed after each request: every request is on the page, which has not grown, nor have the folder's files.

    A scrape reads these files and makes this page, so it takes as long as before.
    """
    code = """
folder = os.environ["QUARTERDECK_SESSION_DIR"] = os.environ["QUARTERDECK_METRICS_DIR"]
request()
def work():
    request()
    runtime.current().write()
    os.kill(os.getpid(), signal.SIGKILL)

def seen():
    text = page()
    names = sorted(name for name in os.listdir(folder) if not name.startswith("worker-"))
    sizes = [os.path.getsize(os.path.join(folder, name)) for name in names]
    return text.count("\\n"), len(os.listdir(folder)), sum(sizes), parse(text).value(COUNT)

child(work)
looks = [seen()]
for _ in range(10):
    for _ in range(100):
        child(work)
    looks.append(seen())
print(json.dumps(looks))
"""
    looks = run(code, tmp_path, free_port)
    lines, files, counted = [look[0] for look in looks], [look[1] for look in looks], [look[3] for look in looks]

    assert len(set(lines)) == 1
    assert set(files) == {4}  # the election, the totals, and the parent's own two
    assert counted == [2.0, *(2.0 + hundreds * 100 for hundreds in range(1, 11))]
    assert max(look[2] for look in looks) < 16_000  # all metrics, and the names of the hundred that were added last


LOSES_ITS_LAST_SPANS = """
import logging
from quarterdeck_instrumentation.activation import lead
logging.disable()
lead()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"  # where nobody listens
request()

def work():
    request(7)
    runtime.end()

child(work)
print(json.dumps(parse(page()).value("quarterdeck_instrumentation_failures_total", component="traces")))
"""


def test_what_a_worker_lost_at_its_end_is_on_the_page(tmp_path: Path, free_port: int) -> None:
    """Without a collector the last spans are lost: they are counted in the last values that the worker writes."""
    assert run(LOSES_ITS_LAST_SPANS, tmp_path, free_port) >= 7
