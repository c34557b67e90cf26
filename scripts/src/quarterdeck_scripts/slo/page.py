"""A report as one HTML page that stands alone: no script, no font, no picture from elsewhere. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.charts import Chart, Line, draw
from quarterdeck_scripts.slo import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_scripts.slo.report import Report, Spender

_LOW = 0.25
"""Share of the budget below which it is marked."""


def render(reports: Sequence[Report], env: str, at: float) -> str:
    """Return *reports* on the environment *env*, made at the Unix time *at*, as one HTML page."""
    style = files("quarterdeck_scripts.rollout").joinpath("report.css").read_text(encoding="utf-8")
    made = datetime.fromtimestamp(at, UTC)
    ordered = text.by_need(reports)
    when = f'<time datetime="{made.isoformat(timespec="seconds")}">{made:%Y-%m-%d %H:%M} UTC</time>'
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>Error budgets of {escape(env)}</title>",
        f"<style>\n{style}</style></head><body><main>",
        f"<h1>Error budgets of {escape(env)}</h1>",
        f'<p class="facts">{when}, the least budget first</p>',
        *_overview(ordered),
        *(part for report in ordered for part in _objective(report)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _overview(reports: Sequence[Report]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr><th scope="col">Promise</th><th scope="col">Objective</th>'
    yield '<th scope="col">Budget left</th><th scope="col">Last hour</th></tr></thead><tbody>'
    for each in reports:
        yield f'<tr><th scope="row"><a href="#{_anchor(each)}">{_name(each)}</a></th>'
        yield f'<td class="number">{each.slo.objective:g} % over {escape(each.slo.over)}</td>'
        yield f'<td class="number"><span class="badge {_tone(each)}">{escape(text.left(each))}</span></td>'
        yield f"<td>{escape(text.burning(each))}</td></tr>"
    yield "</tbody></table></div>"


def _objective(report: Report) -> Iterator[str]:
    yield f'<section id="{_anchor(report)}">'
    badge = f'<span class="badge {_tone(report)}">budget left: {escape(text.left(report))}</span>'
    yield f"<h2>{_name(report)} {badge}</h2>"
    yield f'<p class="reason">Bad: {escape(text.counted(report))}. Last hour: {escape(text.burning(report))}.</p>'
    yield f'<p class="facts">Week to week: {escape(text.trend(report))}</p>'
    if report.burn_down:
        yield f"<figure>{draw(_chart(report))}"
        yield "<figcaption>What was left of the budget; at 0 there was nothing left, or less.</figcaption></figure>"
    for by, spenders in report.spenders.items():
        if spenders:
            yield from _table(by, spenders)
    yield "</section>"


def _table(by: str, spenders: Sequence[Spender]) -> Iterator[str]:
    total = sum(each.bad for each in spenders)
    yield f"<h3>Spent by {by}</h3>"
    yield f'<div class="wide"><table><thead><tr><th scope="col">{by.capitalize()}</th>'
    yield '<th scope="col">Bad events</th><th scope="col">Share</th></tr></thead><tbody>'
    for each in spenders[: 2 * text.SHOWN]:
        yield f'<tr><th scope="row">{escape(each.name)}</th><td class="number">{each.bad:,.0f}</td>'
        yield f'<td class="number">{each.bad / total:.1%}</td></tr>'
    yield "</tbody></table></div>"


def _chart(report: Report) -> Chart:
    began = report.burn_down[0][0]
    points = tuple(((at - began) / 86400, max(0.0, share)) for at, share in report.burn_down)
    return Chart(
        title=f"Error budget left of {report.service.name}/{report.slo.name} over time",
        x_label="days since the window began",
        y_label="budget left, %",
        lines=(Line("left", "stable", points),),
        format_y=lambda share: f"{share * 100:.3g}",
        floor=1 / 1.15,  # a chart's axis reaches 15 % above: the whole budget is at its top
    )


def _tone(report: Report) -> str:
    left = report.number("remaining")
    if left is None:
        return "open"
    return "bad" if left <= 0 else "open" if left < _LOW else "good"


def _name(report: Report) -> str:
    return f"{escape(report.service.name)} / {escape(report.slo.name)}"


def _anchor(report: Report) -> str:
    return f"{report.service.name}-{report.slo.name}"
