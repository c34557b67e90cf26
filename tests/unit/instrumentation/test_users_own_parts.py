"""What a service brings itself (processors, samplers, propagators, exporters, ids, limits) works as with the SDK.

Where the lean path lacks something the SDK makes the spans, and why is known.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from quarterdeck_instrumentation import failures, providers
from quarterdeck_instrumentation.doctor.facts import Stage
from quarterdeck_instrumentation.doctor.reach import reach
from quarterdeck_instrumentation.providers import Plan, make, plan
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.target import Target, read
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Collector

OTLP = Settings(traces_exporters=("otlp",))


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets variables; begin with none of OpenTelemetry's, and nothing said."""
    failures.forget()
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)

    def setting(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return setting


@pytest.fixture
def posting(environ: Callable[..., None], collector: Collector) -> Callable[..., LeanProvider]:
    """Return a function that makes a provider which posts to a collector, with variables that are set."""

    def making(**variables: str) -> LeanProvider:
        environ(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}", **variables)
        made = make(OTLP, os.environ)
        assert isinstance(made, LeanProvider)
        return made

    return making


@pytest.mark.parametrize(
    ("exporters", "variables", "planned"),
    [
        (("otlp",), {}, Plan(lean=True, exporters=(), why=())),
        (("otlp",), {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, Plan(lean=True, exporters=(), why=())),
        (("otlp",), {"OTEL_TRACES_SAMPLER": "quarterdeck_ratelimited"}, Plan(lean=True, exporters=(), why=())),
        (
            ("otlp",),
            {"OTEL_TRACES_SAMPLER": "xray", "OTEL_PYTHON_ID_GENERATOR": "xray"},
            Plan(
                lean=True,
                exporters=(),
                why=("the sampler xray is another package's", "the id generator xray is another package's"),
            ),
        ),
        (
            ("otlp",),
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            Plan(lean=False, exporters=("otlp_proto_grpc",), why=("the exporter otlp_proto_grpc is the SDK's",)),
        ),
        (
            ("otlp", "console"),
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            Plan(lean=True, exporters=("console",), why=("the exporter console is the SDK's",)),
        ),
        (("console",), {}, Plan(lean=False, exporters=("console",), why=("the exporter console is the SDK's",))),
        (
            ("declarative",),
            {},
            Plan(lean=False, exporters=(), why=("OTEL_CONFIG_FILE describes the SDK's provider",)),
        ),
    ],
)
def test_who_makes_the_spans_is_decided_from_what_is_asked_for(
    exporters: tuple[str, ...], variables: dict[str, str], planned: Plan
) -> None:
    """And why the SDK does, where it does."""
    assert plan(Settings(traces_exporters=exporters), variables) == planned
    assert failures.counts() == {}


def test_a_protocol_that_nobody_speaks_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """And protobuf over HTTP used."""
    assert plan(OTLP, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}).lean
    assert "expected http/protobuf or grpc; found http/json; http/protobuf is used" in caplog.text


def test_the_provider_is_the_sdks_to_whoever_asks(posting: Callable[..., LeanProvider], collector: Collector) -> None:
    """Its class, resource, tracers with version, schema and attributes, flush and shutdown."""
    provider = posting(OTEL_SERVICE_NAME="checkout", OTEL_RESOURCE_ATTRIBUTES="team=shop,region=eu%20west")

    assert isinstance(provider, TracerProvider)
    assert provider.resource.attributes["service.name"] == "checkout"
    assert provider.resource.attributes["region"] == "eu west"
    tracer = provider.get_tracer("users", "1.2", "https://example.test/1", {"a": 1})
    assert provider.get_tracer("users") is provider.get_tracer("users")
    tracer.start_span("one").end()
    assert provider.force_flush()
    assert collector.names() == ["one"]
    tracer.start_span("two").end()
    provider.shutdown()
    assert collector.names() == ["one", "two"]
    (scope,) = collector.posts[0].resource_spans[0].scope_spans
    assert (scope.scope.name, scope.scope.version, scope.schema_url) == ("users", "1.2", "https://example.test/1")
    assert provider.lean


class Stubborn(SpanProcessor):
    """Flushes nothing, and says so, or raises."""

    def __init__(self, *, raises: bool) -> None:
        self._raises = raises

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Say no."""
        if self._raises:
            raise LookupError("not now")
        return False


@pytest.mark.parametrize("raises", [False, True])
def test_a_processor_that_does_not_flush_keeps_nothing_back(
    posting: Callable[..., LeanProvider],
    collector: Collector,
    raises: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """Spans of ours are sent first; where a processor says no or raises, they once stayed until they were lost."""
    provider = posting()
    provider.add_span_processor(Stubborn(raises=raises))
    provider.get_tracer("users").start_span("one").end()

    Tracing(provider).flush(20.0)

    assert collector.names() == ["one"]
    said = [("traces", "a span processor could not be flushed (LookupError: not now)")] if raises else []
    assert failures.said() == said


def test_resource_detectors_run(
    posting: Callable[..., LeanProvider], collector: Collector, install: Callable[..., None]
) -> None:
    """Those of other packages, by their entry points."""
    code = (
        "from opentelemetry.sdk.resources import Resource, ResourceDetector\n"
        "class Detector(ResourceDetector):\n"
        "    def detect(self):\n"
        "        return Resource({'rack': 7})\n"
    )
    install("rack", code, opentelemetry_resource_detector={"rack": "rack:Detector"})

    provider = posting(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="rack")
    provider.get_tracer("users").start_span("one").end()

    assert provider.force_flush()
    attributes = collector.posts[0].resource_spans[0].resource.attributes
    assert {pair.key: pair.value.int_value for pair in attributes}["rack"] == 7


def test_an_id_generator_of_another_package(posting: Callable[..., LeanProvider], install: Callable[..., None]) -> None:
    """It is asked for every id, by the SDK."""
    code = (
        "from opentelemetry.sdk.trace.id_generator import RandomIdGenerator\n"
        "class Dated(RandomIdGenerator):\n"
        "    def generate_trace_id(self):\n"
        "        return 0xDA7ED\n"
    )
    install("dated", code, opentelemetry_id_generator={"dated": "dated:Dated"})

    provider = posting(OTEL_PYTHON_ID_GENERATOR="dated")

    assert provider.get_tracer("users").start_span("one").get_span_context().trace_id == 0xDA7ED
    assert (provider.lean, provider.why) == (False, "Dated makes the ids")


def test_an_id_generator_that_is_not_installed_is_said(
    posting: Callable[..., LeanProvider], caplog: pytest.LogCaptureFixture
) -> None:
    """And ids are random, on the lean path."""
    assert posting(OTEL_PYTHON_ID_GENERATOR="xray").lean
    assert "OTEL_PYTHON_ID_GENERATOR: expected an installed one; found xray; random is used" in caplog.text


@pytest.mark.parametrize(("name", "value"), [("sampler", ALWAYS_OFF), ("id_generator", RandomIdGenerator())])
def test_what_a_service_sets_on_the_provider_is_asked(
    posting: Callable[..., LeanProvider], name: str, value: object
) -> None:
    """The SDK makes the spans from then on, as its own provider would."""
    provider = posting()

    setattr(provider, name, value)

    assert not provider.lean
    assert provider.why.startswith(f"{name} was set to ")
    assert getattr(provider, name) is value
    assert provider.get_tracer("later").start_span("one").is_recording() is (value is not ALWAYS_OFF)


def test_a_sampler_of_another_package_has_the_sdk_make_the_spans(
    posting: Callable[..., LeanProvider], collector: Collector, install: Callable[..., None]
) -> None:
    """And what it keeps is posted as before."""
    code = "from opentelemetry.sdk.trace.sampling import ALWAYS_ON\nmake = lambda text: ALWAYS_ON"
    install("remote", code, opentelemetry_traces_sampler={"remote": "remote:make"})

    provider = posting(OTEL_TRACES_SAMPLER="remote")
    provider.get_tracer("users").start_span("one").end()

    assert (provider.lean, provider.why) == (False, "the sampler AlwaysOnSampler is the SDK's to ask")
    assert provider.force_flush()
    assert collector.names() == ["one"]


def test_the_rate_is_one_when_the_sdk_takes_over(posting: Callable[..., LeanProvider]) -> None:
    """A processor of the user's changes nothing in which traces are kept."""
    provider, kept = (
        posting(OTEL_TRACES_SAMPLER="quarterdeck_ratelimited", OTEL_TRACES_SAMPLER_ARG="2"),
        InMemorySpanExporter(),
    )
    now = time.monotonic()
    provider.sampling._clock = lambda: now  # type: ignore[attr-defined]  # or the bucket fills while the SDK is imported
    tracer = provider.get_tracer("users")

    assert tracer.start_span("lean").is_recording()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for name in ("second", "third", "fourth"):
        tracer.start_span(name).end()

    assert [span.name for span in kept.get_finished_spans()] == ["second"]


def test_an_exporter_of_another_package(environ: Callable[..., None], install: Callable[..., None]) -> None:
    """By its entry point, fed by the SDK, with the sampler that the variables name; its failures are counted."""
    code = (
        "from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult\n"
        "names = []\n"
        "class Exporter(SpanExporter):\n"
        "    def export(self, spans):\n"
        "        names.extend(span.name for span in spans)\n"
        "        return SpanExportResult.FAILURE\n"
    )
    install("elsewhere", code, opentelemetry_traces_exporter={"elsewhere": "elsewhere:Exporter"})
    environ(OTEL_TRACES_SAMPLER="quarterdeck_ratelimited", OTEL_TRACES_SAMPLER_ARG="0.001")  # one, for a long time

    provider = make(Settings(traces_exporters=("elsewhere",)), os.environ)

    assert provider is not None
    assert type(provider) is TracerProvider
    for name in ("one", "two"):
        provider.get_tracer("users").start_span(name).end()
    provider.shutdown()
    import elsewhere  # type: ignore[import-not-found]  # noqa: PLC0415 -- it was installed just now

    assert elsewhere.names == ["one"]
    assert failures.counts() == {"traces": 1}


def test_an_exporter_that_is_missing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """With the package that has it; the service runs without spans."""
    assert make(Settings(traces_exporters=("otlp_proto_http",)), os.environ) is None
    assert "no spans are sent to otlp_proto_http, which opentelemetry-exporter-otlp-proto-http provides" in caplog.text


def test_a_collector_that_speaks_grpc_has_the_sdks_exporter(environ: Callable[..., None]) -> None:
    """Fed by the SDK, with the sampler and the resource that the variables name."""
    environ(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_SERVICE_NAME="checkout", OTEL_TRACES_SAMPLER="always_off")

    provider = make(OTLP, os.environ)

    assert type(provider) is TracerProvider
    assert provider.resource.attributes["service.name"] == "checkout"
    (processor,) = provider._active_span_processor._span_processors
    assert isinstance(processor, BatchSpanProcessor)
    assert type(processor.span_exporter).__module__ == "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"
    assert not provider.get_tracer("users").start_span("one").is_recording()
    provider.shutdown()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "expected a whole number of at least 0; found many; 128 is used"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1", "expected a whole number of at least 0; found -1; none is used"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "", ""),
    ],
)
def test_a_limit_that_the_sdk_would_raise_on_is_said(
    posting: Callable[..., LeanProvider], name: str, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It raises when it is imported, some of them; nothing at all is said of an empty one."""
    provider = posting(**{name: text})

    assert provider.lean
    assert f"{name}: {said}" in caplog.text if said else caplog.text == ""
    assert name not in os.environ


@pytest.mark.parametrize("name", ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"])
def test_texts_are_cut_where_that_is_asked_for(
    posting: Callable[..., LeanProvider], collector: Collector, name: str
) -> None:
    """By the SDK, which knows how."""
    provider = posting(**{name: "3"})

    provider.get_tracer("users").start_span("one", attributes={"a": "123456"}).end()

    assert provider.force_flush()
    assert (provider.lean, provider.why) == (False, "the limits of attributes are not the usual ones")
    (scope,) = collector.posts[0].resource_spans[0].scope_spans
    assert scope.spans[0].attributes[0].value.string_value == "123"


def test_events_and_links_are_limited_on_the_lean_path(
    posting: Callable[..., LeanProvider], collector: Collector
) -> None:
    """The oldest make place, and are counted."""
    provider = posting(
        OTEL_SPAN_EVENT_COUNT_LIMIT="1", OTEL_SPAN_LINK_COUNT_LIMIT="1", OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="1"
    )
    span = provider.get_tracer("users").start_span("one")
    for number in range(3):
        span.add_event(f"event {number}", {"a": 1, "b": 2})
        span.add_link(trace.SpanContext(number + 1, 1, is_remote=False))
    span.end()

    assert provider.force_flush()
    posted = collector.posts[0].resource_spans[0].scope_spans[0].spans[0]
    assert provider.lean
    assert ([event.name for event in posted.events], posted.dropped_events_count) == (["event 2"], 2)
    assert (len(posted.events[0].attributes), posted.events[0].dropped_attributes_count) == (1, 1)
    assert (len(posted.links), posted.dropped_links_count) == (1, 2)


def test_a_service_that_imports_the_propagators_starts_whatever_they_are() -> None:
    """FastAPI does, from 0.165 on, where the API is installed: a name that is missing would end the service."""
    code = "import quarterdeck_instrumentation.auto, opentelemetry.propagate as p; print(p.get_global_textmap().fields)"
    environ = {"PATH": os.environ["PATH"], "OTEL_PROPAGATORS": "no_such,baggage"}

    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "{'baggage'}\n")
    assert "expected installed propagators; found no_such; baggage is used" in done.stderr


def test_propagators_that_are_not_installed_are_left_out(
    install: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """The API would raise when it is imported, and take all instrumentors with it."""
    install("b3", "", opentelemetry_propagator={"b3": "b3:Propagator"})
    wanted = {"OTEL_PROPAGATORS": "b3, jaeger,tracecontext"}
    none_left = {"OTEL_PROPAGATORS": "jaeger"}

    providers.readable(wanted)
    providers.readable(none_left)

    assert wanted == {"OTEL_PROPAGATORS": "b3,tracecontext"}
    assert none_left == {}
    assert "expected installed propagators; found jaeger; b3,tracecontext is used" in caplog.text
    assert "expected installed propagators; found jaeger; tracecontext,baggage is used" in caplog.text


B3 = """
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

class Propagator(TextMapPropagator):
    fields = {"B3"}

    def extract(self, carrier, context=None, getter=None):
        trace_id, span_id, sampled = getter.get(carrier, "b3")[0].split("-")
        flags = TraceFlags(int(sampled))
        above = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(above), context)

    def inject(self, carrier, context=None, setter=None):
        pass
