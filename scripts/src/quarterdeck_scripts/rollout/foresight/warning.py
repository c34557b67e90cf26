"""What a rollout's outlook has to warn of before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import InconclusiveError, QuarterdeckError
from quarterdeck_scripts.rollout.checks.finding import Finding
from quarterdeck_scripts.rollout.foresight.asking import outlook
from quarterdeck_scripts.rollout.judge.explain import QUIET, duration, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_scripts.ports import Prometheus
    from quarterdeck_scripts.rollout.foresight.outlook import Outlook, Prospect, Setting

EVIDENCE, BLAST, PEAK = "evidence", "error budget", "peak"
"""Who warns; see `Finding.guard`."""


def findings(service: Service, prometheus: Prometheus, let_in: Setting) -> tuple[Finding, ...]:
    """Return what to be warned of; nothing where Prometheus knows nothing, which other preflights see to."""
    try:
        return tuple(of(outlook(service, prometheus, let_in)))
    except QuarterdeckError:
        return ()


def short(service: Service, prometheus: Prometheus, let_in: Setting) -> str:
    """Return why what is left of *service*'s error budgets would not bear a complete failure; nothing where it would.

    Raises:
        QuarterdeckError: nobody knows what it would cost, or what is left of one of them.
    """
    prospects = outlook(service, prometheus, let_in).prospects
    told = [said for said in map(_short, prospects) if said]
    unknown = [each.objective.name for each in prospects if each.budget is not None and each.budget.left is None]
    if unknown and not told:
        raise InconclusiveError(
            f"what is left of the error budget of {', '.join(unknown)}",
            "no series that says so",
            "see that the recording rules of `quarterdeck rules` are loaded",
        )
    return "; ".join(told)


def _short(prospect: Prospect) -> str:
    """Return by how much a budget would be too small for a complete failure; nothing where it is large enough."""
    worst, budget = prospect.damages[-1], prospect.budget
    if budget is None or budget.left is None or worst.minutes <= budget.left:
        return ""
    return (
        f"a canary that fails completely would cost {worst.minutes:.2g} minutes of the error budget of "
        f"{prospect.objective.name}, of which {max(0.0, budget.left):.2g} are left"
    )


def of(found: Outlook) -> Iterator[Finding]:
    """Yield what *found* warns of. Nothing of it refuses: a mend for a spent budget is a rollout too."""
    less = "let fewer pods in at first, or wait until the budget has recovered"
    if found.setting.percent is not None:
        less = "begin with a smaller weight, or wait until the budget has recovered; each later step is held for it"
    for said in filter(None, map(_short, found.prospects)):
        yield Finding(BLAST, said, less, refuses=False)
    if found.rate < QUIET * found.peak:
        yield Finding(
            PEAK,
            f"{found.rate:.3g} requests/s are {percent(found.rate / found.peak)} of the last week's peak, and what "
            "fails only at the peak is not shown now",
            "look again then",
            refuses=False,
        )
    if not found.conclusive:
        yield Finding(
            EVIDENCE,
            f"at {found.rate:.3g} requests/s a healthy canary would end inconclusive after "
            f"{duration(found.setting.max_wait)}",
            f"see `quarterdeck rollout plan {found.setting.service}`",
            refuses=False,
        )
