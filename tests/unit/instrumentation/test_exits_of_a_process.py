"""However a process that serves ends, its last values and spans are out before, and it ends as it would have ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_instrumentation import native

if TYPE_CHECKING:
    from pathlib import Path

SERVES = """
import os, signal, sys, time
from quarterdeck_instrumentation import exits, runtime

def end():
    with open("ended", "a") as file:
        file.write(f"{os.getpid()} ")

exits.watch(end, 30.0)
"""
"""A process that watches its own end; what has to be done then is to write its process id down."""


def run(folder: Path, code: str, before: str = "") -> tuple[int, list[int], str]:
    """Run *code* after SERVES, and *before* it; return the exit status, which processes ended, and what was said."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + SERVES + code], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = process.communicate(timeout=60)[0].decode()
    ended = folder / "ended"
    pids = [int(pid) for pid in ended.read_text().split()] if ended.exists() else []
    return process.returncode, [0 if pid == process.pid else pid for pid in pids], said


def test_os_exit(tmp_path: Path) -> None:
    """The status is the caller's, and nothing of Python runs after it."""
    assert run(tmp_path, "try:\n    os._exit(3)\nfinally:\n    print('never')") == (3, [0], "")


def test_os_exit_of_a_forked_child(tmp_path: Path) -> None:
    """It is the child's end alone, and the child does not serve: the parent's telemetry is the parent's."""
    code = "pid = os.fork()\nif pid == 0:\n    os._exit(3)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"

    assert run(tmp_path, code) == (0, [], "3\n")


def test_a_forked_child_is_watched_for_itself(tmp_path: Path) -> None:
    """When it serves, as granian's workers do."""
    code = "pid = os.fork()\nif pid == 0:\n    exits.watch(end, 30.0)\n    os._exit(3)\nos.waitpid(pid, 0)\nprint(pid)"

    status, ended, said = run(tmp_path, code)

    assert (status, ended) == (0, [int(said)])


def test_the_end_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    """Not even when what has to be done never returns, or waits for a lock that the caller of `os._exit` holds."""
    code = """
import threading
lock = threading.Lock()
exits.watch(lock.acquire, 0.1)
lock.acquire()
os._exit(4)
"""
    assert run(tmp_path, code)[0] == 4


def test_sigterm_without_a_handler(tmp_path: Path) -> None:
    """The process dies of the signal, as it would have died."""
    assert run(tmp_path, "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)") == (-signal.SIGTERM, [0], "")


def test_sigterm_twice(tmp_path: Path) -> None:
    """A parent sends it again when it ends, as hypercorn's: that killed workers while they sent their last spans."""
    code = """
def ends():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    end()

exits.watch(ends, 10.0)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    assert run(tmp_path, code) == (-signal.SIGTERM, [0], "")


def test_sigterm_while_the_main_thread_waits(tmp_path: Path) -> None:
    """As a server's does, in `accept` or for a lock."""
    code = """
import threading
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
threading.Lock().acquire() and threading.Event().wait()
"""
    assert run(tmp_path, code) == (-signal.SIGTERM, [0], "")


@pytest.mark.parametrize("handler", ["lambda *_: sys.exit(5)", "signal.SIG_IGN"], ids=["handled", "ignored"])
def test_a_service_that_has_a_handler_keeps_it(tmp_path: Path, handler: str) -> None:
    """What it does about SIGTERM is its own affair."""
    before = f"import signal, sys\nsignal.signal(signal.SIGTERM, {handler})\n"
    code = "before = signal.getsignal(signal.SIGTERM)\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0)\nsys.exit(6)"

    assert run(tmp_path, code, before) == (5 if "lambda" in handler else 6, [], "")


def test_a_handler_that_is_set_later_and_calls_the_one_before(tmp_path: Path) -> None:
    """Where there was none, nothing was called: so nothing happens."""
    code = """
before = signal.getsignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *both: callable(before) and before(*both))
os.kill(os.getpid(), signal.SIGTERM)
print("lives")
"""
    assert run(tmp_path, code) == (0, [], "lives\n")


def test_a_handler_that_only_c_knows_of_is_left_alone(tmp_path: Path) -> None:
    """A worker of uWSGI has one. Python, which started before it was set, takes it for the default."""
    before = """
import ctypes
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: print("handled in C", flush=True))
ctypes.CDLL(None).signal(15, handler)
"""
    assert run(tmp_path, "os.kill(os.getpid(), signal.SIGTERM)", before) == (0, [], "handled in C\n")


def test_a_forked_child_dies_of_sigterm_as_ever(tmp_path: Path) -> None:
    """No handler of ours in it: it does not serve."""
    code = """
pid = os.fork()
if pid == 0:
    print(signal.getsignal(signal.SIGTERM).name, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(tmp_path, code) == (0, [], "SIG_DFL\n-15\n")


def test_begun_in_another_thread(tmp_path: Path) -> None:
    """Handlers are the main thread's to set: it goes without, and says nothing."""
    code = """
import threading
signal.signal(signal.SIGTERM, signal.SIG_DFL)
thread = threading.Thread(target=exits.watch, args=(end, 30.0))
thread.start()
thread.join()
os._exit(7)
"""
    assert run(tmp_path, code) == (7, [0], "")


