"""An outlook for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.judge.criteria import Bad
from quarterdeck_scripts.rollout.judge.explain import QUIET, duration, number_of, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.rollout.foresight.outlook import Damage, Outlook, Prospect

_NAMED = 5
"""Routes that are named; the others are counted."""


def render(outlook: Outlook) -> str:
    """Return *outlook* in lines."""
    return "\n".join(_lines(outlook))


def _lines(outlook: Outlook) -> Iterator[str]:
    setting = outlook.setting
    pods, others = number_of(setting.canary_pods, "pod"), number_of(setting.stable_pods, "stable pod")
    yield f"{setting.service}: {setting.strategy}, {pods} of the new version beside {others}"
    how = "where every pod gets as many" if setting.percent is None else "by its routes' weights at the first step"
    yield f"  traffic    {outlook.rate:.3g} requests/s; the new version gets {percent(outlook.weight)} of them, {how}"
    if outlook.peak and outlook.rate < QUIET * outlook.peak:
        yield (
            f"             {percent(outlook.rate / outlook.peak)} of the last week's peak ({outlook.peak:.3g}/s): what "
            "fails only at the peak is not shown now"
        )
    for prospect in outlook.prospects:
        yield from _objective(outlook, prospect)
    yield f"  in sum     a healthy canary {_in_sum(outlook)}"


def _in_sum(outlook: Outlook) -> str:
    if outlook.conclusive:
        return f"passes within the {duration(outlook.setting.max_wait)} it is given"
    if outlook.pods_needed is not None:
        return f"would end inconclusive; with canary_replicas: {outlook.pods_needed} it passes"
    return "would end inconclusive: raise max_wait, or roll out when there is more traffic"


def _objective(outlook: Outlook, prospect: Prospect) -> Iterator[str]:
    objective, rates, within = prospect.objective, prospect.rates, outlook.setting.max_wait
    what = (
        "failed requests"
        if objective.bad is Bad.FAILED
        else f"requests over {(objective.threshold or 0) * 1000:.0f} ms"
    )
    yield (
        f"  {objective.name}: {what}, now {percent(rates.share)}; {percent(objective.floor)} is always allowed; "
        f"{rates.canary:.3g} requests/s are compared with {rates.baseline:.3g}"
    )
    healthy = "never passes" if prospect.passes is None else f"passes in about {duration(prospect.passes)}"
    late = prospect.passes is not None and prospect.passes > within
    yield f"    healthy    {healthy}" + (f", later than the {duration(within)} it is given" if late else "")
    if prospect.least is None:
        yield f"    shown      nothing within {duration(within)}, not even a canary that fails all requests"
    else:
        yield f"    shown      {percent(prospect.least)} or more within {duration(within)}, and not less"
    for damage in prospect.damages:
        yield f"    at {percent(damage.share):8}{_damage(damage, prospect)}"
    if prospect.blind:
        named = ", ".join(prospect.blind[:_NAMED])
        more = f" and {len(prospect.blind) - _NAMED} more" if len(prospect.blind) > _NAMED else ""
        yield (
            f"    blind      {len(prospect.blind)} of {number_of(prospect.routes, 'route')} could fail completely "
            f"unseen: {named}{more}"
        )


def _damage(damage: Damage, prospect: Prospect) -> str:
    shown = "not shown in time" if damage.seconds is None else f"shown in about {duration(damage.seconds)}"
    budget = prospect.budget
    if budget is None:
        return f"{shown}; costs as much as {duration(damage.minutes * 60)} of total failure"
    cost = f"{shown}; costs {damage.minutes:.2g} of the error budget's {budget.whole:.3g} minutes"
    if budget.left is None:
        return f"{cost} (nobody knows how many are left)"
    if damage.minutes > budget.left:
        return f"{cost}: MORE than the {max(0.0, budget.left):.3g} that are left"
    return f"{cost}, {budget.left:.3g} are left"
