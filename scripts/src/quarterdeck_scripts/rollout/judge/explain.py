"""A judgement in one plain sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.criteria import Bad

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.judge.counts import Counts
    from quarterdeck_scripts.rollout.judge.criteria import Criteria, Objective
    from quarterdeck_scripts.rollout.judge.routes import RouteJudgement
    from quarterdeck_scripts.rollout.judge.verdict import Judgement


_MOST = 2 / 3
"""Share of what is bad that one route has when it is named."""

QUIET = 0.5
"""Share of the peak below which it is said what cannot be seen."""


def explain(judgement: Judgement, criteria: Criteria) -> str:
    """Return *judgement* as one sentence: the counts first, then what they show, and what is allowed."""
    route = judgement.route
    about = route or judgement
    counted = (
        f"the canary {_verb(judgement.objective)} {_counts(about.canary)}{_mostly(judgement)}, "
        f"the stable version {_counts(about.stable)}"
    )
    name = judgement.objective.name.capitalize() + (f" of {route.route}" if route else "")
    shown = _shown_of_route(route, criteria) if route else _shown(judgement, criteria)
    return f"{name}: {counted}: {shown}."


def _mostly(judgement: Judgement) -> str:
    """Name the route that most of what is bad happened on, where the whole fails by it."""
    if judgement.verdict != "FAIL" or judgement.route or not judgement.routes:
        return ""
    worst = max(judgement.routes, key=lambda each: each.canary.bad)
    if worst.canary.bad <= _MOST * judgement.canary.bad:
        return ""
    return f", {worst.canary.bad:,} of them among the {worst.canary.requests:,} of {worst.route}"


def _shown(judgement: Judgement, criteria: Criteria) -> str:
    match judgement.verdict:
        case "FAIL":
            floor, low = percent(judgement.objective.floor), percent(judgement.canary_share.low)
            return (
                f"shown to happen at least {judgement.effect.low:.1f} times as often as with stable "
                f"({criteria.ratio:g} times is allowed), on more than {low} of requests ({floor} is always allowed); "
                f"the chance that this is a false alarm is at most {percent(criteria.false_fail)}"
            )
        case "PASS":
            return f"shown to happen {_shown_below(judgement, criteria)}{_untold(judgement)}"
        case _:
            return f"not decided yet, {percent(judgement.allowed)} is allowed; {_needed(judgement)}"


def _shown_of_route(route: RouteJudgement, criteria: Criteria) -> str:
    if route.failed:
        return (
            f"shown to happen at least {route.times_low:.1f} times as often as with stable on this route "
            f"({criteria.ratio:g} times is allowed); the chance that this is a false alarm is at most "
            f"{percent(criteria.false_fail)}"
        )
    if not route.stable.requests:
        return "the rest passes, but nothing can be compared with a route that the stable version has not served"
    return "the rest passes, but this route is under suspicion and waits for more requests"


def _untold(judgement: Judgement) -> str:
    blind = sum(not route.telling for route in judgement.routes)
    if not blind:
        return ""
    return f"; {blind} of {len(judgement.routes)} routes had too few requests to show even a total failure"


def before_peak(rate: float, peak: float) -> str:
    """Return what a verdict on *rate* requests a second does not show, when there were *peak* last week.

    Empty where they were about as many, or where nobody knows: 0.

    >>> before_peak(10, 40)
    "Judged at 25 % of the last week's peak: what fails only at the peak is not shown."
    >>> before_peak(30, 40), before_peak(10, 0)
    ('', '')
    """
    if rate >= QUIET * peak:
        return ""
    return f"Judged at {percent(rate / peak)} of the last week's peak: what fails only at the peak is not shown."


def percent(share: float) -> str:
    """Write a share as percent with the digits that matter.

    >>> percent(0.0508), percent(0.0025), percent(0.00041), percent(0)
    ('5.1 %', '0.25 %', '0.041 %', '0 %')
    """
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"  # noqa: PLR2004 -- two digits either way


def duration(seconds: float) -> str:
    """Write a duration for people.

    >>> duration(42), duration(200), duration(600), duration(9000)
    ('42 s', '3.3 min', '10 min', '2.5 h')
    """
    if seconds < 90:  # noqa: PLR2004 -- a minute and a half reads better in seconds
        return f"{seconds:.0f} s"
    value, unit = (seconds / 60, "min") if seconds < 5400 else (seconds / 3600, "h")  # noqa: PLR2004 -- 90 min
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def number_of(count: int, thing: str) -> str:
    """Write a count with its noun.

    >>> number_of(1, "pod"), number_of(2, "pod")
    ('1 pod', '2 pods')
    """
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _verb(objective: Objective) -> str:
    if objective.bad is Bad.FAILED:
        return "failed"
    return f"was slower than {(objective.threshold or 0) * 1000:.0f} ms on"


def _counts(counts: Counts) -> str:
    return f"{counts.bad:,} of {counts.requests:,} requests ({percent(counts.share)})"


def _shown_below(judgement: Judgement, criteria: Criteria) -> str:
    high = judgement.canary_share.high
    if high is not None and high <= judgement.objective.floor:
        return f"on less than {percent(high)} of requests ({percent(judgement.objective.floor)} is always allowed)"
    return f"less than {criteria.ratio:g} times as often as with stable, which is allowed"


def _needed(judgement: Judgement) -> str:
    if judgement.needed_requests is None:
        if not judgement.canary.requests:
            return "the canary has served no request that counts"
        return "it sits so near what is allowed that no number of requests would show it"
    text = f"about {judgement.needed_requests:,} more canary requests"
    if judgement.needed_seconds is not None:
        text += f", {duration(judgement.needed_seconds)} at this traffic"
    return text