FORKING = """
import concurrent.futures, json, multiprocessing, os, signal, sys, time
from quarterdeck_instrumentation import exits, runtime
from opentelemetry import trace

def tracer():
    return trace.get_tracer("checkout")

def work(number):
    with tracer().start_as_current_span(f"work {number}"):
        return os.getpid()

runtime.current().tracing()
"""
"""A service that hands work to other processes, which trace it."""


@pytest.mark.parametrize("end", ["pool", "process", "fork"])
def test_what_a_forked_child_traces_gets_out(tmp_path: Path, collector: Any, free_port: int, end: str) -> None:
    """Of a process pool, a process, a fork: the provider is inherited, the spans that wait in it are not."""
    code = {
        "pool": """
context = multiprocessing.get_context("fork")
with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
    pids = set(pool.map(work, range(6)))
assert os.getpid() not in pids
""",
        "process": """
processes = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(6)]
[each.start() for each in processes]
[each.join() for each in processes]
""",
        "fork": """
for number in range(6):
    if os.fork() == 0:
        work(number)
        sys.exit(0)
    os.wait()
""",
    }[end]
    environ = {
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port),
        "QUARTERDECK_METRICS_DIR": str(tmp_path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "QUARTERDECK_FLUSH_TIMEOUT": "10",
    }
    code = f'{FORKING}\nwork("before")\n{code}'
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.stderr, done.returncode) == ("", 0)
    assert sorted(collector.names()) == sorted(["work before", *(f"work {number}" for number in range(6))])


def test_without_a_metrics_page_the_spans_get_out_all_the_same(tmp_path: Path, collector: Any, free_port: int) -> None:
    """They used to be left behind: what had to be done at exit was arranged with the page."""
    environ = {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "QUARTERDECK_FLUSH_TIMEOUT": "10",
    }
    code = f'{FORKING}\nwork("1")\n'
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.stderr, done.returncode) == ("", 0)
    assert collector.names() == ["work 1"]


PAGE = """
def page():
    while True:
        connection = HTTPConnection("127.0.0.1", int(os.environ["OTEL_EXPORTER_PROMETHEUS_PORT"]), timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            gevent.sleep(0.02)
        finally:
            connection.close()
"""
"""What reads the page of the process it runs in, as soon as there is one."""
GEVENT = f"""
import json, sys
before = "threading" in sys.modules, "ssl" in sys.modules, "socket" in sys.modules
import warnings
warnings.simplefilter("error")
from gevent import monkey
monkey.patch_all()
import gevent, os, time
from http.client import HTTPConnection
from quarterdeck_instrumentation import native, runtime
from quarterdeck_instrumentation.testing import parse

runtime.current()
turns = 0

def spin():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.001)  # one that never waits keeps Python's lock from every thread, with us or without

gevent.spawn(spin)
{PAGE}
workers = parse(page()).value("quarterdeck_workers")
print(json.dumps([before, workers, turns > 0, gevent.get_hub().loop.default]))
"""


def test_gevent_is_neither_forestalled_nor_stopped(tmp_path: Path, free_port: int) -> None:
    """Nothing that it replaces is imported before it does; our threads wait for locks, and greenlets go on."""
    environ = {
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port),
        "QUARTERDECK_METRICS_DIR": str(tmp_path),
    }
    code = "import quarterdeck_instrumentation.auto\n" + GEVENT
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout) == [[False, False, False], 1.0, True, True]
    assert list(tmp_path.iterdir()) == []


IMPORTING = f"""
from gevent import monkey
monkey.patch_all()
import json, os, sys, gevent
from http.client import HTTPConnection
from opentelemetry import metrics, trace
from quarterdeck_instrumentation import runtime
{PAGE}
imported = []
thread = monkey.get_original("_thread", "get_ident")
ours = thread()

def note(event, arguments):
    if event == "import" and thread() != ours and not arguments[0].startswith("gevent."):  # of its own sockets, later
        imported.append(arguments[0])

sys.addaudithook(note)
runtime.current().tracing()
trace.get_tracer("t").start_span("work").end()
done = trace.get_tracer_provider().force_flush(), metrics.get_meter_provider().force_flush()
print(json.dumps([imported, *done, "quarterdeck_workers" in page()]))
"""


def test_no_thread_of_ours_imports_anything_under_gevent(tmp_path: Path, collector: Any, free_port: int) -> None:
    """A greenlet that waited for the same module, before there was anything else to wait for, ended the service."""
    environ = {
        "OTEL_METRICS_EXPORTER": "otlp,prometheus",
        "QUARTERDECK_FLUSH_TIMEOUT": "10",  # a collector that answers does so late on a busy machine
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port),
        "QUARTERDECK_METRICS_DIR": str(tmp_path),
    }
    code = "import quarterdeck_instrumentation.auto\n" + IMPORTING
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout) == [[], True, True, True]
    assert collector.names() == ["work"]


def test_threads_go_on_while_gevent_is_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is there before what is in it: a thread of ours died of that, and the page with it."""
    monkeypatch.setitem(sys.modules, "gevent.monkey", ModuleType("gevent.monkey"))

    assert native.original("time", "sleep") is time.sleep
