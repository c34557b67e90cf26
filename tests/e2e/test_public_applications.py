"""Unmodified public applications, as their users install and start them, under `quarterdeck-instrument`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import venv
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.programs import free_port, until

from quarterdeck_contract.labels import UNMATCHED_ROUTE
from quarterdeck_instrumentation.testing import Page, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Collector

pytestmark = [pytest.mark.tools, pytest.mark.timeout(600)]  # seconds: environments of their own, over the network


DEADLINE = 60.0
"""Seconds until a condition that never comes true fails its test."""
READY = "/readyz"
"""Asked until there is an answer: a probe's path, so that it is on no page and in no trace."""
CHANGING = re.compile(rb"[0-9a-f|]{32,}|\d{4}-\d\d-\d\dT[0-9:]+Z")
"""What answers have that is never twice the same: tokens against forgery, and the time."""
COUNT = "http_server_request_duration_seconds_count"


class Application(NamedTuple):
    """One of them."""

    requirements: tuple[str, ...]
    """What is installed, beside the instrumentation."""
    command: tuple[str, ...]
    """What starts it in a folder of its own; `{port}` is where it listens."""
    prepare: Callable[[Path, Path], None]
    """What its user does before, with its commands' folder and its own."""
    answers: dict[str, tuple[int, str]]
    """Target → status and the template that answers."""


def nothing(commands: Path, folder: Path) -> None:
    """Prepare nothing."""


def database(commands: Path, folder: Path) -> None:
    """Make a database of one table."""
    connection = sqlite3.connect(folder / "shop.db")
    connection.executescript(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO items VALUES (1, 'a')"
    )
    connection.close()


def packages(commands: Path, folder: Path) -> None:
    """Put a package into a folder."""
    (folder / "packages" / "demo").mkdir(parents=True)
    (folder / "packages" / "demo" / "demo-1.0.tar.gz").write_bytes(b"demo")


def index(commands: Path, folder: Path) -> None:
    """Make an index of packages that mirrors nothing, and a secret, which takes long to think up."""
    (folder / "secret").write_bytes(b"0123456789abcdef" * 4)
    (folder / "secret").chmod(0o600)
    command = (commands / "devpi-init", "--serverdir", folder / "data", "--no-root-pypi")
    subprocess.run(command, check=True, capture_output=True)


def site(commands: Path, folder: Path) -> None:
    """Make a site, and its database."""
    subprocess.run((commands / "wagtail", "start", "shop", folder), check=True, capture_output=True)
    command = (commands / "python", "manage.py", "migrate", "--verbosity=0")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


GUNICORN = ("gunicorn", "--bind=127.0.0.1:{port}", "--no-control-socket", "--workers=2")
APPLICATIONS = {
    "Flask: httpbin": Application(
        ("httpbin==0.10.4", "gunicorn"),
        (*GUNICORN, "httpbin:app"),
        nothing,
        {
            "/get?tea=1": (200, "/get"),
            "/status/418": (418, "/status/<codes>"),
            "/anything/a/b": (200, "/anything/<path:anything>"),
            "/stream/3": (200, "/stream/<int:n>"),
            "/nothing": (404, UNMATCHED_ROUTE),
        },
    ),
    "Django: wagtail": Application(
        ("wagtail==8.0.1", "gunicorn"),
        (*GUNICORN, "shop.wsgi:application"),
        site,
        {
            "/": (200, "/<var>"),
            "/search/?query=tea": (200, "/search/"),
            "/admin/": (302, "/admin/"),
            "/nothing/": (404, "/<var>"),
        },
    ),
    "FastAPI: simple-repository-server": Application(
        ("simple-repository-server==0.10.0",),
        ("simple-repository-server", "--port={port}", "packages"),
        packages,
        {
            "/simple/": (200, "/simple/"),
            "/simple/demo/": (200, "/simple/{project_name}/"),
            "/simple/missing/": (404, "/simple/{project_name}/"),
            "/resources/demo/demo-1.0.tar.gz": (200, "/resources/{project_name}/{resource_name}"),
            "/nothing": (404, UNMATCHED_ROUTE),
        },
    ),
    "Pyramid: devpi-server": Application(
        ("devpi-server==6.20.3",),
        ("devpi-server", "--serverdir=data", "--secretfile=secret", "--port={port}"),
        index,
        {
            "/+api": (200, "/+api"),
            "/root": (200, "/{user:[^+/]+}"),
            "/root/missing": (404, "/{user:[^+/]+}/{index:[^+/]+}"),
        },
    ),
    "Tornado: webssh": Application(
        ("webssh==1.6.3",),
        ("wssh", "--port={port}", "--address=127.0.0.1"),
        nothing,
        {"/": (200, "/"), "/static/js/main.js": (200, "/static/{1}"), "/nothing": (404, UNMATCHED_ROUTE)},
    ),
    "ASGI without a framework: datasette": Application(
        ("datasette==0.65.5",),
        ("datasette", "serve", "shop.db", "--port={port}"),
        database,
        {
            "/shop/items.json?_shape=array": (200, UNMATCHED_ROUTE),
            "/shop/items/1.json?_shape=array": (200, UNMATCHED_ROUTE),
            "/nothing": (404, UNMATCHED_ROUTE),
        },
    ),
}


