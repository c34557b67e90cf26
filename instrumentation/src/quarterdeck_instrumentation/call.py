"""One remote procedure call while its server measures it: one record, and at most one span.

By the stable conventions for RPC and for gRPC (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/). What a server
alone knows stays with it: when a call has ended, and how.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import ERROR_TYPE, MODULE, RPC_METHOD, RPC_STATUS_CODE, RPC_SYSTEM
from quarterdeck_contract.metrics import RPC_SERVER_DURATION
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import error_type

if TYPE_CHECKING:
    from quarterdeck_instrumentation.runtime import Runtime
    from quarterdeck_instrumentation.tracing import CallSpan, ServerSpan

OTHER_METHOD = "_OTHER"
"""The one value for every method that a service does not have."""
_GRPC = "grpc"
_SERVER_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Status codes that are the server's fault, by the conventions; of all others it is its client's."""


class Call:
    """One call while it is measured: from its making to `record`."""

    __slots__ = ("_method", "_module", "_recorded", "_runtime", "_span", "_started", "error")

    def __init__(self, runtime: Runtime, sent: str, headers: list[tuple[bytes, bytes]], *, known: bool) -> None:
        """Begin to measure.

        Args:
            runtime: this process's telemetry.
            sent: service and method, as sent: `shop.Orders/Get`.
            headers: the call's metadata.
            known: whether the service has such a method.
        """
        self._runtime = runtime
        self._recorded = False
        self._method = sent if known else OTHER_METHOD
        self._module = sent.rpartition("/")[0] if known else ""
        self.error: BaseException | None = None
        """The exception that escaped the method."""
        self._span = self._begin_span(sent, headers)
        self._started = perf_counter()

    def enter(self) -> ServerSpan | None:
        """Make its span current, until what is returned is left; None without tracing."""
        return self._span.enter() if self._span is not None else None

    def record(self, code: str) -> None:
        """Record the call, once, and end its span; never raises.

        Args:
            code: name of the status code that it ended with.
        """
        if self._recorded:
            return
        self._recorded = True
        try:
            seconds = perf_counter() - self._started
            at_fault = code in _SERVER_ERRORS
            kind = "" if not at_fault else code if self.error is None else error_type(self.error)
            registry = self._runtime.registry
            child = registry.distribution(RPC_SERVER_DURATION, _GRPC, self._method, code, kind, self._module)
            bucket = child.observe(seconds)
            exemplar = self._span.exemplar(seconds, time()) if self._span is not None else None
            if exemplar is not None:
                child.exemplars[bucket] = exemplar
            registry.touch()
            if self._span is not None:  # after the metrics: a user's span processor may raise
                attributes = {RPC_STATUS_CODE.name: code}
                self._span.close(attributes | ({ERROR_TYPE.name: kind} if kind else {}), failed=at_fault)
        except Exception as mistake:  # noqa: BLE001 -- ours, not the service's
            failed("requests", "a call could not be recorded", mistake)

    def _begin_span(self, sent: str, headers: list[tuple[bytes, bytes]]) -> CallSpan | None:
        try:
            tracing = self._runtime.tracing()
            if tracing is None:
                return None
            attributes = {RPC_SYSTEM.name: _GRPC, RPC_METHOD.name: self._method}
            if self._method == OTHER_METHOD:
                return tracing.call(_GRPC, {**attributes, "rpc.method_original": sent}, headers)
            return tracing.call(sent, {**attributes, MODULE.name: self._module}, headers)
        except Exception as mistake:  # noqa: BLE001 -- ours, or a user's sampler's or processor's
            failed("traces", "a span could not be begun", mistake)
            return None
