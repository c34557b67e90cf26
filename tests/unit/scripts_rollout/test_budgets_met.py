"""What PodDisruptionBudgets mean for a rollout is known before it begins, each by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.rollout.checks.budgets import findings

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.checks.finding import Finding

STABLE = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}
CANARY = {**STABLE, "quarterdeck.dev/track": "canary"}
HEALTHY = {"currentHealthy": 4, "desiredHealthy": 3, "disruptionsAllowed": 1, "expectedPods": 4}


def workload(kind: str = "Deployment", **spec: Any) -> Json:
    """Return a workload of four pods."""
    template = {"metadata": {"labels": STABLE}}
    return {"kind": kind, "metadata": {"name": "checkout"}, "spec": {"replicas": 4, "template": template, **spec}}


def budget(name: str = "checkout", labels: dict[str, str] | None = None, **status: int) -> Json:
    """Return a budget of all the service's pods, healthy but for *status*."""
    selector = {"matchLabels": labels or {"app.kubernetes.io/name": "checkout"}}
    return {"metadata": {"name": name}, "spec": {"selector": selector}, "status": {**HEALTHY, **status}}


def found(*budgets: Json, target: Json | None = None) -> list[Finding]:
    """Return what is found for a rollout with a canary."""
    return list(findings(target or workload(), CANARY, budgets))


def test_a_budget_that_is_kept_is_nobodys_business() -> None:
    """Four of four healthy, three needed, one taken at a time."""
    assert found(budget()) == []


def test_a_service_with_fewer_pods_than_its_budget_asks_for_is_not_rolled_out() -> None:
    """It is named, with both numbers."""
    (finding,) = found(budget(currentHealthy=2))

    assert finding.refuses
    assert finding.found == "the PodDisruptionBudget checkout asks for 3 healthy pods of checkout, and there are 2"


def test_a_budgets_status_that_is_late_is_not_believed() -> None:
    """Its controller counts some moments after the pods are Ready."""
    assert found(budget(currentHealthy=2), target={**workload(), "status": {"readyReplicas": 4}}) == []


def test_two_budgets_for_one_pod_are_said_of_stable_and_canary() -> None:
    """The API server then evicts none of these pods: it answers 500."""
    by_track = budget("by-track", CANARY)

    (finding,) = found(budget(), by_track)

    assert not finding.refuses
    assert finding.found.startswith(
        "2 PodDisruptionBudgets cover the pods of the canary of checkout (checkout, by-track)"
    )


def test_a_budget_that_never_allows_an_eviction_is_said() -> None:
    """Nodes cannot be drained meanwhile, nor at any other time."""
    (finding,) = found(
        budget(currentHealthy=4, desiredHealthy=4, disruptionsAllowed=0),
        target=workload(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}),
    )

    assert not finding.refuses
    assert "never allows a pod of checkout to be evicted (4 of 4 have to be healthy)" in finding.found


@pytest.mark.parametrize(
    ("target", "taken"),
    [
        (workload(strategy={"type": "Recreate"}), 4),
        (workload(strategy={"rollingUpdate": {"maxUnavailable": "50%"}}), 2),
        (workload(strategy={"rollingUpdate": {"maxUnavailable": "60%"}}), 2),
        (workload("DaemonSet", replicas=4, updateStrategy={"rollingUpdate": {"maxUnavailable": "60%"}}), 3),
        (workload("StatefulSet", updateStrategy={"rollingUpdate": {"maxUnavailable": 3}}), 3),
    ],
)
def test_an_update_that_takes_more_pods_than_the_budget_allows_is_refused(target: Json, taken: int) -> None:
    """Percentages are rounded as the controller does: down for a Deployment, up for the others."""
    (finding,) = found(budget(), target=target)

    assert finding.refuses
    assert finding.found == (
        f"an update of checkout takes {taken} pods away at once, and the PodDisruptionBudget checkout allows 1"
    )
    assert finding.advice == "set maxUnavailable of checkout to 1 at most"


@pytest.mark.parametrize(
    "target",
    [
        workload(),
        workload(strategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}),
        workload("StatefulSet"),
    ],
)
def test_defaults_take_one_pod_of_four(target: Json) -> None:
    """A quarter of a Deployment, one of a StatefulSet, and one where neither number lets the controller begin."""
    assert found(budget(), target=target) == []


def test_a_budget_without_a_status_yet_says_nothing() -> None:
    """Its controller has not seen it."""
    fresh = budget()
    del fresh["status"]

    assert found(fresh) == []


def test_budgets_of_others_are_left_out() -> None:
    """Another service's, and one without a selector, which covers nothing."""
    nothing = budget("nothing", currentHealthy=0)
    nothing["spec"] = {"selector": None}

    assert found(budget("cart", {"app.kubernetes.io/name": "cart"}, currentHealthy=0), nothing) == []
