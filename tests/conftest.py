"""What every test may ask for, and the rule that nothing is skipped unseen."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
"""The repository."""

SKIPS = ROOT / ".ci" / "skips"
"""The skips CI accepts: `<test id>  # <reason>`, one a line. Any other skip fails the run."""

# Whoever runs the tests in the background of a script has Ctrl-C ignored, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Have Hypothesis draw the same examples in each run, and take it for no failure that a machine is busy.

    `--hypothesis-profile default` draws others, for whoever looks for mistakes.
    """
    steady = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("steady", steady)
    settings.load_profile("steady")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def environment() -> Callable[..., Path]:
    """Return a function that makes virtual environments, and keeps them in the cache.

    It takes a name, requirements, and by keyword `constraints`, a file, and `python`, an interpreter. It returns the
    Python of an environment with these, and with the instrumentation of this checkout, editable, unless `ours` is
    false.
    """
    return _environment


def _environment(
    name: str, *requirements: str, constraints: Path | None = None, python: Path | None = None, ours: bool = True
) -> Path:
    interpreter = str(python or sys.executable)
    version = subprocess.run([interpreter, "-VV"], capture_output=True, text=True, check=True).stdout
    constrained = ["--constraint", str(constraints)] if constraints is not None else []
    pins = constraints.read_text() if constraints is not None else ""
    key = hashlib.sha256("\n".join((version, str(ROOT), pins, *requirements)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck" / "environments"
    folder = cache / f"{name}-{key}"
    made = folder / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _run(interpreter, "-m", "venv", "--clear", folder)
            _run(made, *_INSTALL, *constrained, *requirements)
            (folder / "complete").touch()
        # Entry points are copied even when packages are not.
        current = hashlib.sha256((ROOT / "instrumentation" / "pyproject.toml").read_bytes()).hexdigest()
        installed = folder / "quarterdeck"
        if ours and not (installed.exists() and installed.read_text() == current):
            _run(made, *_INSTALL, "--no-deps", "--editable", ROOT / "instrumentation")
            installed.write_text(current)
    return made


_INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def tool() -> Callable[[str], Path]:
    """Return a function from a tool's name to its binary, installed on first use."""
    found: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in found:
            from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- only tests that need a tool pay for it

            found.update(install([name]))
        return found[name]

    return get


class Collector:
    """A collector on loopback that keeps what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 -- 50 ms, for few tests
            ExportTraceServiceRequest,
        )

        self.posts: list[ExportTraceServiceRequest] = []
        self.metrics: list[bytes] = []
        """What is posted to `/v1/metrics`, as it came."""
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, bytes]] = []
        """Status and body of the next answers; 200 and nothing once they are used up."""
        self.open = threading.Event()
        """Whether it answers at all."""
        self.open.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                elif self.headers.get("Content-Encoding") == "deflate":
                    body = zlib.decompress(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                if self.path == "/v1/metrics":
                    collector.metrics.append(body)
                else:
                    collector.posts.append(ExportTraceServiceRequest.FromString(body))
                collector.open.wait(30)
                status, answer = collector.answers.pop(0) if collector.answers else (200, b"")
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def names(self) -> list[str]:
        """Return the names of the spans in all posts."""
        return [
            span.name
            for post in self.posts
            for resource in post.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        """Stop."""
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return a collector that runs until the test has ended."""
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def lasting_collector() -> Iterator[Collector]:
    """Return a collector that runs until the last test of the module has ended."""
    running = Collector()
    yield running
    running.close()


_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each skip."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail the run in CI when a test was skipped that `.ci/skips` does not list."""
    yield
    if not os.environ.get("CI"):
        return
    listed = {line.split("#")[0].strip() for line in SKIPS.read_text().splitlines()}
    unlisted = sorted(set(_skipped) - listed)
    if unlisted:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nSkipped, but not listed in {SKIPS.name}: {', '.join(unlisted)}")  # noqa: T201 -- pytest's own output
