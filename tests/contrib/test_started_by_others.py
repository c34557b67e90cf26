"""Services that somebody else starts: `opentelemetry-instrument`, and the OpenTelemetry operator's copied folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Collector
    from tests.contrib.conftest import Program, Span

pytestmark = pytest.mark.tools

CHOSEN = {"OTEL_PYTHON_DISTRO": "quarterdeck", "OTEL_PYTHON_CONFIGURATOR": "quarterdeck"}
"""What has OpenTelemetry's own start choose us; a user's one setting beside the page's port."""
SHOP = """
import sqlite3

import fastapi
import flask
import opentelemetry.sdk.version

api = fastapi.FastAPI()
site = flask.Flask("shop")


def counted():
    sqlite3.connect(":memory:").cursor().execute("SELECT 1")
    return {"sdk": opentelemetry.sdk.version.__version__}


@api.get("/items/{item}")
def item(item: int):
    return counted()


@site.get("/items/<int:item>")
def flask_item(item):
    return counted()
"""
SERVERS = {
    "FastAPI under uvicorn": (
        # Which kills workers that do not answer it within 5 s, as on a busy machine none may that is still importing.
        ("uvicorn", "app:api", "--workers", "2", "--timeout-worker-healthcheck", "60", "--port"),
        "/items/{item}",
    ),
    "Flask under gunicorn": (
        ("gunicorn", "app:site", "--workers", "2", "--no-control-socket", "--bind"),
        "/items/<int:item>",
    ),
}
"""Command that wants a port, and the route of its application."""


@pytest.fixture(scope="module")
def injected(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that an operator's image has: the wheel with `[contrib]` and OpenTelemetry's start."""
    folder = tmp_path_factory.mktemp("image") / "otel-auto-instrumentation-python"
    constraints = ("--constraint", root / "instrumentation" / "constraints.txt")
    what = f"{root / 'instrumentation'}[contrib]"
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder)
    done = subprocess.run([*install, *constraints, what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def application(environment: Callable[..., Path]) -> Path:
    """Return the commands of an environment of the service's own: no Quarterdeck, and another OpenTelemetry."""
    packages = ("fastapi==0.121.0", "flask==3.1.3", "gunicorn==27.0.1", "uvicorn==0.54.0")
    return environment("application", *packages, "opentelemetry-sdk==1.39.0", ours=False).parent


@pytest.fixture
def starts(
    tmp_path: Path, program: Callable[..., Program], collector: Collector, a_port: Callable[[], int]
) -> Callable[..., tuple[Program, int]]:
    """Return a function that starts a server, and returns it with its port."""

    def start(server: tuple[str, ...], **options: Any) -> tuple[Program, int]:
        (tmp_path / "app.py").write_text(SHOP)
        port = a_port()
        bound = f"127.0.0.1:{port}" if server[-1] == "--bind" else str(port)
        sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "OTEL_SERVICE_NAME": "shop"}
        return program(tmp_path, *server, bound, **sent, **CHOSEN, **options), port

    return start


@pytest.fixture
def is_seen(
    collector: Collector, spans: Callable[[Collector], list[Span]], until: Any, get: Any
) -> Callable[[Program, int, str, str], None]:
    """Return a function that sends ten requests, and requires their spans and one page."""

    def require(running: Program, port: int, route: str, sdk: str) -> None:
        def answered() -> bool:
            try:
                return bool(get(port, "/items/0")[0] == 200)
            except OSError:
                return False

        def counted() -> bool:
            page = running.scrape()
            return (
                page is not None
                and page.value("http_server_request_duration_seconds_count", http_route=route) == 10
                and page.value("quarterdeck_workers") == 2
                and page.value("quarterdeck_instrumentation_failures_total") == 0
            )

        until(answered, running.log.read_text)
        for number in range(1, 10):
            assert get(port, f"/items/{number}") == (200, f'{{"sdk":"{sdk}"}}{"" if "{" in route else chr(10)}')
        until(counted, running.log.read_text)
        running.stop()

        requests = {each.id for each in spans(collector) if each.name == f"GET {route}" and each.kind == "SERVER"}
        queries = [each for each in spans(collector) if each.attributes.get("db.system.name") == "sqlite"]
        assert (len(requests), len(queries)) == (10, 10), running.log.read_text()
        assert {each.parent for each in queries} == requests

    return require


@pytest.mark.parametrize(("server", "route"), SERVERS.values(), ids=SERVERS)
def test_under_opentelemetry_instrument(
    starts: Callable[..., tuple[Program, int]],
    is_seen: Callable[[Program, int, str, str], None],
    server: tuple[str, ...],
    route: str,
) -> None:
    """Two workers, one page; contrib's instrumentor of the database loaded, its instrumentor of the server not."""
    running, port = starts(server, launcher="opentelemetry-instrument")

    is_seen(running, port, route, "1.45.1")


@pytest.mark.parametrize(("server", "route"), SERVERS.values(), ids=SERVERS)
def test_as_the_operator_injects_it(  # noqa: PLR0917 -- fixtures are parameters
    starts: Callable[..., tuple[Program, int]],
    is_seen: Callable[[Program, int, str, str], None],
    injected: Path,
    application: Path,
    server: tuple[str, ...],
    route: str,
) -> None:
    """A folder and variables, set from outside; the folder's OpenTelemetry is used, not the service's older one."""
    start = injected / "opentelemetry" / "instrumentation" / "auto_instrumentation"
    running, port = starts(
        server,
        commands=application,
        launcher="",
        PYTHONPATH=os.pathsep.join(map(str, (start, injected))),
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )

    is_seen(running, port, route, "1.45.1")


def test_a_service_of_the_operators_has_none_of_it_installed(application: Path) -> None:
    """Or else the tests above would prove nothing."""
    listed = subprocess.run(
        [application / "python", "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )

    assert "quarterdeck" not in listed.stdout
    assert "opentelemetry-sdk==1.39.0" in listed.stdout
