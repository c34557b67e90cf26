"""`OTEL_CONFIG_FILE`: what a real file says, who comes before whom, and what becomes of one that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_instrumentation import declarative, failures, settings
from quarterdeck_instrumentation.settings import Settings, choose, effective, origins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = """
file_format: "1.0"
resource:
  attributes:
    - {name: service.name, value: "${TEAM}-checkout"}
tracer_provider:
  sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 1.0}}}}
  processors:
    - simple: {exporter: {console: {}}}
meter_provider:
  readers:
    - pull:
        exporter:
          prometheus/development:
            host: 127.0.0.1
            port: ${PORT}
propagator:
  composite: [{baggage: {}}]
instrumentation/development:
  python:
    sqlite3: {enabled: false}
    redis: {}
distribution:
  quarterdeck:
    health_paths: [/up, /ready]
    label_sets: 50
    created_timestamps: false
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that writes a configuration file and returns its path; nothing is known of earlier ones."""
    failures.forget()
    monkeypatch.setattr(declarative, "_loaded", {})
    monkeypatch.setattr(settings, "_chosen", {})
    monkeypatch.setenv("PORT", "9500")
    monkeypatch.setenv("TEAM", "shop")

    def write(text: str) -> str:
        path = tmp_path / "otel.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_the_file_comes_before_variables_and_code_before_the_file(file: Callable[[str], str]) -> None:
    """Variables of OpenTelemetry's are not asked at all; ours are, for what the file does not say."""
    environ = {
        "OTEL_CONFIG_FILE": file(FILE),
        "OTEL_EXPORTER_PROMETHEUS_PORT": "9600",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "QUARTERDECK_LABEL_SETS": "10",
        "QUARTERDECK_FLUSH_TIMEOUT": "0.5",
    }
    choose(created_timestamps=True)

    assert effective(environ) == replace(
        Settings(),
        metrics_host="127.0.0.1",
        metrics_port=9500,
        health_paths=frozenset({"/up", "/ready"}),
        label_sets=50,
        traces_exporters=("declarative",),
        disabled_instrumentations=frozenset({"sqlite3"}),
        flush_timeout=0.5,
    )
    assert origins(environ) == {
        "created_timestamps": "code",
        "disabled_instrumentations": "file",
        "flush_timeout": "QUARTERDECK_FLUSH_TIMEOUT",
        "health_paths": "file",
        "label_sets": "file",
        "metrics_host": "file",
        "metrics_port": "file",
        "traces_exporters": "file",
    }


def test_a_file_can_disable_all(file: Callable[[str], str]) -> None:
    """Neither spans nor a page."""
    found = effective({"OTEL_CONFIG_FILE": file(FILE + "disabled: true\n")})

    assert (found.traces_exporters, found.metrics_page) == ((), False)


def test_what_the_file_leaves_out_is_as_without_it(file: Callable[[str], str]) -> None:
    """The page is there, spans are not."""
    assert effective({"OTEL_CONFIG_FILE": file('file_format: "1.0"\n')}) == Settings()


@pytest.mark.parametrize(
    "text",
    ["", "file_format: [", 'file_format: "1.0"\nsampler: {}\nunknown: [1\n', 'file_format: "7.0"\n'],
    ids=["empty", "no YAML", "no YAML later", "another format"],
)
def test_a_file_that_cannot_be_used_is_said_once(
    file: Callable[[str], str], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the environment is asked as if there were none."""
    environ = {"OTEL_CONFIG_FILE": file(text), "OTEL_EXPORTER_PROMETHEUS_PORT": "9600"}

    for _ in range(2):
        assert effective(environ) == replace(Settings(), metrics_port=9600)

    assert failures.counts() == {"settings": 1}
    assert "OTEL_CONFIG_FILE: expected a declarative configuration; " in caplog.text


def test_a_file_without_the_package_is_said_once(file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Which package would read it is part of what is said."""
    monkeypatch.setitem(sys.modules, "opentelemetry.configuration", None)

    assert effective({"OTEL_CONFIG_FILE": file(FILE), "QUARTERDECK_LABEL_SETS": "10"}).label_sets == 10
    assert failures.counts() == {"settings": 1}


SERVED = """
import flask, sqlite3
from opentelemetry import baggage, propagate, trace
app = flask.Flask("checkout")
app.get("/items/<item>", endpoint="items")(lambda item: item)
app.get("/up", endpoint="up")(lambda: "")
for path in ("/items/1", "/up"):
    app.test_client().get(path).close()
provider = trace.get_tracer_provider()
from quarterdeck_instrumentation import runtime
print(provider.resource.attributes["service.name"], type(propagate.get_global_textmap()._propagators[0]).__name__)
print(runtime.current().settings.metrics_port, provider.sampler.get_description())
print(type(sqlite3.connect(":memory:")).__module__)
"""


def test_a_service_is_configured_by_its_file(file: Callable[[str], str], free_port: int, tmp_path: Path) -> None:
    """Provider, sampler, resource, propagator, page, disabled instrumentor, health paths: all from a real file."""
    environ = {"PATH": os.environ["PATH"], "QUARTERDECK_METRICS_DIR": str(tmp_path), "TEAM": "shop"}
    done = subprocess.run(
        [sys.executable, "-c", "import quarterdeck_instrumentation.auto\n" + SERVED],
        env={**environ, "PORT": str(free_port), "OTEL_CONFIG_FILE": file(FILE), "OTEL_TRACES_SAMPLER": "always_off"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.count('"name": "GET /items/<item>"') == 1
    assert '"name": "GET /up"' not in done.stdout
    assert "shop-checkout W3CBaggagePropagator\n" in done.stdout
    assert f"{free_port} ParentBased{{root:TraceIdRatioBased{{1.0}}" in done.stdout
    assert done.stdout.endswith("sqlite3\n")
