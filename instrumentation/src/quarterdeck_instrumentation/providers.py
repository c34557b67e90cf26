"""Which provider makes the spans, the lean one or the SDK's: decided from what is asked for, then made.

What OpenTelemetry's packages cannot read in the environment they raise on, some at import: here it is said, and
taken out of this process's environment before they see it.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.records import record
from quarterdeck_instrumentation import declarative, plugins
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.spans.limits import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from quarterdeck_instrumentation.settings import Settings
    from quarterdeck_instrumentation.spans.provider import LeanProvider
    from quarterdeck_instrumentation.spans.sender import Post

OTLP = "otlp"
"""The exporter that `OTEL_EXPORTER_OTLP_PROTOCOL` says more about."""
ID_GENERATOR = "OTEL_PYTHON_ID_GENERATOR"
PROPAGATORS = "OTEL_PROPAGATORS"
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Protocols of OTLP → entry point of the exporter that speaks it."""
_HTTP = "http/protobuf"
_STANDARD_SAMPLERS = frozenset(("always_on", "always_off", "traceidratio", "quarterdeck_ratelimited"))


@record(frozen=True, slots=True)
class Plan:
    """Who makes the spans."""

    lean: bool
    """Whether spans are posted by the lean path's own thread."""
    exporters: tuple[str, ...]
    """Entry points of exporters that the SDK's processors feed."""
    why: tuple[str, ...]
    """Why the SDK makes the spans from the beginning; empty: the lean path does."""


def plan(settings: Settings, environ: Mapping[str, str]) -> Plan:
    """Decide who makes the spans."""
    of_otlp = _protocol(environ)
    lean = OTLP in settings.traces_exporters and of_otlp == _HTTP
    done = {declarative.EXPORTER, OTLP} if lean else {declarative.EXPORTER}
    others = [name for name in settings.traces_exporters if name not in done]
    exporters = tuple(_PROTOCOLS[of_otlp] if name == OTLP else name for name in others)
    why = [f"the exporter {name} is the SDK's" for name in exporters]
    if declarative.EXPORTER in settings.traces_exporters:
        why.append(f"{declarative.VARIABLE} describes the SDK's provider")
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler and sampler.removeprefix("parentbased_") not in _STANDARD_SAMPLERS:
        why.append(f"the sampler {sampler} is another package's")
    generator = environ.get(ID_GENERATOR, "").strip()
    if generator not in ("", "random"):
        why.append(f"the id generator {generator} is another package's")
    return Plan(lean, exporters, tuple(why))


def make(settings: Settings, environ: MutableMapping[str, str]) -> LeanProvider | TracerProvider | None:
    """Return a provider for the exporters that are asked for; None when there are none, or none can be loaded."""
    planned = plan(settings, environ)
    exporters = [each for each in map(_exporter, planned.exporters) if each is not None]
    if not (exporters or planned.lean):
        return None
    readable(environ)
    ours = _lean(environ) if planned.lean else _sdk(environ)
    if exporters:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- only tracing services pay

        for exporter in exporters:
            ours.add_span_processor(BatchSpanProcessor(_counting(exporter)))
    return ours


def is_set() -> bool:
    """Say whether there is a global provider, whoever set it."""
    from opentelemetry import trace  # noqa: PLC0415 -- likewise

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def give_way(chosen: Callable[[], None]) -> None:
    """Let the service set a provider of its own later, as it could without us; then *chosen* is called.

    OpenTelemetry refuses a second provider, and tells nobody of the first.
    """
    from opentelemetry import trace  # noqa: PLC0415 -- likewise
    from opentelemetry.util._once import Once  # noqa: PLC0415 -- imported with it

    module: Any = trace
    module._TRACER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001 -- there is no public way, here and below
    choose = module._set_tracer_provider  # noqa: SLF001 -- what the public function, whoever imported it, calls

    @wraps(choose)
    def choosing(*arguments: Any, **named: Any) -> None:
        choose(*arguments, **named)
        chosen()

    module._set_tracer_provider = choosing  # noqa: SLF001 -- likewise


