"""The lean provider is the SDK's to whoever asks, without the SDK being imported before somebody else has done so."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Collector

BEGUN = """
import sys
import quarterdeck_instrumentation.auto
from opentelemetry import trace

tracer = trace.get_tracer("users")
with tracer.start_as_current_span("one") as span:
    span.add_event("begun")
    span.record_exception(ValueError())
provider = trace.get_tracer_provider()
assert provider.lean and not any(name.startswith("opentelemetry.sdk.trace") for name in sys.modules)
"""
ASKED = {
    "its class": "from opentelemetry.sdk.trace import TracerProvider; assert isinstance(provider, TracerProvider)",
    "its resource": "assert provider.resource.attributes['service.name'] == 'checkout'",
    "its sampler": "assert provider.sampler.get_description().startswith('ParentBased')",
    "what is private": "assert provider._active_span_processor._span_processors == ()",
}
PROCESSED = """
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
seen = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(seen))
with tracer.start_as_current_span("two"):
    pass
assert [span.name for span in seen.get_finished_spans()] == ["two"]
assert not provider.lean
"""
AT_ONCE = """
import threading
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
failed = []
def choose():
    together.wait()
    try:
        provider.sampler = ALWAYS_ON
    except BaseException as error:
        failed.append(error)
together = threading.Barrier(4)
threads = [threading.Thread(target=choose) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed and not provider.lean
tracer.start_span("two").end()
"""
DETECTED = """
from opentelemetry.sdk import resources
class Detector(resources.OTELResourceDetector):
    def detect(self):
        with tracer.start_as_current_span("detecting") as span:
            assert span.resource.attributes["service.name"] == "checkout"
        return super().detect()
resources.OTELResourceDetector = Detector
from opentelemetry.sdk.trace import TracerProvider
assert isinstance(provider, TracerProvider)
assert provider.resource.attributes["service.name"] == "checkout"
"""
METRICS = """
from opentelemetry.sdk.resources import Resource
print(Resource.create().attributes["service.instance.id"])
"""


def run(code: str, collector: Collector, **variables: str) -> str:
    """Return what a process printed that was instrumented and ran *code*; it posts to *collector*."""
    environ = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "checkout",
        "QUARTERDECK_FLUSH_TIMEOUT": "10",  # a collector that answers does so late on a busy machine
        **variables,
    }
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("asked", ASKED)
def test_it_is_the_sdks_and_lean_still(asked: str, collector: Collector) -> None:
    """Whatever of it is asked for first, after spans were made; and these are sent."""
    run(f"{BEGUN}{ASKED[asked]}\nassert provider.lean\ntracer.start_span('two').end()\n", collector)

    assert collector.names() == ["one", "two"]


def test_a_processor_sees_all_spans_from_then_on(collector: Collector) -> None:
    """The SDK makes them, and they are sent as before."""
    run(BEGUN + PROCESSED, collector)

    assert collector.names() == ["one", "two"]


def test_several_threads_that_need_the_sdk_have_spans_sent_once(collector: Collector) -> None:
    """Each once had them sent, where all had asked before the first was answered."""
    run(BEGUN + AT_ONCE, collector)

    assert collector.names() == ["one", "two"]


def test_a_detector_that_makes_spans_is_not_waited_for_for_ever(collector: Collector) -> None:
    """The SDK waits for its threads while the provider becomes the SDK's; they once waited for that."""
    run(BEGUN + DETECTED, collector)

    assert sorted(collector.names()) == ["detecting", "one"]


@pytest.mark.parametrize("code", [METRICS + BEGUN.replace("and not any", "or any"), BEGUN + METRICS])
def test_spans_and_the_sdks_metrics_are_of_one_instance(code: str, collector: Collector) -> None:
    """Whichever of the two is there first."""
    printed = run(f"import quarterdeck_instrumentation.auto\n{code}", collector)

    (resource,) = {
        pair.value.string_value
        for post in collector.posts
        for pair in post.resource_spans[0].resource.attributes
        if pair.key == "service.instance.id"
    }
    assert printed == f"{resource}\n"


def test_the_resource_is_what_the_sdk_makes(collector: Collector) -> None:
    """From the same variables, with each attribute that it would find."""
    said = {"OTEL_RESOURCE_ATTRIBUTES": "team=shop,region=eu%20west,service.name=other,half"}
    compared = (
        "from quarterdeck_instrumentation.spans.resource import Resource as Ours\n"
        "import logging, os\n"
        "logging.disable()\n"
        "ours = Ours(os.environ)\n"
        "import quarterdeck_instrumentation.auto\n"
        "from opentelemetry.sdk.resources import Resource\n"
        "assert dict(Resource.create().attributes) == ours.attributes\n"
        "assert Resource.create().schema_url == ours.schema_url\n"
    )

    run(compared, collector, **said)
    run(compared, collector, **said, OTEL_SERVICE_NAME="")
    run(compared, collector, OTEL_SERVICE_NAME="")
