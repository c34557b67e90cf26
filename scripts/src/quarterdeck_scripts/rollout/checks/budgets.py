"""What PodDisruptionBudgets say about a rollout. Pure.

A roll-out does not ask them: only evictions do. But they state how few pods a service can do with, and a node that is
drained meanwhile asks them, and hangs where they never allow it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.selectors import selects
from quarterdeck_scripts.rollout.checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json

GUARD = "budget"


def findings(target: Json, canary_labels: Mapping[str, str], budgets: Iterable[Json]) -> Iterator[Finding]:
    """Yield what the *budgets* of its namespace mean for a rollout of the workload *target*.

    Args:
        target: the workload that is rolled out.
        canary_labels: of the pods that the new version gets beside it; empty when it gets none.
        budgets: PodDisruptionBudgets of the namespace.
    """
    name = target["metadata"]["name"]
    own = target["spec"]["template"]["metadata"].get("labels") or {}
    budgets = tuple(budgets)
    for whose, labels in ((name, own), (f"the canary of {name}", canary_labels)):
        matching = [each["metadata"]["name"] for each in budgets if labels and _covers(each, labels)]
        if len(matching) > 1:
            yield Finding(
                GUARD,
                f"{len(matching)} PodDisruptionBudgets cover the pods of {whose} ({', '.join(matching)}), so that none "
                "of them can be evicted: the API server answers 500, and a drain of their node hangs",
                "delete all but one",
                refuses=False,
            )
    for budget in budgets:
        if _covers(budget, own):
            yield from _of_one(target, budget)


def _of_one(target: Json, budget: Json) -> Iterator[Finding]:
    name, called = target["metadata"]["name"], f"the PodDisruptionBudget {budget['metadata']['name']}"
    status = budget.get("status") or {}
    healthy, desired = status.get("currentHealthy"), status.get("desiredHealthy", 0)
    if healthy is not None and healthy < desired and _ready(target) < desired:
        yield Finding(
            GUARD,
            f"{called} asks for {desired} healthy pods of {name}, and there are {healthy}",
            "mend the pods that are not Ready first (`quarterdeck rollout status` names them), or correct the budget",
            refuses=True,
        )
        return
    taken = _taken_at_once(target)
    allowed = status.get("disruptionsAllowed")
    if allowed is not None and taken > allowed:
        yield Finding(
            GUARD,
            f"an update of {name} takes {taken} pods away at once, and {called} allows {allowed}",
            f"set maxUnavailable of {name} to {allowed} at most",
            refuses=True,
        )
    if status.get("expectedPods", 0) > 0 and desired >= status["expectedPods"]:
        yield Finding(
            GUARD,
            f"{called} never allows a pod of {name} to be evicted ({desired} of {status['expectedPods']} have to be "
            "healthy): a drain of a node hangs",
            "leave it one pod to spare",
            refuses=False,
        )


def _ready(target: Json) -> int:
    """Return how many pods of *target* are Ready by its own status: a budget's follows some moments later."""
    status = target.get("status") or {}
    return int(status.get("readyReplicas", status.get("numberReady", 0)))


def _taken_at_once(target: Json) -> int:
    """Return how many pods an update of *target* has unavailable at once, as its controller rounds them."""
    spec = target["spec"]
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    pods = spec.get("replicas", (target.get("status") or {}).get("desiredNumberScheduled", 1))
    if strategy.get("type") == "Recreate":
        return int(pods)
    kind = target.get("kind", "Deployment")
    default = {"Deployment": "25%"}.get(kind, 1)
    unavailable = absolute(rolling.get("maxUnavailable", default), pods, up=kind != "Deployment")
    if kind == "Deployment" and unavailable == 0 and absolute(rolling.get("maxSurge", "25%"), pods, up=True) == 0:
        return 1  # as the controller does, which could not begin otherwise
    return unavailable


def absolute(value: int | str, pods: int, *, up: bool) -> int:
    """Return a number of pods, or a percentage of *pods*, as a number: rounded up or down as Kubernetes does it there.

    >>> absolute("25%", 10, up=True), absolute("25%", 10, up=False), absolute(3, 10, up=True)
    (3, 2, 3)
    """
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * pods
    return math.ceil(share / 100) if up else share // 100


def _covers(budget: Json, labels: Mapping[str, str]) -> bool:
    selector = budget["spec"].get("selector")
    return selector is not None and selects(selector, labels)
