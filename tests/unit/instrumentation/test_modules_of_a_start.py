"""What a service imports for our sake, from its start to its first response and its end: most of what a start costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Collector

BIN = Path(sys.executable).parent
FASTAPI = """
import asyncio
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
def item() -> str:
    return "one"

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    if message["type"] == "http.response.start":
        assert message["status"] == 200

scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http"}
asyncio.run(app({**scope, "asgi": {"version": "3.0"}, "http_version": "1.1", "root_path": ""}, receive, send))
"""
WSGI = """
from wsgiref.util import setup_testing_defaults

environ = {"PATH_INFO": "/", "REQUEST_METHOD": "GET"}
setup_testing_defaults(environ)

def start_response(status, headers, error=None):
    assert status == "200 OK"

body = app(environ, start_response)
assert b"".join(body) == b"one"
body.close()
"""
FLASK = """
from flask import Flask

app = Flask("shop")

@app.get("/")
def item():
    return "one"
"""
DJANGO = """
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="__main__",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

def item(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'one'")
        return HttpResponse(cursor.fetchone()[0])

urlpatterns = [path("", item)]
app = get_wsgi_application()
"""
ENDED = """
import sys
if "quarterdeck_instrumentation.runtime" in sys.modules:
    from quarterdeck_instrumentation import runtime
    runtime.end()
print(*sys.modules)
"""
COSTLY = (
    *("concurrent", "encodings.idna", "email", "gzip", "importlib.metadata", "packaging", "requests", "google"),
    *("opentelemetry.configuration", "opentelemetry.exporter", "opentelemetry.proto", "opentelemetry.sdk.metrics"),
    *("opentelemetry.sdk.resources", "opentelemetry.sdk.trace", "opentelemetry.instrumentation.dependencies"),
    *("opentelemetry.semconv._incubating.attributes.db_attributes", "prometheus_client", "psutil", "yaml"),
)
"""Modules, and packages with all that is in them, of which each takes a millisecond or more, up to fifty."""


def imported(code: str, environ: dict[str, str], *launcher: str | Path) -> set[str]:
    """Return what a service that is run by *launcher* has imported at its end."""
    done = subprocess.run(
        [*launcher, sys.executable, "-c", code + ENDED],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "spans"),
    [(FASTAPI, ["GET /"]), (FLASK + WSGI, ["GET /"]), (DJANGO + WSGI, ["SELECT", "GET /"])],
    ids=["fastapi", "flask", "django"],
)
def test_nothing_costly_is_imported_for_our_sake(
    code: str, spans: list[str], collector: Collector, free_port: int, tmp_path: Path
) -> None:
    """Neither by a start, nor by the first request with its spans, nor by sending these. Django's has contrib's too."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port),
        "QUARTERDECK_METRICS_DIR": str(tmp_path),
        "QUARTERDECK_FLUSH_TIMEOUT": "10",  # a collector that answers does so late on a busy machine
    }

    ours = imported(code, environ, BIN / "quarterdeck-instrument") - imported(code, environ)

    assert collector.names() == spans
    assert sorted(each for each in ours if each.startswith(COSTLY)) == []
    packages = {each.partition(".")[0] for each in ours} - sys.stdlib_module_names
    own = {"quarterdeck_contract", "quarterdeck_instrumentation", "sitecustomize"}
    assert packages - own <= {"opentelemetry", "typing_extensions", "wrapt"}
