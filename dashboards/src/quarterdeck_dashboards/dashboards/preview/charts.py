"""Lines, stacked bars and heat maps over time as inline SVG: colours are the page's own variables. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from quarterdeck_dashboards.axis import ticks
from quarterdeck_dashboards.dashboards.description import Unit
from quarterdeck_dashboards.dashboards.preview.numbers import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_dashboards.dashboards.description import Panel
    from quarterdeck_dashboards.dashboards.preview.ask import Period

HEIGHT = 190
"""Of a drawing, in its own units: about pixels."""
_COLUMN = 50
"""Width of a panel's column, in the same units."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 22
_DAY = 86_400
COLOURS = 8
"""Colours there are; more lines than that cannot be told apart."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One series, as it is named and drawn."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a value is on the drawing."""

    width: float
    period: Period
    low: float
    high: float

    def x(self, at: float) -> float:
        return _LEFT + (at - self.period.start) / (self.period.end - self.period.start) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def lines(panel: Panel, drawn: Sequence[Line], period: Period) -> str:
    """Return *drawn* over time, with the panel's thresholds where they are near."""
    values = [value for line in drawn for _, value in line.points]
    frame = _frame(panel, values, period)
    parts = [*_grid(frame, panel.unit), *_thresholds(panel, frame)]
    parts += [_path(line, number, frame) for number, line in enumerate(drawn)]
    return _svg(panel, frame, parts)


def bars(panel: Panel, drawn: Sequence[Line], period: Period) -> str:
    """Return *drawn* as areas upon each other."""
    times = sorted({at for line in drawn for at, _ in line.points})
    below = dict.fromkeys(times, 0.0)
    layers = []
    for line in drawn:
        own = dict(line.points)
        above = {at: below[at] + own.get(at, 0.0) for at in times}
        layers.append((below, above))
        below = above
    frame = _frame(panel, list(below.values()), period)
    parts = list(_grid(frame, panel.unit))
    for number, (lower, upper) in enumerate(layers):
        outline = [(at, upper[at]) for at in times] + [(at, lower[at]) for at in reversed(times)]
        points = " ".join(f"{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in outline)
        parts.append(f'<polygon class="area c{number % COLOURS}" points="{points}"/>')
    return _svg(panel, frame, parts)


def heatmap(panel: Panel, buckets: Sequence[tuple[float, Points]], period: Period) -> str:
    """Return a distribution over time.

    Args:
        panel: what is drawn.
        buckets: upper bound, ascending, and the rate of everything up to it.
        period: the times.
    """
    frame = _Frame(_width(panel), period, 0, len(buckets))
    cells = [
        (at, place, max(0.0, value - (dict(buckets[place - 1][1]).get(at, 0.0) if place else 0.0)))
        for place, (_, points) in enumerate(buckets)
        for at, value in points
    ]
    most = max((value for _, _, value in cells), default=0.0) or 1.0
    wide = (frame.x(period.start + period.step) - frame.x(period.start)) + 0.3
    tall = frame.y(0) - frame.y(1)
    parts = [_time_axis(frame)]
    for at, place, value in cells:
        if value > 0:
            box = f'x="{frame.x(at):.1f}" y="{frame.y(place + 1):.1f}" width="{wide:.1f}" height="{tall:.1f}"'
            parts.append(f'<rect class="cell" {box} fill-opacity="{max(0.08, (value / most) ** 0.5):.2f}"/>')
    for place, (bound, _) in enumerate(buckets):
        if place % 2 == 0 and bound != float("inf"):
            y = frame.y(place + 1)
            parts.append(_tick(y, shown(bound, panel.unit)))
    return _svg(panel, frame, parts)


def _frame(panel: Panel, values: Sequence[float], period: Period) -> _Frame:
    low = panel.minimum if panel.minimum is not None else min([0.0, *values])
    high = max(values, default=1.0) if panel.minimum is not None else max([0.0, *values])
    # A threshold is worth its room when it is near; far above the lines it would press them flat.
    near = [step.above for step in panel.thresholds if step.above <= 3 * high]
    high = max([high, *near])
    return _Frame(_width(panel), period, low, (low + (high - low) * 1.12) if high > low else low + 1)


def _width(panel: Panel) -> float:
    return panel.width * _COLUMN - 24


def _svg(panel: Panel, frame: _Frame, parts: Sequence[str]) -> str:
    head = f'<svg class="chart" viewBox="0 0 {frame.width:.0f} {HEIGHT}" role="img" aria-label="{escape(panel.title)}">'
    return "\n".join((head, *parts, "</svg>"))


def _grid(frame: _Frame, unit: Unit) -> Iterator[str]:
    for value in ticks(frame.low, frame.high, 4, binary=unit is Unit.BYTES):
        y = frame.y(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{frame.width - _RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _tick(y, shown(value, Unit.COUNT if unit is Unit.CORES else unit))
    yield _time_axis(frame)


def _tick(y: float, text: str) -> str:
    return f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'


def _time_axis(frame: _Frame) -> str:
    span = frame.period.end - frame.period.start
    pattern = "%d %b" if span > 2 * _DAY else "%H:%M" if span > 600 else "%H:%M:%S"  # noqa: PLR2004 -- ten minutes
    most = max(2, int(frame.width // 130))
    texts = []
    for n in range(most + 1):
        at = frame.period.start + span * n / most
        anchor = "start" if n == 0 else "end" if n == most else "middle"
        text = datetime.fromtimestamp(at, UTC).strftime(pattern)
        x = frame.x(at)
        texts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{text}</text>')
    return "".join(texts)


def _thresholds(panel: Panel, frame: _Frame) -> Iterator[str]:
    for step in panel.thresholds:
        if frame.low < step.above <= frame.high:
            y = frame.y(step.above)
            where = f'x1="{_LEFT}" x2="{frame.width - _RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}"'
            yield f'<line class="limit {step.level.name.lower()}" {where}/>'


def _path(line: Line, number: int, frame: _Frame) -> str:
    """Return a line that is broken where scrapes are missing."""
    style = f"line c{number % COLOURS}" + (" again" if number >= COLOURS else "")
    gap = 2.5 * frame.period.step
    pieces: list[list[str]] = [[]]
    for (at, value), (following, _) in pairwise((*line.points, (line.points[-1][0], 0.0))):
        pieces[-1].append(f"{frame.x(at):.1f},{frame.y(value):.1f}")
        if following - at > gap:
            pieces.append([])
    drawn = [f'<polyline class="{style}" points="{" ".join(piece)}"/>' for piece in pieces if len(piece) > 1]
    drawn += [
        f'<circle class="dot c{number % COLOURS}" cx="{x}" cy="{y}" r="2.5"/>'
        for piece in pieces
        if len(piece) == 1
        for x, y in (piece[0].split(","),)
    ]
    return "".join(drawn)