"""
SERVED = """
import flask
from opentelemetry import trace
app = flask.Flask("checkout")

@app.get("/")
def parent():
    return format(trace.get_current_span().get_span_context().trace_id, "x")

for headers in ({"B3": "abc-def-1"}, {"traceparent": f"00-{'5' * 32}-{'6' * 16}-01"}):
    print(app.test_client().get("/", headers=headers).text)
"""


LATE = """
import flask
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import set_tracer_provider
app = flask.Flask("checkout")

@app.get("/<what>")
def serve(what):
    return what

app.test_client().get("/early")
own = TracerProvider(shutdown_on_exit=False)
own.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.attributes["url.path"])))
set_tracer_provider(own)
app.test_client().get("/late")
"""
BURST = """
import threading
import flask
app = flask.Flask("checkout")
together = threading.Barrier(8)

@app.get("/")
def serve():
    return ""

def ask():
    together.wait()
    app.test_client().get("/")

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def served(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run *code*, instrumented, without a page."""
    command = [sys.executable, "-c", "import quarterdeck_instrumentation.auto\n" + code]
    patient = {"QUARTERDECK_FLUSH_TIMEOUT": "10"}  # a collector that answers does so late on a busy machine
    environ = {"PATH": os.environ["PATH"], "OTEL_METRICS_EXPORTER": "none", **patient, **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("before", ["none", "otlp"], ids=["no provider before", "ours before"])
def test_a_provider_that_is_set_after_the_first_request_makes_the_spans(before: str, collector: Collector) -> None:
    """A probe may come before a service has set itself up; what was traced until then goes where it would have."""
    endpoint = f"http://127.0.0.1:{collector.port}"

    done = served(LATE, OTEL_TRACES_EXPORTER=before, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "/late")
    assert collector.names() == ([] if before == "none" else ["GET /<what>"])


def test_requests_that_come_together_at_first_have_a_span_each(collector: Collector) -> None:
    """What makes spans is still being made when the others come: they wait for it."""
    done = served(BURST, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")

    assert (done.returncode, done.stderr) == (0, "")
    assert collector.names() == ["GET /"] * 8


def test_another_packages_propagator_carries_the_trace(tmp_path: Path, install: Callable[..., None]) -> None:
    """By the header it names, and by no other; spans have the parent that it finds."""
    install("b3", B3, opentelemetry_propagator={"b3": "b3:Propagator"})
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path / "site-packages"),
        "QUARTERDECK_METRICS_DIR": str(tmp_path),
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_PROPAGATORS": "b3",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "QUARTERDECK_FLUSH_TIMEOUT": "0",
    }
    code = "import quarterdeck_instrumentation.auto\n" + SERVED
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    first, second = done.stdout.split()
    assert first == "abc"
    assert second != "5" * 32


def test_the_target_keeps_to_both_timeouts_and_to_the_queue() -> None:
    """The lesser of the export's and the batch's; a batch is no larger than what may wait."""
    found = read(
        {"OTEL_BSP_EXPORT_TIMEOUT": "2500", "OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "7"}
    )

    assert (found.timeout, found.queue, found.batch) == (2.5, 100, 100)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "expected gzip, deflate or none; found zstd; none is used"),
        (
            {"OTEL_BSP_SCHEDULE_DELAY": "soon"},
            "OTEL_BSP_SCHEDULE_DELAY: expected a number above 0; found soon; 5 is used",
        ),
        (
            {"OTEL_BSP_SCHEDULE_DELAY": "inf"},
            "OTEL_BSP_SCHEDULE_DELAY: expected a number above 0; found inf; 5 is used",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TIMEOUT": "0"},
            "OTEL_EXPORTER_OTLP_TIMEOUT: expected a number above 0; found 0; 10 is used",
        ),
    ],
)
def test_what_the_target_cannot_read_is_said(
    variables: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the default used."""
    assert read(variables) == Target()
    assert said in caplog.text


def test_a_password_in_an_endpoint_is_not_said() -> None:
    """Where the endpoint is none."""
    with pytest.raises(ValueError, match=r"^collector:4317 is no http:// or https:// URL$"):
        read(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "grpc://user:s3cret@collector:4317",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "x://u:p@collector:4317",
            }
        )


