"""Server spans: the stable HTTP conventions through the OpenTelemetry API, so that users' and contrib's spans nest.

Whose provider: the service's own, if it set one; else, when an exporter is configured, one made here (lean if it is
OTLP over HTTP, the SDK's for any other); else there is no tracing, and it costs nothing.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from quarterdeck_instrumentation import current, declarative, providers
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import OTHER_METHOD, SERVER_ERROR, method_label
from quarterdeck_instrumentation.server_attributes import PATH, facts, of_outcome, of_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from quarterdeck_instrumentation.exemplars import Sighting
    from quarterdeck_instrumentation.server_attributes import Facts, Outcome
    from quarterdeck_instrumentation.settings import Settings

_NAME = "quarterdeck.instrumentation"
"""Name of the instrumentation scope."""


class _Headers(Getter[Any]):
    """Reads W3C headers from pairs of bytes as an ASGI scope has them, or a mapping; names there are lower case."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        name = key.lower().encode("latin-1")
        found = [value.decode("latin-1") for header, value in _pairs(carrier) if header == name]
        return found or None

    def keys(self, carrier: Any) -> list[str]:
        return [header.decode("latin-1") for header, _ in _pairs(carrier)]


def _pairs(carrier: Any) -> Any:
    return carrier.items() if hasattr(carrier, "items") else carrier


_GETTER = _Headers()


class ServerSpan:
    """The span of one request, current while the application runs."""

    __slots__ = ("_method", "_span", "_token")

    def __init__(self, span: Any, token: Token[Context] | None, method: str) -> None:
        self._span = span
        self._token = token
        self._method = method

    def end(self, outcome: Outcome) -> None:
        """End the span: what it was called, how it ended."""
        route, status, error, _ = outcome
        span = self._span
        if span.is_recording():
            if route is not None:
                span.update_name(f"{self._method} {route}")
            span.set_attributes(of_outcome(outcome))
            if error or (status is not None and status >= SERVER_ERROR):
                span.set_status(StatusCode.ERROR)
        span.end()

    def leave(self) -> None:
        """Make current again what was before; in the task that began the span."""
        token, self._token = self._token, None
        if token is not None:
            try:
                token.var.reset(token)
            except ValueError:
                pass  # a generator or coroutine that was closed elsewhere: nothing was made current there
            except AttributeError:  # not Python's own context variables
                context.detach(token)

    def exemplar(self, value: float, timestamp: float) -> Sighting | None:
        """Return *value* with this trace's identity, if the trace is kept."""
        span = self._span
        if not span.is_recording():
            return None
        own = span.get_span_context()
        if not own.trace_flags.sampled:
            return None
        return (value, timestamp, own)


class _LeanServerSpan(ServerSpan):
    """The same, of a span that is known to be lean."""

    __slots__ = ()

    def end(self, outcome: Outcome) -> None:
        self._span.finish(self._method, outcome)

    def exemplar(self, value: float, timestamp: float) -> Sighting | None:
        return (value, timestamp, self._span.identity)


class _UnsampledServerSpan(ServerSpan):
    """The same, of a span that is known not to be kept."""

    __slots__ = ()

    def end(self, outcome: Outcome) -> None:
        """Forget it."""

    def exemplar(self, value: float, timestamp: float) -> Sighting | None:
        del value, timestamp
        return None


