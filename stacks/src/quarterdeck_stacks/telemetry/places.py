"""Where each program is found in the system namespace: names, ports and URLs, each once."""

from __future__ import annotations

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE

AGENT = "otel-collector-agent"
"""The collector that services send to: one on each node."""
GATEWAY = "otel-collector-gateway"
"""The collector that agents send to: decides which traces are kept, and measures all of them."""
LOG_READER = "otel-collector-log-reader"
"""The collector that reads the log files of a node's containers."""
TEMPO = "tempo"
LOKI = "loki"
THANOS_QUERY = "thanos-query"
THANOS_STORE = "thanos-store"
THANOS_COMPACT = "thanos-compact"
THANOS_RULE = "thanos-rule"

OTLP_GRPC_PORT = 4317
"""OpenTelemetry's registered port of OTLP over gRPC."""
OTLP_HTTP_PORT = 4318
"""OpenTelemetry's registered port of OTLP over HTTP."""
COLLECTOR_METRICS_PORT = 8888
"""A collector's own telemetry, for Prometheus."""
COLLECTOR_HEALTH_PORT = 13133
"""A collector's probes."""
TEMPO_PORT = 3200
LOKI_PORT = 3100
THANOS_GRPC_PORT = 10901
"""Thanos' store API."""
THANOS_HTTP_PORT = 10902
"""Queries, probes and own metrics of each of Thanos' programs."""


def url(name: str, port: int) -> str:
    """Return the base URL of the Service *name* in the system namespace.

    >>> url(TEMPO, TEMPO_PORT)
    'http://tempo.quarterdeck.svc:3200'
    """
    return f"http://{host(name)}:{port}"


def host(name: str) -> str:
    """Return the DNS name of the Service *name* in the system namespace."""
    return f"{name}.{SYSTEM_NAMESPACE}.svc"
