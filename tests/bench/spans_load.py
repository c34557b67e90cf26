"""Spans of many traces, each spread over three services and as many requests, and the truth about them."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = ("frontend", "checkout", "ledger")
"""Who a trace goes through: the first has its root."""
SPANS = 10
"""Spans of one trace."""
SLOW_SECONDS = 1.0
"""A trace longer than this is slow."""
_TOGETHER = 100
"""Traces whose spans of one service are sent in one request."""
_FAILED, _SLOW = 0.01, 0.01
"""Shares of all traces."""
_ROUTES = tuple(f"/resources/{number}/{{id}}" for number in range(20))


@dataclass(slots=True)
class Truth:
    """What there is to find out about what was sent."""

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Spans by service, name and status, in Prometheus' words."""
    failed: set[bytes] = field(default_factory=set)
    """Ids of traces with a failed span."""
    slow: set[bytes] = field(default_factory=set)
    """Ids of traces that took longer than SLOW_SECONDS."""
    traces: set[bytes] = field(default_factory=set)

    @property
    def must_be_kept(self) -> set[bytes]:
        """Ids of the traces that no sampling may lose."""
        return self.failed | self.slow


def requests(spans: int, seed: int, truth: Truth) -> Iterator[bytes]:
    """Yield encoded requests with *spans* spans in all, and write into *truth* what they say.

    The same *seed* gives the same traces, but for the time.
    """
    chance = random.Random(seed)  # noqa: S311 -- the same traces again, nothing to guess
    for _ in range(0, spans // SPANS, _TOGETHER):
        parts = {service: ExportTraceServiceRequest() for service in SERVICES}
        scopes = {}
        for service, part in parts.items():
            resource = part.resource_spans.add()
            for key, value in (
                ("service.name", service),
                ("service.version", "1.4.2"),
                ("k8s.namespace.name", "shop"),
                ("k8s.pod.name", f"{service}-7d9f5c-x2x4q"),
                ("deployment.environment.name", "test"),
            ):
                resource.resource.attributes.add(key=key).value.string_value = value
            scopes[service] = resource.scope_spans.add()
        for _ in range(_TOGETHER):
            _trace(chance, {service: scope.spans for service, scope in scopes.items()}, truth)
        for part in parts.values():
            yield part.SerializeToString()


def _trace(chance: random.Random, spans: dict[str, object], truth: Truth) -> None:
    trace_id = chance.randbytes(16)
    kind = chance.random()
    failed = chance.randrange(1, SPANS) if kind < _FAILED else None
    slow = _FAILED <= kind < _FAILED + _SLOW
    lasted = int((chance.uniform(1.2, 4) if slow else chance.uniform(0.01, 0.5)) * 1e9)
    began = time.time_ns() - lasted
    root = chance.randbytes(8)
    for number in range(SPANS):
        service = SERVICES[number % len(SERVICES)]
        route = _ROUTES[chance.randrange(len(_ROUTES))]
        span: Span = spans[service].add(  # type: ignore[attr-defined]  # a repeated field of spans
            trace_id=trace_id,
            span_id=chance.randbytes(8) if number else root,
            parent_span_id=root if number else b"",
            name=f"GET {route}",
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=began + number,
            end_time_unix_nano=began + (lasted if number == 0 else lasted * (number + 1) // (2 * SPANS)),
        )
        for key, value in (
            ("http.request.method", "GET"),
            ("http.route", route),
            ("url.path", f"/resources/{number}/81246"),
            ("url.scheme", "http"),
            ("server.address", "shop.example.org"),
            ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"),
            ("network.protocol.version", "1.1"),
        ):
            span.attributes.add(key=key).value.string_value = value
        span.attributes.add(key="http.response.status_code").value.int_value = 500 if number == failed else 200
        status = "STATUS_CODE_UNSET"
        if number == failed:
            span.status.code = Status.STATUS_CODE_ERROR
            status = "STATUS_CODE_ERROR"
        truth.calls[service, span.name, status] += 1
    truth.traces.add(trace_id)
    if failed is not None:
        truth.failed.add(trace_id)
    if slow:
        truth.slow.add(trace_id)
