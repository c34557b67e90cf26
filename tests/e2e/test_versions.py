"""The small wheel's ranges: the oldest and the latest OpenTelemetry, and every Python of this machine that it is for.

Each case is an environment with this checkout in it, kept in the cache. In it run tests of the record path, from their
own files, and a service whose spans and page are looked at from outside.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.programs import free_port

from quarterdeck_instrumentation.testing import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector

pytestmark = [pytest.mark.tools, pytest.mark.timeout(600)]  # seconds: an environment may have to be made

OLDEST = ("opentelemetry-api==1.39.0", "opentelemetry-sdk==1.39.0", "opentelemetry-exporter-otlp-proto-common==1.39.0")
LATEST = ("opentelemetry-api==1.45.2", "opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-common==1.45.2")
SERVED = ("fastapi==0.165.0", "flask==3.1.3", "gunicorn==27.0.1", "uvicorn==0.54.0")
SERVED_BEFORE = ("fastapi==0.121.0", *SERVED[1:])
"""The same with a FastAPI that takes the oldest API; 0.165 asks for a newer one."""
TESTED = ("httpx==0.28.1", "hypothesis==6.170.15", "pytest==9.2.0", "pytest-timeout==2.4.0")
RECORD_PATH = (
    "lean_spans_sent",
    "metrics_of_the_sdk",
    "metrics_pushed",
    "opentelemetry_instruments",
    "registry_of_a_worker",
    "server_spans",
    "workers_added_up",
)
"""Files of tests/unit/instrumentation that need no framework."""
FORKED = "test_opentelemetry_instruments.py::test_a_forked_child_counts_from_zero_but_knows_its_gauges"
"""Wants nothing said; Python 3.12 and later say a warning of every fork in a process with threads, as ours has."""
SHOP = """
import flask, fastapi
from opentelemetry import trace

api = fastapi.FastAPI()
site = flask.Flask("shop")


@api.get("/items/{item}")
async def item(item: int):
    with trace.get_tracer("shop").start_as_current_span("look up"):
        return item


@site.get("/items/<int:item>")
def flask_item(item):
    with trace.get_tracer("shop").start_as_current_span("look up"):
        return str(item)
"""
PRIVATE = {
    "opentelemetry.context": {"_SUPPRESS_INSTRUMENTATION_KEY"},
    "opentelemetry.metrics": {"_Gauge"},
    "opentelemetry.util._decorator": {"_agnosticcontextmanager"},
    "opentelemetry.util._once": {"Once"},
}
"""What is imported of OpenTelemetry's that its authors may change without saying so."""
PRIVATE_IN_PASSING = {
    "opentelemetry.trace": (
        *("_TRACER_PROVIDER", "_TRACER_PROVIDER_SET_ONCE", "_set_tracer_provider", "ProxyTracer._tracer"),
    ),
    "opentelemetry.metrics._internal": ("_METER_PROVIDER", "_METER_PROVIDER_SET_ONCE"),
    "opentelemetry.metrics._internal.instrument": (
        *("_ProxyCounter.add", "_ProxyUpDownCounter.add", "_ProxyHistogram.record", "_ProxyGauge.set"),
    ),
}
"""Likewise, used where it is found and not imported."""
PRIVATE_OF_CONTRIB = {"opentelemetry.instrumentation": {"_semconv"}}
"""Likewise, only where an instrumentor is installed."""


class Case(NamedTuple):
    """One environment."""

    python: Path
    requirements: tuple[str, ...]


def pythons() -> list[Path]:
    """Return this Python, and one of each other version that the wheel is for, on PATH or of pyenv's."""
    found = {sys.version_info[:2]: Path(sys.executable)}
    for minor in (11, 12, 13):
        on_path = shutil.which(f"python3.{minor}")
        candidates = [Path(on_path)] if on_path else []
        candidates += sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python"))
        for each in candidates:
            if (3, minor) not in found and _works(each):
                found[3, minor] = each
    return list(found.values())


def _works(python: Path) -> bool:
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


CASES = {
    "oldest": Case(Path(sys.executable), (*OLDEST, *SERVED_BEFORE, *TESTED)),
    **{f"latest on {each.resolve().name}": Case(each, (*LATEST, *SERVED, *TESTED)) for each in pythons()},
}


