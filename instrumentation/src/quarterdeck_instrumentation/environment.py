"""Variables that are neither a field of `Settings` nor of the collector's `Target`: who reads them is said here."""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """What a variable is without being set, and what it says."""

    default: str
    meaning: str


VARIABLES: dict[str, Variable] = {
    "OTEL_SDK_DISABLED": Variable("false", "`true`: nothing at all is done."),
    "QUARTERDECK_ENABLED": Variable("true", "`false`: nothing at all is done."),
    "OTEL_CONFIG_FILE": Variable(
        "",
        "A file of OpenTelemetry's declarative configuration, read where `opentelemetry-configuration` is installed. "
        "It comes after what the service chose in code and before `QUARTERDECK_` variables; other `OTEL_` variables "
        "are then not asked. One that cannot be used is said once, and the environment is asked.",
    ),
    "QUARTERDECK_METRICS_DIR": Variable(
        "/dev/shm",  # noqa: S108 -- told, not used
        "Where workers share their values; the temporary folder where there is no `/dev/shm`.",
    ),
    "OTEL_SERVICE_NAME": Variable("unknown_service", "`service.name` of the resource."),
    "OTEL_RESOURCE_ATTRIBUTES": Variable("", "Other attributes of the resource: `name=value`, separated by commas."),
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": Variable("otel", "Detectors of resource attributes that the SDK runs."),
    "OTEL_EXPORTER_OTLP_PROTOCOL": Variable(
        "http/protobuf",
        "`http/protobuf`: the lean path posts. `grpc`: the SDK makes the spans, and `opentelemetry-exporter-otlp-proto-"
        "grpc` has to be installed.",
    ),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": Variable("", "The same for spans alone; it goes before the general one."),
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": Variable(
        "", "The same for metrics; they are pushed by `http/protobuf` alone."
    ),
    "OTEL_PYTHON_METER_PROVIDER": Variable("", "Entry point of the meter provider, in place of ours."),
    "OTEL_PYTHON_TRACER_PROVIDER": Variable("", "Entry point of the tracer provider, in place of ours."),
    "OTEL_TRACES_SAMPLER": Variable(
        "parentbased_always_on",
        "Which traces are kept. On the lean path: `always_on`, `always_off`, `traceidratio`, and "
        "`quarterdeck_ratelimited`, which keeps so many traces a second in each worker; each also with `parentbased_` "
        "before it, which has a parent decide. Any other name is an entry point of `opentelemetry_traces_sampler` "
        "(`jaeger_remote`, `xray`), and has the SDK make the spans.",
    ),
    "OTEL_TRACES_SAMPLER_ARG": Variable(
        "1, or 10",
        "The ratio from 0 to 1, or the traces a second; for another package's sampler what it says.",
    ),
    "OTEL_PYTHON_ID_GENERATOR": Variable(
        "random",
        "Who makes ids; another than `random` is an entry point of `opentelemetry_id_generator`, and has the SDK make "
        "the spans.",
    ),
    "OTEL_PROPAGATORS": Variable(
        "tracecontext,baggage",
        "How a trace goes on over the network; others than these are entry points of `opentelemetry_propagator`, and "
        "one that is not installed is left out.",
    ),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": Variable("128", "Attributes of a span; below 32 the SDK makes the spans."),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": Variable(
        "none",
        "Characters of an attribute's text; with a limit the SDK makes the spans.",
    ),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": Variable("128", "Events of a span."),
    "OTEL_SPAN_LINK_COUNT_LIMIT": Variable("128", "Links of a span."),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": Variable("128", "Attributes of an event."),
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": Variable("128", "Attributes of a link."),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": Variable("128", "Attributes of anything that has no limit of its own."),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": Variable("none", "Characters of any text that has no limit of its own."),
    "OTEL_SEMCONV_STABILITY_OPT_IN": Variable(
        "http,database",
        "Which conventions OpenTelemetry's own instrumentors follow: the stable ones, unless this says otherwise. Ours "
        "have no others.",
    ),
    "OTEL_PYTHON_DISTRO": Variable("", "`quarterdeck`: what `opentelemetry-instrument` starts."),
    "OTEL_PYTHON_CONFIGURATOR": Variable("", "`quarterdeck`: likewise."),
}
"""By name."""
