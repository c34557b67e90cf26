"""A plan as text for people, and as a document for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards import cost_report
from quarterdeck_stacks.changes import restarts
from quarterdeck_stacks.plan import UNITS

if TYPE_CHECKING:
    from decimal import Decimal

    from quarterdeck_stacks.changes import Comparison
    from quarterdeck_stacks.plan import Plan, Requests


def text(plan: Plan, comparison: Comparison) -> str:
    """Return *plan*, and what changes."""
    parts = [
        f"Telemetry of {plan.environment}\n\n{cost_report.table(plan.telemetry)}",
        _disk(plan),
        _requests(plan),
        _changes(comparison),
    ]
    return "\n".join(parts)


def document(plan: Plan, comparison: Comparison) -> dict[str, Any]:
    """Return the same for programs: cores, bytes, money as given."""
    return {
        "environment": plan.environment,
        "telemetry": cost_report.document(plan.telemetry),
        "prometheus_disk": int(plan.disk),
        "prometheus_volume": None if plan.volume is None else int(plan.volume),
        "requests": {"fewest": _entry(plan.fewest), "most": _entry(plan.most), "each_node": _entry(plan.each_node)},
        "monthly": {
            name: {what: float(round(amount, 2)) for what, amount in plan.monthly(requests).items()}
            for name, requests in (("fewest", plan.fewest), ("most", plan.most))
        },
        "compared_with": comparison.against,
        "changes": None
        if comparison.changes is None
        else [
            {
                "action": each.action.value,
                "kind": each.kind,
                "name": each.name,
                "restarts": each.restarts or None,
                "because": list(each.because),
            }
            for each in comparison.changes
        ],
        "outside_kubernetes": list(comparison.others),
    }


def _disk(plan: Plan) -> str:
    need = f"Each Prometheus keeps about {_bytes(plan.disk)} on disk for its whole retention"
    if plan.volume is None:
        return f"{need}; it has the node's disk.\n"
    if plan.fits:
        return f"{need}; its volume has {_bytes(plan.volume)}.\n"
    return (
        f"{need}, and a volume of {_bytes(plan.volume)} has no room for that: make prometheusStorage larger, or "
        "retention shorter.\n"
    )


def _requests(plan: Plan) -> str:
    lines = [f"Pods ask for {_amount(plan.fewest)}"]
    if plan.most != plan.fewest:
        lines.append(f"with every autoscaler at its bound for {_amount(plan.most)}")
    if plan.each_node.cpu or plan.each_node.memory:
        lines.append(f"and on each node beside that for {_amount(plan.each_node)}")
    return ", ".join(lines) + ".\n" + _money(plan)


def _money(plan: Plan) -> str:
    if not plan.prices:
        units = ", ".join(f"{what}=… (a {unit})" for what, unit in UNITS.items())
        return f"No prices given, so no cost: --price {units}, each for a month.\n"
    fewest, most = (sum(plan.monthly(each).values()) for each in (plan.fewest, plan.most))
    parts = ", ".join(f"{what} {amount:.2f}" for what, amount in plan.monthly(plan.fewest).items())
    most_too = f"; at the autoscalers' bounds {most:.2f}" if most != fewest else ""
    return f"In a month {fewest:.2f} ({parts}){most_too}, at the prices given; nodes' own agents are not in it.\n"


def _changes(comparison: Comparison) -> str:
    changes, others = comparison.changes, comparison.others
    if changes is None:
        return f"What it would change is not known: {comparison.against}.\n"
    if not changes and not others:
        return f"Against {comparison.against}: nothing changes.\n"
    lines = [*(each.summary for each in changes), *others]
    noticed = len(restarts(changes))
    end = f"Pods are restarted by {noticed} of these." if noticed else "No pod is restarted."
    return "\n".join([f"Against {comparison.against}:", *(f"  {line}" for line in lines), end, ""])


def _amount(requests: Requests) -> str:
    storage = f" and {_bytes(requests.storage)} of volumes" if requests.storage else ""
    return f"{requests.cpu.normalize():f} cores, {_bytes(requests.memory)} of memory{storage}"


def _bytes(number: Decimal) -> str:
    return f"{number / 1024**3:.1f} GiB" if number >= 1024**3 else f"{number / 1024**2:.0f} MiB"


def _entry(requests: Requests) -> dict[str, Any]:
    return {"cpu": float(requests.cpu), "memory": int(requests.memory), "storage": int(requests.storage)}
