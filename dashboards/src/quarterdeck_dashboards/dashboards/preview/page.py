"""The whole preview as one HTML page that stands alone: no script, no font, no picture from elsewhere. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards.preview.panels import body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_dashboards.dashboards.description import Dashboard
    from quarterdeck_dashboards.dashboards.preview.ask import Period, Seen


def render(seen: Sequence[Seen], period: Period, asked: str) -> str:
    """Return every panel on one page.

    Args:
        seen: panels with their answers, dashboard by dashboard.
        period: what is drawn.
        asked: who answered: a Prometheus' URL.
    """
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>Dashboards</title>\n<style>\n{style}</style></head><body><main>",
        *_head(seen, period, asked),
        *(
            part
            for made, panels in groupby(seen, lambda each: each.dashboard)
            for part in _dashboard(made, panels, period)
        ),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _dashboard_of(seen: Seen) -> Dashboard:
    return seen.dashboard


def troubles(seen: Sequence[Seen]) -> tuple[str, ...]:
    """Return what a person has to know before trusting the page: what failed, and what is empty."""
    failed = [f"{each.where}: failed: {failure}" for each in seen for failure in each.failures]
    return (*failed, *(f"{each.where}: empty" for each in seen if each.is_empty))


def summary(seen: Sequence[Seen]) -> str:
    """Return the outcome in one sentence.

    >>> summary(())
    '0 queries: 0 failed, 0 panels empty.'
    """
    asked = sum(len(each.answers) for each in seen)
    failed = sum(len(each.failures) for each in seen)
    empty = sum(each.is_empty for each in seen)
    return f"{asked} queries: {failed} failed, {empty} panels empty."


def _head(seen: Sequence[Seen], period: Period, asked: str) -> Iterator[str]:
    found = troubles(seen)
    tone = "bad" if any(each.failures for each in seen) else "warning" if found else "good"
    start, end = (datetime.fromtimestamp(at, UTC) for at in (period.start, period.end))
    yield "<header><h1>Dashboards</h1>"
    yield (
        f'<p class="lead">{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, as {escape(asked)} has it: '
        "all clusters, all services.</p>"
    )
    yield f'<p class="verdict {tone}">{summary(seen)}</p>'
    if found:
        yield '<ul class="troubles">' + "".join(f"<li>{escape(each)}</li>" for each in found) + "</ul>"
    yield "</header><nav><ul>"
    for made in {each.dashboard.uid: each.dashboard for each in seen}.values():
        yield f'<li><a href="#{escape(made.uid)}">{escape(made.title)}</a></li>'
    yield "</ul></nav>"


def _dashboard(made: Dashboard, panels: Iterator[Seen], period: Period) -> Iterator[str]:
    yield f'<section id="{escape(made.uid)}"><h2>{escape(made.title)}</h2>'
    yield f'<p class="lead">{escape(made.description)}</p>'
    for row in made.rows:
        yield f'<h3>{escape(row.title)}</h3><div class="row">'
        for each in (next(panels) for _ in row.panels):
            panel = each.panel
            yield f'<div class="panel w{panel.width}"><h4>{escape(panel.title)}</h4>'
            yield f'<p class="says">{escape(panel.says)}</p><div class="body">{body(each, period)}</div></div>'
        yield "</div>"
    yield "</section>"
