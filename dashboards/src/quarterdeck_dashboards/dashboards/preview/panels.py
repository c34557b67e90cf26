"""What is inside each panel of a preview: a drawing, a number, a table, or why there is none. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import CLUSTER, NAMESPACE, Label
from quarterdeck_dashboards.dashboards.description import Draw, Level
from quarterdeck_dashboards.dashboards.preview import charts
from quarterdeck_dashboards.dashboards.preview.charts import Line
from quarterdeck_dashboards.dashboards.preview.numbers import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from quarterdeck_dashboards.dashboards.description import Panel
    from quarterdeck_dashboards.dashboards.preview.ask import Answer, Period, Seen

_MOST_LINES = 2 * charts.COLOURS
"""Series in one drawing; what else there is, is counted."""
_NOT_SHOWN = frozenset({"__name__", "alertstate", "job", "instance"})
"""Labels that say nothing to a reader."""


_PLACES = frozenset({CLUSTER.prometheus, NAMESPACE.prometheus})
"""Labels that say where something is."""
_READ_AS = {"alertname": "alert", "slo": "objective"}
"""What a column is called instead of its label."""


def body(seen: Seen, period: Period) -> str:
    """Return the inside of a panel."""
    panel = seen.panel
    if seen.failures:
        return "".join(f'<p class="note bad">Failed: {escape(failure)}</p>' for failure in seen.failures)
    if panel.draw is Draw.TEXT:
        links = "".join(f'<li><a href="{escape(link.url)}">{escape(link.title)}</a></li>' for link in panel.links)
        return f"<ul>{links}</ul>" if links else ""
    if not any(answer.series for answer in seen.answers):
        if panel.quiet:
            return '<p class="quiet">Nothing, as when all is well.</p>'
        return '<p class="note warning">Empty: nothing answers this question.</p>'
    return _KINDS[panel.draw](seen, period)


def name_of(legend: str, labels: Mapping[str, str]) -> str:
    """Return a series' name: *legend* with its labels filled in.

    >>> name_of("{http.route} failed", {"http_route": "/items"})
    '/items failed'
    """
    return re.sub(r"\{([^{}]+)\}", lambda name: labels.get(Label(name[1], "").prometheus, ""), legend) or "none"


def level_of(panel: Panel, value: float) -> Level:
    """Return how bad *value* is."""
    reached = [step.level for step in panel.thresholds if value >= step.above]
    return reached[-1] if reached else panel.base


def _lines_of(seen: Seen) -> list[Line]:
    """Return every series, the largest now first: those are looked for."""
    named = [
        Line(name_of(answer.query.legend, series.labels), series.points)
        for answer in seen.answers
        for series in answer.series
    ]
    return named if len(seen.answers) > 1 else sorted(named, key=lambda line: (-line.points[-1][1], line.name))


def _over_time(seen: Seen, period: Period) -> str:
    panel = seen.panel
    every = _lines_of(seen)
    drawn = every[:_MOST_LINES]
    draw = charts.bars if panel.draw is Draw.BARS else charts.lines
    return draw(panel, drawn, period) + _key(panel, drawn, len(every) - len(drawn))


def _key(panel: Panel, drawn: Sequence[Line], more: int) -> str:
    items = [
        f'<li><span class="swatch c{number % charts.COLOURS}"></span>{escape(line.name)} '
        f"<b>{escape(shown(line.points[-1][1], panel.unit))}</b></li>"
        for number, line in enumerate(drawn)
    ]
    if more:
        items.append(f"<li>and {more} more that are not drawn</li>")
    return f'<ul class="key">{"".join(items)}</ul>'


def _heatmap(seen: Seen, period: Period) -> str:
    buckets = sorted((float(series.labels["le"]), series.points) for series in seen.answers[0].series)
    return charts.heatmap(seen.panel, buckets, period)


def _stat(seen: Seen, _: Period) -> str:
    panel = seen.panel
    value = seen.answers[0].series[0].last
    tone = level_of(panel, value).name.lower() if panel.thresholds else ""
    return f'<p class="stat {tone}">{escape(shown(value, panel.unit))}</p>'


def _gauge(seen: Seen, _: Period) -> str:
    panel = seen.panel
    low, high = panel.minimum or 0.0, panel.maximum or 1.0
    parts = []
    for line in sorted(_lines_of(seen), key=lambda line: (line.points[-1][1], line.name)):
        value = line.points[-1][1]
        share = (min(max(value, low), high) - low) / (high - low)
        tone = level_of(panel, value).name.lower()
        fill = f'<span class="fill {tone}" style="width:{100 * share:.1f}%"></span>'
        number = f'<span class="number"><span class="badge {tone}">{escape(shown(value, panel.unit))}</span></span>'
        parts.append(f'<div class="meter"><span class="name">{escape(line.name)}</span>')
        parts.append(f'<span class="track">{fill}</span>{number}</div>')
    return "".join(parts)


def _table(seen: Seen, _: Period) -> str:
    labels = [name for name in _label_names(seen.answers) if name not in _NOT_SHOWN]
    columns = [answer.query.legend for answer in seen.answers]
    cells: dict[tuple[str, ...], list[str]] = {}
    for column, answer in enumerate(seen.answers):
        for series in answer.series:
            key = tuple(series.labels.get(name, "") for name in labels)
            row = cells.setdefault(key, ["-"] * len(columns))
            row[column] = shown(series.last, answer.query.unit or seen.panel.unit)
    return _rows(labels, columns, sorted(cells.items()))


def _alerts(seen: Seen, _: Period) -> str:
    """List what fires, the most urgent first; where it all is, is not repeated in each row."""
    first = ("severity", "alertname", "service", "slo")
    every = [series for answer in seen.answers for series in answer.series]
    found = [name for name in _label_names(seen.answers) if name not in _NOT_SHOWN]
    said_once = {name for name in _PLACES if len({series.labels.get(name) for series in every}) == 1}
    labels = [*(name for name in first if name in found), *(name for name in found if name not in {*first, *said_once})]
    rows = {tuple(series.labels.get(name, "") for name in labels) for series in every}
    return _rows(labels, [], [(row, []) for row in sorted(rows)])


def _label_names(answers: Sequence[Answer]) -> list[str]:
    return sorted({name for answer in answers for series in answer.series for name in series.labels})


def _rows(labels: Sequence[str], columns: Sequence[str], rows: Sequence[tuple[tuple[str, ...], list[str]]]) -> str:
    def drawn() -> Iterator[str]:
        yield '<div class="wide"><table><thead><tr>'
        yield from (f'<th scope="col">{escape(_READ_AS.get(name, name))}</th>' for name in labels)
        yield from (f'<th scope="col" class="number">{escape(name)}</th>' for name in columns)
        yield "</tr></thead><tbody>"
        for key, values in rows:
            yield "<tr>" + "".join(f"<td>{_cell(name, text)}</td>" for name, text in zip(labels, key, strict=True))
            yield "".join(f'<td class="number">{escape(text)}</td>' for text in values) + "</tr>"
        yield "</tbody></table></div>"

    return "".join(drawn())


def _cell(label: str, text: str) -> str:
    if label == "severity":
        return f'<span class="badge {"bad" if text == "page" else "warning"}">{escape(text)}</span>'
    return escape(text)


_KINDS: dict[Draw, Callable[[Seen, Period], str]] = {
    Draw.LINES: _over_time,
    Draw.BARS: _over_time,
    Draw.STAT: _stat,
    Draw.GAUGE: _gauge,
    Draw.TABLE: _table,
    Draw.HEATMAP: _heatmap,
    Draw.ALERTS: _alerts,
}