class CallSpan(ServerSpan):
    """The span of one remote procedure call; current wherever parts of it run, one after the other."""

    __slots__ = ("_context",)

    def __init__(self, span: Any, within: Context) -> None:
        super().__init__(span, None, "")
        self._context = within

    def enter(self) -> ServerSpan:
        """Make it current, until what is returned is left."""
        return ServerSpan(self._span, context.attach(self._context), "")

    def close(self, attributes: dict[str, str], *, failed: bool) -> None:
        """End the span: how the call ended."""
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracing:
    """Makes server spans with one tracer."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider
        self._gave_up = False
        self._tracer = provider.get_tracer(_NAME)
        self._lean = getattr(self._tracer, "start_server_span", None)
        providers.readable(os.environ)
        from opentelemetry import propagate  # noqa: PLC0415 -- at import it raises on what was just taken away

        self._extract = propagate.extract
        fields = sorted(field.lower() for field in propagate.get_global_textmap().fields)
        self._fields = tuple(field.encode("latin-1") for field in fields)
        self.variables = tuple("HTTP_" + field.upper().replace("-", "_") for field in fields)
        """Headers that say what a request is a part of, as CGI and WSGI name them."""

    def request(self, scope: Mapping[str, Any]) -> ServerSpan:
        """Begin the span of an HTTP request or a WebSocket, child of what its headers say."""
        headers = scope["headers"]
        found = headers if hasattr(headers, "items") else dict(headers)
        # What extracting from nothing gives is an empty context, for a tenth of it.
        parent = None
        for field in self._fields:
            if field in found:
                parent = self.parent(headers)
                break
        sent = scope.get("method", "GET")
        return self.received(facts(scope, method_label(sent), sent, found), scope["path"], parent)

    def parent(self, headers: Any) -> Context:
        """Return what *headers* say of what a request is a part of: pairs of bytes, or a mapping of them."""
        return self._extract(headers, getter=_GETTER)

    def received(self, what: Facts, path: str, parent: Context | None) -> ServerSpan:
        """Begin the span of an HTTP request or a WebSocket, and make it current.

        Args:
            what: what is known of it.
            path: what it asks for.
            parent: what it is a part of; None: of nothing.
        """
        method = what[0]
        name = "HTTP" if method == OTHER_METHOD else method
        span = self._lean(name, parent, what, path) if self._lean is not None else None
        kind = ServerSpan
        if span is None:
            attributes = {**of_request(what), PATH: path}
            span = self._tracer.start_span(name, parent or Context(), SpanKind.SERVER, attributes)
        else:
            kind = _LeanServerSpan if span.is_recording() else _UnsampledServerSpan
        token = current.attach(Context({**parent, current.SPAN: span} if parent else {current.SPAN: span}))
        return kind(span, token, name)

    def call(self, name: str, attributes: dict[str, str], headers: list[tuple[bytes, bytes]]) -> CallSpan:
        """Begin the span of a remote procedure call, child of what its *headers* say; it is not current yet."""
        parent = self._extract(headers, getter=_GETTER) or Context()
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        return CallSpan(span, trace.set_span_in_context(span, parent))

    def begin_flush(self, seconds: float) -> None:
        """Begin to send what is queued, if the provider is lean; returns at once, and a flush should follow."""
        provider: Any = self._provider
        if getattr(provider, "lean", False):
            provider.sender.begin_flush(seconds)

    def flush(self, seconds: float) -> None:
        """Send what is queued, and wait for that no longer than *seconds*, whatever the exporter does.

        A collector that did not answer in time once is not waited for again: the server may ask twice.
        """
        flush = getattr(self._provider, "force_flush", None)
        if flush is None:
            return
        timeout = 1 if self._gave_up else max(1, int(seconds * 1000))
        if getattr(self._provider, "lean", False):
            self._gave_up = not flush(timeout)  # which keeps to it, and counts each span
            return
        if self._gave_up:
            return
        done = threading.Event()

        def run() -> None:
            try:
                flush(timeout)
            except Exception as error:  # noqa: BLE001 -- anybody's processor
                failed("traces", "a span processor could not be flushed", error)
            finally:
                done.set()

        try:
            threading.Thread(target=run, name="quarterdeck-flush", daemon=True).start()
        except RuntimeError:
            run()  # the interpreter is ending and starts no more threads: the exporter's own timeout has to do
        if not done.wait(seconds):
            self._gave_up = True
            failed("traces", f"the last spans could not be sent within {seconds:g} s")


def suppressed() -> ServerSpan:
    """Make an unsampled span current, so that nothing below it is traced; and have instrumentors measure nothing."""
    nowhere = NonRecordingSpan(SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT)))
    silent = context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True, trace.set_span_in_context(nowhere))
    return ServerSpan(nowhere, context.attach(silent), "")


def start(settings: Settings) -> Tracing | None:
    """Return what makes spans, or None when nobody wants any."""
    declarative.apply(os.environ)
    provider = trace.get_tracer_provider()
    if not isinstance(provider, trace.ProxyTracerProvider):
        return None if isinstance(provider, trace.NoOpTracerProvider) else Tracing(provider)
    ours = providers.make(settings, os.environ)
    if ours is None:
        return None
    trace.set_tracer_provider(ours)
    return Tracing(ours)