def readable(environ: MutableMapping[str, str]) -> None:
    """Take out of *environ* the limits and propagators that OpenTelemetry's packages would raise on, and say so."""
    for name, default in DEFAULTS.items():
        text = environ.get(name, "").strip().lower()
        if name in environ and not text.isdecimal() and text != "none":
            del environ[name]
            if text:
                failed("settings", f"{name}: expected a whole number of at least 0; found {text}; {default} is used")
    wanted = [word.strip() for word in environ.get(PROPAGATORS, "").split(",") if word.strip()]
    missing = [word for word in wanted if not _is_installed(word)]
    if missing:
        rest = [word for word in wanted if word not in missing]
        used = ",".join(rest)
        if rest:
            environ[PROPAGATORS] = used
        else:
            del environ[PROPAGATORS]
        expected = f"{PROPAGATORS}: expected installed propagators"
        failed("settings", f"{expected}; found {','.join(missing)}; {used or 'tracecontext,baggage'} is used")


def _is_installed(propagator: str) -> bool:
    if propagator.lower() in ("tracecontext", "baggage", "none"):
        return True
    return plugins.is_installed("opentelemetry_propagator", propagator)


def _protocol(environ: Mapping[str, str]) -> str:
    """Return which of OTLP's protocols is asked for; over HTTP in protobuf unless another is."""
    asked = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = (asked or _HTTP).strip().lower()
    if protocol in _PROTOCOLS:
        return protocol
    failed(
        "settings", f"OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf or grpc; found {protocol}; {_HTTP} is used"
    )
    return _HTTP


def _lean(environ: Mapping[str, str]) -> LeanProvider:
    from quarterdeck_instrumentation.spans import provider, sampling, sender, target  # noqa: PLC0415 -- likewise

    to = target.read(environ)

    def connect() -> Post:
        from quarterdeck_instrumentation.spans.post import Poster  # noqa: PLC0415 -- 30 ms, spent in the thread

        return Poster(to)

    queue = sender.Sender(connect, queue=to.queue, batch=to.batch, delay=to.delay, timeout=to.timeout)
    kept = sampling.read(environ)
    return provider.LeanProvider(
        queue,
        kept or sampling.Sampling.everything(),
        sampler=None if kept is not None else sampling.load(environ),
        id_generator=_id_generator(environ),
    )


def _sdk(environ: Mapping[str, str]) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- 50 ms that only tracing services pay

    from quarterdeck_instrumentation.spans import sampling  # noqa: PLC0415 -- likewise

    kept = sampling.read(environ)
    sampler = sampling.load(environ) if kept is None else kept.sampler()
    # Not at exit by the SDK, which waits as long as the exporter likes: the runtime flushes, within its deadline.
    return TracerProvider(sampler=sampler, id_generator=_id_generator(environ), shutdown_on_exit=False)


def _id_generator(environ: Mapping[str, str]) -> IdGenerator | None:
    name = environ.get(ID_GENERATOR, "").strip()
    if name in ("", "random"):
        return None
    try:
        generator: IdGenerator = plugins.load("opentelemetry_id_generator", name)()
    except Exception as error:  # noqa: BLE001 -- not installed, or its own set-up failed
        failed("settings", f"{ID_GENERATOR}: expected an installed one; found {name}; random is used", error)
        return None
    return generator


def _exporter(name: str) -> SpanExporter | None:
    try:
        exporter: SpanExporter = plugins.load("opentelemetry_traces_exporter", name)()
    except Exception as error:  # noqa: BLE001 -- not installed, or its own set-up failed
        package = f"opentelemetry-exporter-{name.replace('_', '-')}"
        failed("traces", f"no spans are sent to {name}, which {package} provides", error)
        return None
    return exporter


def _counting(exporter: Any) -> SpanExporter:
    """Return *exporter* with its failures counted; the SDK only logs them."""
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 -- only tracing services pay for it

    export = exporter.export

    def counted(spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result: SpanExportResult = export(spans)
        if result is not SpanExportResult.SUCCESS:
            failed("traces", "spans could not be sent to the collector")
        return result

    exporter.export = counted  # on the instance: it stays the exporter it was
    counting: SpanExporter = exporter
    return counting
