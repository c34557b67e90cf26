"""Sends requests to one application inside this process: what every case runs, in the interpreter of its variant.

    python tests/bench/drive.py APPLICATION [--requests N] [--warm N] [--count] [--report] [--ends WITH]

Not meant to be run by hand: `request_cost.py` and the other benches start it with a variant's environment. With
`--count`, callgrind counts the requests between a warm-up and the flush of what they left to export, and nothing
else. Otherwise the process is a service but for its sockets, and `--report` has it say what it used.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Protocol

HEADERS = {"host": "checkout:8080", "user-agent": "bench", "accept": "*/*"}


class Application(Protocol):
    """One application, ready to be asked."""

    def send(self, requests: int) -> None:
        """Send it so many requests, one after the other."""

    def close(self) -> None:
        """End it as a server does."""


class Asgi:
    """FastAPI."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._app = import_module("fastapi_site").app
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._begun, self._ended = asyncio.Event(), asyncio.Event()
        self._lifespan = self._loop.create_task(self._live())
        self._events.put_nowait({"type": "lifespan.startup"})
        self._loop.run_until_complete(self._begun.wait())

    def send(self, requests: int) -> None:
        """Send it so many requests."""
        self._loop.run_until_complete(self._send(requests))

    def close(self) -> None:
        """Have its lifespan end."""
        self._events.put_nowait({"type": "lifespan.shutdown"})
        self._loop.run_until_complete(self._ended.wait())
        self._loop.run_until_complete(self._lifespan)
        self._loop.close()

    async def _live(self) -> None:
        async def send(message: dict[str, Any]) -> None:
            (self._begun if message["type"] == "lifespan.startup.complete" else self._ended).set()

        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._events.get, send)

    async def _send(self, requests: int) -> None:
        statuses = set()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.add(message["status"])

        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        for _ in range(requests):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "server": ("127.0.0.1", 8080),
                "client": ("127.0.0.1", 50000),
                "scheme": "http",
                "method": "GET",
                "root_path": "",
                "path": "/items/7",
                "raw_path": b"/items/7",
                "query_string": b"",
                "headers": headers,
                "state": {},
            }
            await self._app(scope, receive, send)
        _require(statuses <= {200}, f"every answer to be 200, not {statuses}")


class Wsgi:
    """Flask, or Django."""

    def __init__(self, path: str) -> None:
        self._path = path
        if path.endswith("/"):
            self._app = import_module("django.core.wsgi").get_wsgi_application()
        else:
            self._app = import_module("flask_site").app

    def send(self, requests: int) -> None:
        """Send it so many requests."""
        statuses = set()

        def start_response(status: str, headers: Any, *_: Any) -> Any:
            del headers
            statuses.add(status)

        fixed = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
        for _ in range(requests):
            environ = {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": "",
                "PATH_INFO": self._path,
                "RAW_URI": self._path,
                "QUERY_STRING": "",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "8080",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "REMOTE_ADDR": "127.0.0.1",
                "REMOTE_PORT": "50000",
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(),
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": True,
                "wsgi.multiprocess": False,
                "wsgi.run_once": False,
                **fixed,
            }
            body = self._app(environ, start_response)
            for _ in body:
                pass
            body.close()
        _require(statuses <= {"200 OK"}, f"every answer to be 200, not {statuses}")

    def close(self) -> None:
        """Nothing is left to end."""


class Child:
    """No application: a span with ten attributes, begun and ended."""

    def __init__(self) -> None:
        self._attributes = {f"user.attribute.{number}": f"value {number}" for number in range(10)}
        self._span: Any = None
        if os.environ.get("BENCH_SETUP") == "spans":
            self._span = import_module("opentelemetry.trace").get_tracer("users").start_as_current_span

    def send(self, requests: int) -> None:
        """Begin and end so many spans."""
        for _ in range(requests):
            if self._span is not None:
                with self._span("child", attributes=self._attributes):
                    pass

    def close(self) -> None:
        """Nothing is left to end."""


