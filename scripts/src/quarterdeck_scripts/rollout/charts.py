"""Line charts as inline SVG: no script, no outside resource, colours from the page's own variables. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from quarterdeck_dashboards.axis import ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WIDTH, HEIGHT = 760, 300
"""Size of the drawing, in its own units; the page scales it."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 96, 14, 44
"""Margins: the left for the axis, the right for the names at the lines' ends."""

_LABEL_GAP = 15
"""Least distance between two names at the lines' ends."""

_DOTTED = 30
"""Up to this many points each is marked: a line of two or three says little by itself."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    style: str
    """Its CSS class: `canary`, `stable` or `allowed`."""
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two curves over the same times: what a value is known to be within."""

    low: tuple[Point, ...]
    high: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, and what its axes say."""

    title: str
    """Read out by screen readers."""
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    format_y: Callable[[float], str]
    band: Band | None = None
    floor: float = 0.0
    """The vertical axis reaches at least here, so that a chart of zeros has a scale."""


def draw(chart: Chart) -> str:
    """Return *chart* as an SVG element."""
    points = [point for line in chart.lines for point in line.points]
    right = max((x for x, _ in points), default=1.0) or 1.0
    top = max([chart.floor, *(y for _, y in points)]) * 1.15 or 1.0
    scale = _Scale(right, top)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}" class="chart">',
        f"<title>{escape(chart.title)}</title>",
        *_grid(chart, scale),
    ]
    if chart.band:
        parts.append(_band(chart.band, scale))
    parts += [_polyline(line, scale) for line in chart.lines if line.points]
    parts += _names(chart, scale)
    parts.append("</svg>")
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    right: float
    top: float

    def x(self, value: float) -> float:
        return _LEFT + value / self.right * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - min(value, self.top) / self.top * (HEIGHT - _TOP - _BOTTOM)


def _grid(chart: Chart, scale: _Scale) -> Iterator[str]:
    base = HEIGHT - _BOTTOM
    for value in ticks(0.0, scale.top, 5):
        y = scale.y(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{chart.format_y(value)}</text>'
    for value in ticks(0.0, scale.right, 8):
        x = scale.x(value)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 5}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{base + 19}" text-anchor="middle">{value:g}</text>'
    yield f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield f'<text class="label" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_label)}</text>'
    y = (_TOP + base) / 2
    turn = f'transform="rotate(-90 14 {y:.0f})"'
    yield f'<text class="label" x="14" y="{y:.0f}" text-anchor="middle" {turn}>{escape(chart.y_label)}</text>'


def _band(band: Band, scale: _Scale) -> str:
    outline = [*band.high, *reversed(band.low)]
    return f'<polygon class="band" points="{_path(outline, scale)}"/>'


def _polyline(line: Line, scale: _Scale) -> str:
    dots = ""
    if len(line.points) <= _DOTTED:
        dots = "".join(
            f'<circle class="dot {line.style}" cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="3"/>'
            for x, y in line.points
        )
    return f'<polyline class="line {line.style}" points="{_path(line.points, scale)}"/>{dots}'


def _path(points: Sequence[Point], scale: _Scale) -> str:
    return " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in points)


def _names(chart: Chart, scale: _Scale) -> Iterator[str]:
    """Name each line at its end, moved apart where lines end together."""
    ends = sorted(((scale.y(line.points[-1][1]), line) for line in chart.lines if line.points), key=lambda end: end[0])
    previous = -math.inf
    lowest = HEIGHT - _BOTTOM + 4 - _LABEL_GAP * len(ends)
    for n, (wanted, line) in enumerate(ends):
        y = min(max(wanted + 4, previous + _LABEL_GAP), lowest + _LABEL_GAP * (n + 1))
        previous = y
        x = scale.x(line.points[-1][0]) + 8
        yield f'<text class="name {line.style}" x="{x:.1f}" y="{y:.1f}">{escape(line.name)}</text>'
