"""A pytest plugin: the fixture `telemetry` is what a test's requests left behind, as plain objects.

Loaded by every pytest run where the package is installed, so nothing else is imported before the fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from quarterdeck_instrumentation.testing import Page, Recording


class Telemetry:
    """Spans and metrics of one test."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.spans: list[ReadableSpan] = []
        """Spans that have ended, in that order: the service's own and those of requests."""

    @property
    def page(self) -> Page:
        """The `/metrics` page at this moment."""
        return self._recording.page()

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of all samples called *name* that have at least *labels*; 0 when there are none."""
        return self.page.value(name, **labels)


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Record what instrumented applications do during the test; no file, no thread, no port, nothing of other tests.

    Spans go through the global tracer provider, the only one that tracers made at import know. If the service set
    one it is used; otherwise one is set, once for the run.
    """
    from quarterdeck_instrumentation import activate, failures  # noqa: PLC0415 -- see the module
    from quarterdeck_instrumentation.testing import recording  # noqa: PLC0415 -- likewise
    from quarterdeck_instrumentation.tracing import Tracing  # noqa: PLC0415 -- likewise

    activate()
    failures.forget()
    provider = _provider()
    with recording() as recorded:
        recorded.runtime.trace_with(Tracing(provider))
        of_this_test = Telemetry(recorded)
        _collected.append(of_this_test.spans)
        try:
            yield of_this_test
        finally:
            _collected.pop()


_collected: list[list[Any]] = []
"""Where ended spans go: the last one."""
_watched: list[Any] = []
"""The provider that has our processor, once there is one."""


def _provider() -> Any:
    """Return the global tracer provider, with its ended spans collected."""
    from opentelemetry import trace  # noqa: PLC0415 -- see the module
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider  # noqa: PLC0415 -- likewise

    class Collect(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if _collected:
                _collected[-1].append(span)

    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    if provider not in _watched:
        provider.add_span_processor(Collect())
        _watched.append(provider)
    return provider
