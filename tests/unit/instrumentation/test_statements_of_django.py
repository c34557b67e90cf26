"""A statement of Django's is one span and one measurement, as the driver's instrumentor says them, at less cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import quarterdeck_instrumentation

SCRIPT = """
import json
import sys

if sys.argv[1] == "ours":
    from quarterdeck_instrumentation import activate
    activate()

from opentelemetry import context, metrics, trace
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
tracers, meters = TracerProvider(), MeterProvider([reader])
tracers.add_span_processor(SimpleSpanProcessor(spans))
metrics.set_meter_provider(meters)
SQLite3Instrumentor().instrument(tracer_provider=tracers)

from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
import django
django.setup()
from django.db import DatabaseError, connection

connection.ensure_connection()
proxied = type(connection.connection).__name__
spans.clear()
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE items (name TEXT)")
    cursor.executemany("INSERT INTO items VALUES (%s)", [("a",), ("b",)])
    for _ in range(2):
        cursor.execute("SELECT name FROM items WHERE name = %s", ["a"])
        assert cursor.fetchall() == [("a",)]
    try:
        cursor.execute("SELECT nothing FROM nowhere")
    except DatabaseError:
        pass
    for key in (context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"):
        token = context.attach(context.set_value(key, True))
        cursor.execute("SELECT 'unseen'")
        context.detach(token)

said = [
    [
        span.name, span.kind.name, dict(span.attributes), span.status.status_code.name,
        span.instrumentation_scope.name, [event.name for event in span.events],
    ]
    for span in spans.get_finished_spans()
]
points = [
    [metric.name, dict(point.attributes), point.count]
    for resource in reader.get_metrics_data().resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
    for point in metric.data.data_points
]
print(json.dumps({"proxied": proxied, "spans": said, "points": points}))
"""


def said_by(who: str) -> dict[str, Any]:
    """Return what was recorded of some statements in a process that is instrumented by *who*."""
    source = Path(quarterdeck_instrumentation.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, who],
        env={
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
            "PYTHONPATH": str(source),
            "OTEL_METRICS_EXPORTER": "none",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    recorded: dict[str, Any] = json.loads(done.stdout)
    return recorded


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    """Return what the instrumentor alone records."""
    return said_by("theirs")


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    """Return what is recorded where its proxy was taken off."""
    return said_by("ours")


def test_the_proxy_is_taken_off(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Django has the driver's own connection again."""
    assert (theirs["proxied"], ours["proxied"]) == ("TracedConnectionProxy", "Connection")


def test_spans_are_the_same(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Names, kinds, attributes, statuses and events are the instrumentor's, and each statement has one span."""
    assert len(ours["spans"]) == 5
    assert [span[:3] for span in ours["spans"]] == [span[:3] for span in theirs["spans"]]
    assert ours["spans"] == theirs["spans"]


def test_what_is_suppressed_is_not_seen(ours: dict[str, Any]) -> None:
    """Neither OpenTelemetry's own word for it nor the instrumentors' leaves a statement's span."""
    assert not [span for span in ours["spans"] if "unseen" in span[2]["db.query.text"]]


def test_metrics_are_the_same(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """So are durations and returned rows."""
    assert ours["points"]
    assert sorted(map(str, ours["points"])) == sorted(map(str, theirs["points"]))
