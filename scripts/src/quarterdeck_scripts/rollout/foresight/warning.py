"""What a rollout's outlook has to warn of before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.rollout.checks.finding import Finding
from quarterdeck_scripts.rollout.foresight.asking import outlook
from quarterdeck_scripts.rollout.judge.explain import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_scripts.ports import Prometheus
    from quarterdeck_scripts.rollout.foresight.outlook import Outlook, Setting

EVIDENCE, BLAST = "evidence", "error budget"
"""Who warns; see `Finding.guard`."""


def findings(service: Service, prometheus: Prometheus, let_in: Setting) -> tuple[Finding, ...]:
    """Return what to be warned of; nothing where Prometheus knows nothing, which other preflights see to."""
    try:
        return tuple(of(outlook(service, prometheus, let_in)))
    except QuarterdeckError:
        return ()


def of(found: Outlook) -> Iterator[Finding]:
    """Yield what *found* warns of. Nothing of it refuses: a mend for a spent budget is a rollout too."""
    for prospect in found.prospects:
        worst, budget = prospect.damages[-1], prospect.budget
        if budget is not None and budget.left is not None and worst.minutes > budget.left:
            yield Finding(
                BLAST,
                f"a canary that fails completely would cost {worst.minutes:.2g} minutes of the error budget of "
                f"{prospect.objective.name}, of which {max(0.0, budget.left):.2g} are left",
                "let fewer pods in at first, or wait until the budget has recovered",
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
