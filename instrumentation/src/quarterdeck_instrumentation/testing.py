"""For tests of instrumented services: what was recorded in this process, and any `/metrics` page, as plain objects."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_instrumentation import runtime as runtime_
from quarterdeck_instrumentation.exposition.collector import Collector
from quarterdeck_instrumentation.exposition.page import Format, render
from quarterdeck_instrumentation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

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
