"""What autoscalers mean for a rollout is known before it begins."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.rollout.checks.scalers import TOLERANCE, findings, scalers_of, stable_may_fall_to

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.checks.finding import Finding

STABLE = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}
CANARY = {**STABLE, "quarterdeck.dev/track": "canary"}


def deployment(replicas: int = 10) -> Json:
    """Return the stable Deployment."""
    return {
        "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": dict(STABLE)}},
    }


def autoscaler(name: str = "checkout", target: str = "checkout", **spec: Any) -> Json:
    """Return a HorizontalPodAutoscaler of 2 to 20 pods."""
    wanted = {"minReplicas": 2, "maxReplicas": 20, "scaleTargetRef": {"kind": "Deployment", "name": target}, **spec}
    return {"metadata": {"name": name, "uid": f"uid of {name}"}, "spec": wanted}


def scaled_object(name: str = "orders", **spec: Any) -> Json:
    """Return KEDA's ScaledObject of `checkout`, with KEDA's own bounds."""
    return {
        "metadata": {"name": name, "uid": f"uid of {name}"},
        "spec": {"scaleTargetRef": {"name": "checkout"}, **spec},
    }


def found(
    *autoscalers: Json,
    keda: tuple[Json, ...] = (),
    canary: int = 1,
    target: Json | None = None,
    switched: bool = False,
) -> list[Finding]:
    """Return what is found for a rollout of ten pods."""
    return list(
        findings(
            target or deployment(),
            canary=canary,
            canary_name="checkout-canary",
            canary_labels=CANARY,
            scalers=scalers_of(autoscalers, keda),
            switched=switched,
        )
    )


def test_an_autoscaler_that_the_canary_does_not_move_is_nobodys_business() -> None:
    """One canary pod takes a tenth of the requests at most: within the autoscaler's tolerance."""
    assert found(autoscaler()) == []


def test_the_pods_that_it_would_take_away_are_counted_and_it_is_told_what_to_do() -> None:
    """Two canary pods beside ten: the load of the ten falls to 83 %, so nine are enough, while the canary is there."""
    (finding,) = found(autoscaler(), canary=2)

    assert str(finding) == (
        "the HorizontalPodAutoscaler checkout (2 to 20 pods) may leave 9 of 10 pods of checkout, because 2 of the "
        "canary take their share of the requests: these are missing when the canary goes: "
        "use fewer canary pods, or raise the fewest of checkout to 10 until it is over"
    )
    assert not finding.refuses


def test_a_service_at_its_fewest_loses_none() -> None:
    """However large the canary is."""
    assert found(autoscaler(minReplicas=10), canary=10) == []


def test_two_that_scale_the_same_service_are_refused_by_name() -> None:
    """Each undoes what the other does, and a rollout is no time for that."""
    (finding,) = found(autoscaler("by-cpu"), autoscaler("by-requests"))

    assert finding.refuses
    assert finding.found.startswith("the HorizontalPodAutoscaler by-cpu (2 to 20 pods) and the Horizontal")


def test_kedas_own_autoscaler_is_not_counted_beside_it() -> None:
    """A ScaledObject makes an autoscaler: that is one, not two."""
    own = autoscaler("keda-hpa-orders")
    own["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "uid": "uid of orders"}]

    assert found(own, keda=(scaled_object(minReplicaCount=2),)) == []


def test_a_service_that_may_be_scaled_to_nothing_is_refused() -> None:
    """KEDA's default: with no stable pod left there is nothing to compare with. Paused, it does not do that."""
    (finding,) = found(keda=(scaled_object(),))
    assert finding.refuses
    assert finding.advice == "set minReplicaCount to 1 or more until it is over"

    paused = scaled_object()
    paused["metadata"]["annotations"] = {"autoscaling.keda.sh/paused": "true"}
    assert found(keda=(paused,), canary=5) == []


def test_an_autoscaler_of_the_canary_is_refused() -> None:
    """How many pods the canary has is the rollout's to say."""
    (finding,) = found(autoscaler("left-over", target="checkout-canary"))

    assert finding.refuses
    assert finding.advice == "delete the HorizontalPodAutoscaler left-over"


def test_a_selector_that_takes_the_canary_for_the_service_is_refused() -> None:
    """The autoscaler would average the canary's load into the service's."""
    target = copy.deepcopy(deployment())
    target["spec"]["selector"] = {"matchLabels": {"app.kubernetes.io/name": "checkout"}}

    (finding,) = found(autoscaler(), target=target)

    assert finding.refuses
    assert finding.advice == "give the workload a selector that names its track"


def test_a_service_without_requests_would_be_scaled_down_behind_a_switch() -> None:
    """Blue-green: the stable version idles, and the way back leads to what is left of it."""
    (finding,) = found(autoscaler(), canary=10, switched=True)

    assert finding.refuses
    assert finding.found.startswith(
        "the HorizontalPodAutoscaler checkout (2 to 20 pods) takes checkout down to 2 of 10"
    )
    assert finding.advice == "raise the fewest of checkout to 10 until it is over"
    assert found(autoscaler(minReplicas=10), canary=10, switched=True) == []


def test_others_in_the_namespace_are_left_out() -> None:
    """Another service's, and one of a StatefulSet of the same name."""
    other = autoscaler(scaleTargetRef={"kind": "StatefulSet", "name": "checkout"})

    assert found(autoscaler("cart", target="cart"), other) == []


@pytest.mark.parametrize("canary", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("stable", [1, 2, 3, 9, 10, 47, 200])
def test_the_rounded_number_is_where_an_autoscaler_rests(stable: int, canary: int) -> None:
    """Asked once more with so many pods, its algorithm changes nothing; and it never goes below the fewest."""
    left = stable_may_fall_to(stable, canary, 1)

    ratio = stable / (left + canary)
    assert 1 <= left <= stable
    assert left == 1 or abs(1 - ratio) <= TOLERANCE or math.ceil(round(left * ratio, 9)) >= left
    assert stable_may_fall_to(stable, canary, stable) == stable