@pytest.fixture(params=CASES.values(), ids=CASES, scope="module")
def python(request: pytest.FixtureRequest, environment: Callable[..., Path]) -> Path:
    """Return the Python of each environment."""
    case: Case = request.param
    return environment("versions", *case.requirements, python=case.python)


def test_the_record_path_keeps_its_promises(python: Path, root: Path) -> None:
    """Spans, instruments, exact values over forks: the tests themselves."""
    folder = root / "tests" / "unit" / "instrumentation"
    done = subprocess.run(
        [
            *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "--deselect"),
            *(f"tests/unit/instrumentation/{FORKED}", f"--confcutdir={folder}"),
            *(folder / f"test_{name}.py" for name in RECORD_PATH),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize(
    ("server", "arguments", "route"),
    [
        ("uvicorn", ("app:api", "--workers", "2", "--port"), "/items/{item}"),
        ("gunicorn", ("app:site", "--workers", "2", "--no-control-socket", "--bind"), "/items/<int:item>"),
    ],
    ids=["FastAPI under uvicorn", "Flask under gunicorn"],
)
def test_a_service_is_seen_from_outside(  # noqa: PLR0917 -- fixtures are parameters
    python: Path, tmp_path: Path, collector: Collector, server: str, arguments: tuple[str, ...], route: str
) -> None:
    """Ten requests on two workers: ten on the page, ten spans with a child each when it has ended."""
    (tmp_path / "app.py").write_text(SHOP)
    port, metrics_port = free_port(), free_port()
    log = tmp_path / "log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(python.parent / "quarterdeck-instrument", python.parent / server, *arguments),
                str(port) if server == "uvicorn" else f"127.0.0.1:{port}",
            ],
            cwd=tmp_path,
            env={
                **inherited,
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
                "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
                "OTEL_EXPORTER_PROMETHEUS_PORT": str(metrics_port),
                "QUARTERDECK_METRICS_DIR": str(tmp_path),
                "QUARTERDECK_FLUSH_TIMEOUT": "10",  # a collector that answers does so late on a busy machine
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for number in range(10):
            assert until(port, f"/items/{number}", log) == str(number)
        page = parse(until(metrics_port, "/metrics", log, lambda text: requests_on(text, route) == 10))
    finally:
        process.terminate()
        process.wait(120)

    assert page.value("quarterdeck_instrumentation_failures_total") == 0, log.read_text()
    names = collector.names()
    assert (names.count(f"GET {route}"), names.count("look up")) == (10, 10), log.read_text()


def test_what_is_private_of_opentelemetrys_is_there(python: Path) -> None:
    """A release that moves one of these is known by name before a service is broken by it."""
    named = {
        **{module: tuple(sorted(names)) for module, names in PRIVATE.items()},
        **PRIVATE_IN_PASSING,
    }
    code = (
        "import importlib, operator, opentelemetry.metrics, opentelemetry.trace\n"
        f"named = {named!r}\n"
        "for module, names in named.items():\n"
        "    for name in names:\n"
        "        operator.attrgetter(name)(importlib.import_module(module))\n"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr == ""


def test_no_other_private_name_is_imported(root: Path) -> None:
    """The table above is all there is."""
    imported: dict[str, set[str]] = {}
    for path in (root / "instrumentation" / "src" / "quarterdeck_instrumentation").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("opentelemetry"):
                continue
            module = str(node.module)
            private = {alias.name for alias in node.names if "._" in module or re.match(r"_[^_]", alias.name)}
            if private:
                imported.setdefault(module, set()).update(private)

    assert imported == {**PRIVATE, **PRIVATE_OF_CONTRIB}


def requests_on(page: str, route: str) -> float:
    """Return how many requests of *route* the text of a page counts."""
    return parse(page).value("http_server_request_duration_seconds_count", http_route=route)


def until(port: int, path: str, log: Path, wanted: Callable[[str], bool] = bool) -> str:
    """Return the body of the answer, once there is one that is *wanted*.

    Raises:
        AssertionError: there was none within two minutes.
    """
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            assert response.status == 200, log.read_text()
            body = response.read().decode()
            if wanted(body):
                return body
        except (OSError, HTTPException):
            pass  # not yet
        finally:
            connection.close()
        time.sleep(0.02)
    raise AssertionError(log.read_text())
