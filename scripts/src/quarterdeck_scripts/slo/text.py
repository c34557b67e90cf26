"""A report for a terminal, and the words that its page uses too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.explain import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_scripts.slo.report import Report, Spender

SHOWN = 5
"""Releases or routes that are named; the others are counted together."""
NO_DATA = "no data"
_STEADY = 1.25
"""Times by which the share of bad events must change from week to week to be called a change."""


def render(reports: Sequence[Report]) -> str:
    """Return *reports* as text, the least budget first."""
    return "\n\n".join("\n".join(_lines(report)) for report in by_need(reports))


def by_need(reports: Sequence[Report]) -> list[Report]:
    """Return *reports*, those with the least budget left first, those without data last."""

    def need(report: Report) -> tuple[bool, float, str, str]:
        left = report.number("remaining")
        return left is None, left or 0.0, report.service.name, report.slo.name

    return sorted(reports, key=need)


def _lines(report: Report) -> Iterator[str]:
    slo = report.slo
    yield f"{report.service.name} / {slo.name}: {slo.objective:g} % over {slo.over}"
    yield f"  budget left   {left(report)}"
    yield f"  bad events    {counted(report)}"
    yield f"  last hour     {burning(report)}"
    yield f"  week to week  {trend(report)}"
    for by, spenders in report.spenders.items():
        if spenders:
            yield f"  by {by:10} {', '.join(spent(spenders))}"


def left(report: Report) -> str:
    """Say how much of the budget is left."""
    remaining = report.number("remaining")
    if remaining is None:
        return NO_DATA
    return f"{remaining:.1%}" if remaining >= 0 else f"none: overspent by {-remaining:.0%}"


def counted(report: Report) -> str:
    """Say how many events there were, and how many were bad."""
    bad, events = report.number("bad"), report.number("events")
    if bad is None or not events:
        return NO_DATA
    return f"{bad:,.0f} of {events:,.0f} ({percent(bad / events)})"


def burning(report: Report) -> str:
    """Say how fast the budget goes, and when it will be gone."""
    rate, seconds = report.number("burn_rate"), report.number("exhaustion_seconds")
    if rate is None:
        return NO_DATA
    if rate == 0:
        return "nothing spent"
    ends = (
        "" if seconds is None else "; nothing is left" if seconds == 0 else f"; at this rate gone in {_long(seconds)}"
    )
    return f"{rate:.2g} times the rate that the promise allows{ends}"


def trend(report: Report) -> str:
    """Compare this week's share of bad events with the last one's."""
    now, before = report.ratio("this_week"), report.ratio("last_week")
    if now is None:
        return NO_DATA
    if before is None:
        return f"{percent(now)} bad this week, {NO_DATA} of the one before"
    if now > before * _STEADY:
        word = "worse"
    elif now * _STEADY < before:
        word = "better"
    else:
        word = "steady"
    return f"{word}: {percent(now)} bad this week, {percent(before)} the week before"


def spent(spenders: Sequence[Spender]) -> Iterator[str]:
    """Name the worst of *spenders* with their shares of the bad events."""
    total = sum(each.bad for each in spenders)
    for each in spenders[:SHOWN]:
        yield f"{each.name} {each.bad / total:.0%}"
    if rest := spenders[SHOWN:]:
        yield f"{len(rest)} others {sum(each.bad for each in rest) / total:.0%}"


def _long(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
