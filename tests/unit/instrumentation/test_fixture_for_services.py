"""The pytest fixture `telemetry`, in the tests of a service that has nothing else of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
import pytest
from flask import Flask
from opentelemetry import trace

tracer = trace.get_tracer("checkout")
app = Flask(__name__)
COUNT = "http_server_request_duration_seconds_count"


@app.get("/orders/<int:order>")
def order(order):
    with tracer.start_as_current_span("look up"):
        return str(order)


@pytest.mark.parametrize("orders", [1, 2])
def test_orders(telemetry, orders):
    for order in range(orders):
        app.test_client().get(f"/orders/{order}").close()

    assert telemetry.value(COUNT, http_route="/orders/<int:order>") == orders
    assert [span.name for span in telemetry.spans] == ["look up", "GET /orders/<int:order>"] * orders
    own, request = telemetry.spans[:2]
    assert own.parent == request.context


def test_without_it():
    assert app.test_client().get("/orders/1").text == "1"
"""


def test_each_test_sees_its_own_requests(tmp_path: Path) -> None:
    """Metrics and spans, the service's own included; and a test without the fixture works as before."""
    (tmp_path / "test_service.py").write_text(SERVICE)
    environ = {"PATH": os.environ["PATH"], "OTEL_METRICS_EXPORTER": "none"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
