"""For tests of instrumented services: what was recorded in this process, and any `/metrics` page, as plain objects.

A service's tests get it by the pytest fixture `telemetry`; elsewhere `observing` and `recording` do the same.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.exposition.collector import Collector
from quarterdeck_instrumentation.exposition.page import Format, render
from quarterdeck_instrumentation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import TracerProvider

    from quarterdeck_instrumentation.observed import Collect, Span

_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*"'
_LABELS = rf"(?:\{{((?:{_LABEL},?)*)\}})"
_SAMPLE = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*){_LABELS}? (\S+)(?: # {_LABELS} (\S+) (\S+))?$")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Sample:
    """One line of a page."""

    name: str
    labels: dict[str, str]
    value: float
    exemplar: dict[str, str] = field(default_factory=dict)
    """The exemplar's labels, if it has one."""


@dataclass(frozen=True)
class Page:
    """A whole page."""

    samples: list[Sample]
    types: dict[str, str]
    """Metric family → `counter`, `gauge`, `histogram`."""
    units: dict[str, str]
    """Metric family → unit; OpenMetrics only."""

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of all samples called *name* that have at least *labels*; 0 when there are none."""
        return sum(sample.value for sample in self.find(name, **labels))

    def find(self, name: str, **labels: str) -> list[Sample]:
        """Return all samples called *name* that have at least *labels*."""
        return [each for each in self.samples if each.name == name and labels.items() <= each.labels.items()]


def parse(text: str) -> Page:
    """Read a page in either text format.

    Raises:
        ValueError: a line is none of either format.
    """
    page = Page([], {}, {})
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word != "#":
            page.samples.append(_sample(line))
            continue
        kind, _, statement = rest.partition(" ")
        name, _, what = statement.partition(" ")
        if kind == "TYPE":
            page.types[name] = what
        elif kind == "UNIT":
            page.units[name] = what
        elif kind not in ("HELP", "EOF"):
            raise ValueError(f"unknown comment: {line}")
    return page


@contextmanager
def recording(settings: Settings | None = None) -> Iterator[Recording]:
    """Record what instrumented applications do in this process, with no file, thread or port, until the block ends."""
    runtime = runtime_.Runtime(settings or Settings())
    before = runtime_.replace(runtime)
    try:
        yield Recording(runtime)
    finally:
        runtime_.replace(before)


class Recording:
    """What `recording` has recorded so far."""

    def __init__(self, runtime: runtime_.Runtime) -> None:
        self.runtime = runtime

    def text(self, form: Format = Format.PROMETHEUS) -> str:
        """Return the page as it would be shown at this moment."""
        self.runtime.write()
        collector = Collector(None, "own", self.runtime.own_snapshot)
        return "".join(render(*collector.collect(), form))

    def page(self, form: Format = Format.PROMETHEUS) -> Page:
        """Return the page, read."""
        return parse(self.text(form))


class Telemetry:
    """Spans and metrics of one test."""

    def __init__(self, recording: Recording, provider: TracerProvider, spans: list[Span]) -> None:
        self._recording = recording
        self.provider = provider
        """The test's tracer provider: the SDK's, so that a processor can be added to it."""
        self.spans = spans
        """Spans that have ended, in that order: the service's own and those of requests."""

    @property
    def page(self) -> Page:
        """The `/metrics` page at this moment."""
        return self._recording.page()

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of all samples called *name* that have at least *labels*; 0 when there are none."""
        return self.page.value(name, **labels)

    def span(self, name: str) -> Span:
        """Return the one span called *name*.

        Raises:
            AssertionError: there is none such, or several; the message has the names of all.
        """
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise AssertionError(f"expected one span {name!r}; found {[span.name for span in self.spans]}")
        return found[0]


@contextmanager
def observing() -> Iterator[Telemetry]:
    """Record spans and metrics of this process until the block ends, by a tracer provider of its own."""
    from opentelemetry import trace  # noqa: PLC0415 -- who tests metrics alone has no need of it

    from quarterdeck_instrumentation.meters import prometheus, takeover  # noqa: PLC0415 -- likewise
    from quarterdeck_instrumentation.observed import Collect, PerTest  # noqa: PLC0415 -- likewise
    from quarterdeck_instrumentation.tracing import Tracing  # noqa: PLC0415 -- likewise

    failures.forget()
    takeover.begin()
    prometheus.begin_at_zero()
    spans: list[Span] = []
    shared: Any = trace.get_tracer_provider()
    if isinstance(shared, trace.ProxyTracerProvider):
        shared = PerTest()
        trace.set_tracer_provider(shared)
    if isinstance(shared, PerTest):
        provider, leave = shared.begin(spans), shared.end
    else:
        if shared not in _watched:
            _watched[shared] = Collect()
            shared.add_span_processor(_watched[shared])
        provider, collect = shared, _watched[shared]
        collect.spans = spans

        def leave() -> None:
            collect.spans = None

    try:
        with recording() as recorded:
            recorded.runtime.trace_with(Tracing(shared))
            yield Telemetry(recorded, provider, spans)
    finally:
        leave()


_watched: dict[Any, Collect] = {}
"""The service's own providers, with what keeps their spans."""


def _sample(line: str) -> Sample:
    match = _SAMPLE.match(line)
    if match is None:
        raise ValueError(f"not a sample: {line}")
    name, labels, value, exemplar, *_ = match.groups()
    return Sample(name, _pairs(labels), float(value), _pairs(exemplar))


def _pairs(text: str | None) -> dict[str, str]:
    return {name: _ESCAPED.sub(_unescape, value) for name, value in _PAIR.findall(text or "")}


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