def get(port: int, target: str) -> tuple[int, bytes] | None:
    """Return status and body of one answer; None while nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", target, headers={"Host": "localhost", "Connection": "close"})
        response = connection.getresponse()
        return response.status, CHANGING.sub(b"*", response.read())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the instrumentation as users get it."""
    folder = tmp_path_factory.mktemp("wheel")
    common = ("-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder)
    subprocess.run((sys.executable, *common, root / "instrumentation"), cwd=folder, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def install(application: Application, wheel: Path, folder: Path) -> Path:
    """Install an application into an environment of its own, and return the folder of its commands."""
    venv.create(folder, with_pip=False)
    commands = folder / "bin"
    pip = (sys.executable, "-m", "pip", "--python", commands / "python", "-q", "--disable-pip-version-check")
    what = (*application.requirements, wheel)
    done = subprocess.run((*pip, "install", *what), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return commands


@contextmanager
def running(
    application: Application, commands: Path, folder: Path, *launcher: str, **environ: str
) -> Iterator[tuple[int, Path]]:
    """Run an application in *folder* until the block ends; give its port and its log."""
    port, log = free_port(), folder / "log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
    command = [*launcher, *(word.format(port=port) for word in application.command)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(commands / command[0]), *command[1:]],
            cwd=folder,
            env={**inherited, "PATH": f"{commands}{os.pathsep}{inherited['PATH']}", **environ},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: get(port, READY), f"an answer; {log.read_text()}")
        yield port, log
        process.terminate()
        process.wait(DEADLINE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS.keys())
def test_it_runs_as_without_us_and_is_measured(
    application: Application, wheel: Path, tmp_path: Path, collector: Collector
) -> None:
    """Every answer is the same; each is on the page by its template, and a span; and we complain of nothing."""
    commands = install(application, wheel, tmp_path / "venv")
    folder = tmp_path / "service"
    folder.mkdir()
    application.prepare(commands, folder)
    with running(application, commands, folder) as (port, _):
        bare = {target: get(port, target) for target in application.answers}

    metrics_port = free_port()
    environ = {
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(metrics_port),
    }
    with running(application, commands, folder, "quarterdeck-instrument", **environ) as (port, log):
        ours = {target: get(port, target) for target in application.answers}

        def whole() -> Page | None:
            answer = get(metrics_port, "/metrics")
            page = parse(answer[1].decode()) if answer is not None else None
            return page if page is not None and page.value(COUNT) == len(ours) else None

        page = until(whole, f"all requests on the page; {log.read_text()}")
        until(lambda: len(collector.names()) == len(ours), f"a span for each request, {collector.names()}")

    assert ours == bare
    assert {target: answer and answer[0] for target, answer in ours.items()} == {
        target: status for target, (status, _) in application.answers.items()
    }
    routes = [route for _, route in application.answers.values()]
    assert {route: page.value(COUNT, http_route=route) for route in routes} == {
        route: float(routes.count(route)) for route in routes
    }
    assert sorted(collector.names()) == sorted(
        "GET" if route == UNMATCHED_ROUTE else f"GET {route}" for route in routes
    )
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert "the service is not affected" not in log.read_text()
    shutil.rmtree(tmp_path / "venv")