APPLICATIONS = {
    "fastapi": Asgi,
    "flask": lambda: Wsgi("/items/7"),
    "django": lambda: Wsgi("/items/7/"),
    "child": Child,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("application", choices=APPLICATIONS)
    parser.add_argument("--requests", type=int, default=1, metavar="N", help="requests to send (1)")
    parser.add_argument("--warm", type=int, default=0, metavar="N", help="requests to send before those, uncounted")
    parser.add_argument("--count", action="store_true", help="have callgrind, which this runs under, count")
    parser.add_argument("--report", type=int, default=0, metavar="N", help="say what was used, each N requests")
    parser.add_argument("--ends", choices=_FLUSHES, default="nothing", help="whose exports are to be flushed")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.count and options.ends == "quarterdeck":
            _without_threads(stack)
        application = APPLICATIONS[options.application]()
        stack.callback(application.close)
        flush = _FLUSHES[options.ends]
        flush()  # tracing begins, even where no request does that
        application.send(options.warm)
        if options.count:
            flush()
            gc.collect()
            gc.freeze()  # a full collection of the start-up's heap, which one run has and another not, decides nothing
            callgrind("on")
            application.send(options.requests)
            flush()
            callgrind("off")
        elif options.report:
            _reported(application, options.requests, options.report)
        else:
            application.send(options.requests)


def callgrind(switch: str) -> None:
    """Have callgrind begin or end counting: `on` or `off`."""
    control = ["vgdb", f"--pid={os.getpid()}", "instrumentation", switch]
    with subprocess.Popen(control, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as sent:
        while sent.poll() is None:
            time.sleep(0.01)  # callgrind looks for commands between two pieces of code, so some has to run
        assert sent.stdout is not None
        _require(sent.returncode == 0, sent.stdout.read().decode())


def _reported(application: Application, requests: int, each: int) -> None:
    """Send *requests*, and print a line of JSON with what the process has used after *each* of them."""
    import resource  # noqa: PLC0415 -- for this alone

    for sent in range(0, requests + 1, each):
        if sent:
            application.send(each)
        usage = resource.getrusage(resource.RUSAGE_THREAD)  # of the thread that serves
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 -- pathlib is imported by no service
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        line = {"requests": sent, "resident": resident, "waits": usage.ru_nvcsw, "cpu": usage.ru_utime + usage.ru_stime}
        print(json.dumps(line), flush=True)  # noqa: T201 -- a script's output


def _without_threads(stack: ExitStack) -> None:
    """Have ours record as in a service, but write the values only when it is flushed: threads keep their own time.

    Five writes a second would be one in ten requests under callgrind, where in a service they are one in hundreds.
    """
    from quarterdeck_instrumentation.meters import takeover  # noqa: PLC0415 -- likewise
    from quarterdeck_instrumentation.settings import effective  # noqa: PLC0415 -- only ours has it
    from quarterdeck_instrumentation.testing import recording  # noqa: PLC0415 -- likewise

    stack.enter_context(recording(effective(os.environ)))
    takeover.begin()  # metrics of libraries are recorded as well, as by any worker


def _flush_ours() -> None:
    from quarterdeck_instrumentation import runtime  # noqa: PLC0415 -- only ours has it

    own = runtime.current()
    _require(own is not None, "telemetry to have begun")
    assert own is not None
    own.write()
    tracing = own.tracing()
    if tracing is not None:
        tracing.flush(600.0)


def _flush_opentelemetry() -> None:
    from opentelemetry import metrics, trace  # noqa: PLC0415 -- only some have it

    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            flush(600_000)


def _flush_ddtrace() -> None:
    import_module("ddtrace.trace").tracer.flush()


_FLUSHES = {
    "nothing": lambda: None,
    "quarterdeck": _flush_ours,
    "opentelemetry": _flush_opentelemetry,
    "ddtrace": _flush_ddtrace,
}


def _require(condition: bool, what: str) -> None:  # noqa: FBT001 -- as assert, which `python -O` would drop
    if not condition:
        raise SystemExit(f"drive.py: expected {what}")


if __name__ == "__main__":
    main()
