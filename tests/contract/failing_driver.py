"""A service in one process, driven without a server: run by the tests of failing open, and says what became of it.

Arguments: how many requests, the text that must be said before it ends (empty: none), and what is broken on the way.
Everything of telemetry is real: its threads, files, port and connection. Prints one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import sys
import time
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from quarterdeck_instrumentation import asgi, failures, mount, runtime, wsgi

_PAGE = os.sysconf("SC_PAGE_SIZE")
_WAITING = ("posix.", "_socket.", "select.", "_io.", "_ssl.", "fcntl.", "time.sleep", "mmap.")
"""What functions are called that may wait for a disk, a network or the clock."""
_AT_ONCE = {"posix.getpid", "posix.fspath"}
"""Functions among them that wait for nothing; OpenTelemetry's SDK logs with them."""


class Said(logging.Handler):
    """Keeps what is said on the logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(record.getMessage())


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": b"answer"})


async def receive() -> Any:
    """Return an empty request."""
    return {"type": "http.request", "body": b"", "more_body": False}


def requested(wrapped: Any, number: int) -> bool:
    """Send a request, and say whether it was answered as without us."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"/orders/{number}"
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(b"host", b"shop"), (b"user-agent", b"curl/8")],
    }
    try:
        wrapped(scope, receive, send).send(None)
    except StopIteration:
        return [each.get("status", each.get("body")) for each in sent] == [200, b"answer"]
    return False


class Broken(SpanProcessor, SpanExporter, Sampler):
    """A part of tracing that a service brings, and that fails where its name says, and there alone."""

    def __init__(self, name: str) -> None:
        self._name = name

    def on_start(self, *_: Any, **__: Any) -> None:
        """Fail, or do nothing."""
        self._fails("processor raises at the start")

    def on_end(self, *_: Any, **__: Any) -> None:
        """Fail, or do nothing."""
        self._fails("processor raises at the end")

    def export(self, *_: Any, **__: Any) -> Any:
        """Hang, or fail."""
        if self._name == "exporter hangs":
            time.sleep(3600)
        self._fails("exporter")

    def should_sample(self, *_: Any, **__: Any) -> Any:
        """Fail."""
        self._fails("sampler")

    def get_description(self) -> str:
        """Return its name."""
        return self._name

    def shutdown(self) -> None:
        """Say nothing."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Say that it is done."""
        return bool(timeout_millis)

    def _fails(self, when: str) -> None:
        if self._name.startswith(when):
            raise LookupError(self._name)


def service_of(broken: str) -> None:
    """Have the service bring that part."""
    logging.getLogger().addHandler(logging.NullHandler())  # OpenTelemetry's SDK says much of it
    part = Broken(broken)
    sampler = part if broken.startswith("sampler") else ALWAYS_ON
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)  # whose own wait has no limit
    exports = broken.startswith("exporter")
    provider.add_span_processor(BatchSpanProcessor(part, schedule_delay_millis=10) if exports else part)
    trace.set_tracer_provider(provider)


def break_something(what: str) -> None:
    """Break what the name says."""
    if what == "folder removed":
        shutil.rmtree(os.environ["QUARTERDECK_METRICS_DIR"])
    elif what == "disk full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    elif what == "no more files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def mend(what: str) -> None:
    """Undo `break_something`."""
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (resource.getrlimit(limit)[1],) * 2)
    del what


def requested_by_wsgi(wrapped: Any, number: int) -> bool:
    """Send a request to a WSGI application, and say whether it was answered."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/orders/{number}",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "shop",
    }
    statuses: list[str] = []
    answer = wrapped(environ, lambda status, _: statuses.append(status))
    body = b"".join(answer)
    answer.close()
    return (statuses, body) == (["200 OK"], b"answer")


def wsgi_app(environ: Any, start_response: Any) -> Any:
    """Answer."""
    del environ
    start_response("200 OK", [])
    return [b"answer"]


def calls_of(wrapped: Any, requests: int) -> list[str]:
    """Return what functions of C were called in this thread by some requests, of those that may wait."""
    called: set[str] = set()

    def profile(_: Any, event: str, function: Any) -> None:
        if event == "c_call":
            owner = getattr(function, "__module__", None) or type(function.__self__).__module__
            called.add(f"{owner}.{function.__qualname__}")

    measured = wsgi.Instrumented(wsgi_app)
    requested_by_wsgi(measured, 0)
    sys.setprofile(profile)
    for number in range(requests):
        requested(wrapped, number)
        requested_by_wsgi(measured, number)
    sys.setprofile(None)
    return sorted(name for name in called - _AT_ONCE if name.startswith(_WAITING))


def resident(statm: int) -> int:
    """Return the memory in use, in bytes; from a file that is open already, because none may be opened now."""
    return int(os.pread(statm, 100, 0).split()[1]) * _PAGE


def counted_at_last() -> float:
    """Return how many requests are on the page, once there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status, _, body = mount.answer("GET")
        if status == 200:
            count = "http_server_request_duration_seconds_count{"
            return sum(float(line.split()[-1]) for line in body.decode().splitlines() if line.startswith(count))
        time.sleep(0.05)
    return 0.0


def main() -> None:
    """Drive, break, drive, mend, and say what happened."""
    requests, awaited, broken = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    said = Said()
    logging.getLogger("quarterdeck").addHandler(said)
    wrapped = asgi.Instrumented(app)
    if broken.partition(" ")[0] in ("processor", "exporter", "sampler"):
        service_of(broken)
    right = sum(requested(wrapped, number) for number in range(3000))
    break_something(broken)
    right += sum(requested(wrapped, number) for number in range(1000))
    deadline = time.monotonic() + 60
    while awaited and not any(awaited in line for line in said.lines) and time.monotonic() < deadline:
        requested(wrapped, 0)
        time.sleep(0.01)
    calls = calls_of(wrapped, 300)
    # By then each part, queues and batches being encoded, has been as full as it gets.
    right += sum(requested(wrapped, number) for number in range(requests))
    before = resident(statm)
    answered = sum(requested(wrapped, number) for number in range(requests))
    after = resident(statm)
    mend(broken)
    counted = counted_at_last()
    ended = time.monotonic()
    runtime.end()
    ended = time.monotonic() - ended
    report = {
        "answered": answered == requests and right >= 4000,
        "calls": calls,
        "grown": after - before,
        "counts": failures.counts(),
        "said": said.lines,
        "ended": ended,
        "counted": counted,
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