def _usage(*, authority: bool) -> x509.KeyUsage:
    """Return what a key is for, which Python 3.13 wants to know."""
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    unused = dict.fromkeys((*others, "decipher_only", "crl_sign"), False)
    return x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, **unused)


class Authority:
    """A certificate authority, and the files of a server's and a client's certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        self.certificate = self._signed(self.name, self.key, authority=True)
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        for whose in ("server", "client"):
            self._issue(whose)

    def _issue(self, whose: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, whose)])
        signed = self._signed(name, key, authority=False)
        (self.folder / f"{whose}.pem").write_bytes(signed.public_bytes(Encoding.PEM))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{whose}.key").write_bytes(private)

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(_usage(authority=authority), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(self.key, SHA256())
        )


@pytest.fixture
def trusting(tmp_path: Path) -> Iterator[tuple[int, list[bytes], Path]]:
    """Serve over TLS to those who show a certificate; yields the port, what was posted, and the folder of files."""
    Authority(tmp_path)
    posted: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name in the class above
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a client without a certificate is meant to fail."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1], posted, tmp_path
        finally:
            server.shutdown()
            thread.join()


def test_spans_are_posted_with_a_certificate_of_ones_own(
    trusting: tuple[int, list[bytes], Path], environ: Callable[..., None]
) -> None:
    """To a collector that trusts nobody without, and is trusted by its authority; the doctor sees the same."""
    port, posted, files = trusting
    environ(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"https://127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(files / "ca.pem"),
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(files / "client.pem"),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=str(files / "client.key"),
    )
    provider = make(OTLP, os.environ)
    assert provider is not None

    provider.get_tracer("users").start_span("one").end()

    assert provider.force_flush(20_000)
    assert len(posted) == 1
    assert reach(read(os.environ), post=True).stage is Stage.DONE
    assert reach(Target(scheme="https", host="127.0.0.1", port=port), post=True).stage is Stage.TLS
    alone = Target(scheme="https", host="127.0.0.1", port=port, certificate=str(files / "ca.pem"))
    assert reach(alone, post=True).stage in (Stage.TLS, Stage.HTTP)  # TLS 1.3 refuses after the handshake
    missing = Target(scheme="https", host="127.0.0.1", port=port, certificate=str(files / "none.pem"))
    assert reach(missing, post=True).stage is Stage.TLS
    assert failures.counts() == {}
