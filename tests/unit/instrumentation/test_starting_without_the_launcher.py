"""Every other way to start: in code, by `opentelemetry-instrument`, by a copied folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import quarterdeck_contract
import quarterdeck_instrumentation
from quarterdeck_instrumentation import contrib, failures

BIN = Path(sys.executable).parent
SERVED = """
import http.client, time
import flask
app = flask.Flask("checkout")
app.get("/items/<item>", endpoint="items")(lambda item: item)
app.get("/up", endpoint="up")(lambda: "")
for path in ("/items/1", "/items/2", "/up"):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "a", "SERVER_PORT": "80"}
    environ |= {"wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1"}
    body = app(environ, lambda *start: None)
    b"".join(body)
    body.close()
from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.testing import parse
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    connection = http.client.HTTPConnection("127.0.0.1", runtime.current().settings.metrics_port)
    try:
        connection.request("GET", "/metrics")
        page = parse(connection.getresponse().read().decode())
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
    finally:
        connection.close()
count = "http_server_request_duration_seconds_count"
print(sorted((each.labels["http_route"], each.value) for each in page.find(count)))
"""
"""Serves three requests with Flask, and prints what of them is on the page."""
ALL = "[('/items/<item>', 2.0), ('/up', 1.0)]\n"


def run(tmp_path: Path, code: str, *command: str | Path, **environ: str) -> str:
    """Run *code* in a new interpreter, under *command* if there is one, and return what it prints."""
    whole = {"PATH": os.environ["PATH"], "QUARTERDECK_METRICS_DIR": str(tmp_path / "metrics")}
    (tmp_path / "metrics").mkdir()
    done = subprocess.run(
        [*command, sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env={**whole, "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1", **environ},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert list((tmp_path / "metrics").iterdir()) == []
    return done.stdout


@pytest.fixture
def port(free_port: int) -> str:
    """Return a port for the page, as the environment spells it."""
    return str(free_port)


def test_in_code_with_settings_of_its_own(tmp_path: Path, port: str) -> None:
    """What the service chooses comes before what the environment says."""
    code = (
        "import quarterdeck_instrumentation\n"
        f"quarterdeck_instrumentation.configure(health_paths={{'/up'}}, metrics_port={port})\n"
    )

    assert run(tmp_path, code + SERVED, QUARTERDECK_HEALTH_PATHS="/items/1") == "[('/items/<item>', 2.0)]\n"


def test_a_setting_that_there_is_none_of() -> None:
    """It is the service's own mistake, and is said where it was made."""
    with pytest.raises(TypeError, match="metrics_prot"):
        quarterdeck_instrumentation.configure(metrics_prot=9465)


def test_under_plain_opentelemetry_instrument(tmp_path: Path, port: str) -> None:
    """The distribution is chosen by name; contrib's own Flask instrumentor is not needed, and would not be loaded."""
    printed = run(
        tmp_path,
        SERVED,
        BIN / "opentelemetry-instrument",
        OTEL_PYTHON_DISTRO="quarterdeck",
        OTEL_PYTHON_CONFIGURATOR="quarterdeck",
        OTEL_EXPORTER_PROMETHEUS_PORT=port,
    )

    assert printed == ALL


def test_from_a_copied_folder(tmp_path: Path, port: str) -> None:
    """As an operator injects it: a folder, and PYTHONPATH."""
    copied = tmp_path / "injected"
    for package in (quarterdeck_contract, quarterdeck_instrumentation):
        (folder,) = package.__path__
        shutil.copytree(folder, copied / package.__name__, ignore=shutil.ignore_patterns("__pycache__"))
    path = f"{copied / 'quarterdeck_instrumentation' / 'bootstrap'}{os.pathsep}{copied}"
    code = "import quarterdeck_instrumentation as ours\nassert '/injected/' in ours.__file__\n" + SERVED

    assert run(tmp_path, code, PYTHONPATH=path, OTEL_EXPORTER_PROMETHEUS_PORT=port) == ALL


DATABASE = """
import quarterdeck_instrumentation.auto, sqlite3
connection = sqlite3.connect(":memory:")
print(type(connection).__module__.partition(".")[0])
"""


@pytest.mark.parametrize(
    ("environ", "whose"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "opentelemetry"),
        ({}, "sqlite3"),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis, sqlite3"}, "sqlite3"),
    ],
    ids=["wanted", "no spans wanted", "disabled"],
)
def test_a_library_is_instrumented_by_contrib_when_imported(
    tmp_path: Path, environ: dict[str, str], whose: str
) -> None:
    """If somebody wants its spans, and has not disabled it."""
    assert run(tmp_path, DATABASE, **environ) == whose + "\n"


class _EntryPoint:
    def __init__(self, name: str) -> None:
        self.name = name

    def load(self) -> None:
        raise ImportError("built for another Python")


def test_an_instrumentor_fails_alone() -> None:
    """It is said and counted; whoever loads the next one never sees it."""
    failures.forget()

    contrib.instrument(_EntryPoint("redis"))

    assert failures.counts() == {"hooks": 1}


@pytest.mark.parametrize("name", sorted(contrib.OURS))
def test_what_is_ours_is_not_instrumented_twice(name: str) -> None:
    """Its instrumentor is not even loaded."""
    failures.forget()

    contrib.instrument(_EntryPoint(name))

    assert failures.counts() == {}
