"""Every metric label by its OpenTelemetry name, with its meaning. Prometheus spells dots as underscores.

Source of the names: OpenTelemetry semantic conventions, stable HTTP metrics
(https://opentelemetry.io/docs/specs/semconv/http/http-metrics/), and Kubernetes' recommended labels.
"""

from __future__ import annotations

from functools import lru_cache

from quarterdeck_contract.records import record


@record(frozen=True, slots=True)
class Label:
    """A dimension of a metric.

    `name` is the OpenTelemetry attribute; `values` the closed set of values where there is one, else empty.
    """

    name: str
    description: str
    values: tuple[str, ...] = ()

    @property
    def prometheus(self) -> str:
        """The label's name in Prometheus: every character outside `[a-zA-Z0-9_]` becomes an underscore.

        A name that begins with a digit or one underscore has `key_` before it, as Prometheus' OTLP receiver has it.
        """
        return _escaped(self.name)


@lru_cache(maxsize=1024)  # bounded: services have attributes of their own
def _escaped(name: str) -> str:
    """Return a label's name in Prometheus; remembered, because rules of many services ask for few names."""
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    if name[:1].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("_") and not name.startswith("__") else name


HTTP_METHOD = Label(
    "http.request.method",
    "Request method as sent; any method outside the closed set is `_OTHER`.",
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "_OTHER"),
)

HTTP_ROUTE = Label(
    "http.route",
    "The route's template, never the path: `/users/{id}`. A request that no route matches has UNMATCHED_ROUTE.",
)

HTTP_STATUS_CODE = Label("http.response.status_code", "Status code of the response, as sent.")

ERROR_TYPE = Label(
    "error.type",
    "Why the request failed: the status code for 5xx, the exception's qualified name when one escaped. "
    "Empty on success.",
)

URL_SCHEME = Label("url.scheme", "`http` or `https`, as the server saw it.", ("http", "https"))

RPC_SYSTEM = Label("rpc.system.name", "Which kind of remote procedure call: `grpc`.", ("grpc",))

RPC_METHOD = Label(
    "rpc.method",
    "Service and method of a remote procedure call: `shop.Orders/Get`. Any method that the service does not have is "
    "`_OTHER`.",
)

RPC_STATUS_CODE = Label(
    "rpc.response.status_code",
    "Name of the status code that a remote procedure call ended with. Of a server's fault are, by the conventions, "
    "`UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`.",
    (
        *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
        *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
        *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
    ),
)

MODULE = Label(
    "quarterdeck.module",
    "Which part of a modular service the route belongs to, in its framework's own terms: Django's app label, Flask's "
    "blueprint, FastAPI's first tag, gRPC's service, else a mount's name; where a framework has no such parts, the "
    "Python module of the handler. A function of the route, so it adds no series. Empty where it is in no such part.",
)
"""Ours, because the conventions have none: `code.function.name` names the one function, and `service.name` the whole
process, where the question is which of its teams to ask."""

CONTRACT_VERSION = Label("contract_version", "`quarterdeck_contract.VERSION` of the emitting process.")

FAILED_COMPONENT = Label(
    "component",
    "Which part of the instrumentation failed, while the service went on: `hooks` (patching a framework), "
    "`requests` (measuring one), `store` (keeping the values), `page` (serving `/metrics`), `traces` (spans and "
    "their export), `settings` (reading the environment), `vitals` (what the interpreter and the kernel say), "
    "`metrics` (the service's own metrics, and sending any).",
    ("hooks", "requests", "store", "page", "traces", "settings", "vitals", "metrics"),
)

GC_GENERATION = Label("cpython.gc.generation", "Generation that was collected, 2 with all below it.", ("0", "1", "2"))

CONTEXT_SWITCH_TYPE = Label(
    "process.context_switch.type",
    "`voluntary`: the process waited for something; `involuntary`: another process was given the processor.",
    ("voluntary", "involuntary"),
)

POOL = Label(
    "pool",
    "What has slots: `requests` (requests that the server serves at once: gunicorn's worker threads, uvicorn's "
    "`--limit-concurrency`), `threads` (the threads in which anyio, and so Starlette and FastAPI, runs plain "
    "functions). A pool without a limit, or that was never used, has no series.",
    ("requests", "threads"),
)

LOG_SEVERITY = Label(
    "log.severity",
    "How grave, by the short names of OpenTelemetry's log data model: `WARN` is Python's WARNING, `ERROR` its ERROR, "
    "`FATAL` its CRITICAL; a level of one's own belongs to the next lower one.",
    ("WARN", "ERROR", "FATAL"),
)
"""The data model has the field SeverityText, and the conventions no attribute for it."""
LOG_ERRORS = ("ERROR", "FATAL")
"""Severities of errors: what a rollout's guard and a service's dashboard ask for."""

METRIC = Label("metric", "Name of a metric, as OpenTelemetry has it.")

OVERFLOW = Label(
    "otel.metric.overflow",
    "`true` on the one series that takes every label set beyond a metric's limit. It has no other label, and no "
    "metric lists it: a series that has it is a sign that something is wrong.",
    ("true",),
)

# Target labels: put on every series of a scraped pod by service discovery, never by the process itself.

SERVICE = Label("service", "The service's name in the catalogue: the pod's `app.kubernetes.io/name`.")

NAMESPACE = Label("namespace", "The pod's namespace.")

POD = Label("pod", "The pod's name.")

VERSION = Label("version", "The service's version: the pod's `app.kubernetes.io/version`, the image's tag.")

TRACK = Label("track", "Which side of a rollout the pod is on.", ("stable", "canary", "baseline"))

CLUSTER = Label("cluster", "The cluster's name in Quarterdeck's environments: `local`, `prod`, …")

TARGET_LABELS = (CLUSTER, NAMESPACE, SERVICE, POD, VERSION, TRACK)
"""What service discovery adds to every scraped series of a service."""

UNMATCHED_ROUTE = "unmatched"
"""The one value of `http.route` for every request that no route matched, so that scanners add no series."""
