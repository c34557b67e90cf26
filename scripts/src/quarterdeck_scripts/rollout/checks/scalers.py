"""What autoscalers do to a rollout: HorizontalPodAutoscalers, and KEDA's ScaledObjects, which make one. Pure.

An autoscaler counts the pods that its target selects, so not the canary's. What it does see is that the canary takes
requests away: then it may take stable pods away, which are missing when the canary goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.selectors import selects
from quarterdeck_scripts.rollout.checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json

GUARD = "autoscaler"

TOLERANCE = 0.1
"""How far the ratio of load to target may be from 1 before an autoscaler acts: its controller's default.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details.
"""

_FEWEST, _MOST = 1, 100
"""Bounds of a ScaledObject that does not say any, KEDA's own; from 0 where it does not say the fewest, and on."""


@dataclass(frozen=True, slots=True)
class Scaler:
    """Somebody who sets the number of pods of one workload."""

    kind: str
    """`HorizontalPodAutoscaler` or `ScaledObject`."""
    name: str
    target: tuple[str, str]
    """Kind and name of the workload."""
    fewest: int
    most: int
    paused: bool = False

    def __str__(self) -> str:
        return f"the {self.kind} {self.name} ({self.fewest} to {self.most} pods)"


def scalers_of(autoscalers: Iterable[Json], scaled_objects: Iterable[Json]) -> tuple[Scaler, ...]:
    """Return everybody who scales something, KEDA's own HorizontalPodAutoscalers counted with their ScaledObject."""
    scaled_objects = tuple(scaled_objects)
    found = [_scaled_object(each) for each in scaled_objects]
    theirs = {each["metadata"].get("uid") for each in scaled_objects}
    for each in autoscalers:
        owners = {owner.get("uid") for owner in each["metadata"].get("ownerReferences") or ()}
        if owners & theirs - {None}:
            continue
        spec, target = each["spec"], each["spec"]["scaleTargetRef"]
        found.append(
            Scaler(
                "HorizontalPodAutoscaler",
                each["metadata"]["name"],
                (target["kind"], target["name"]),
                spec.get("minReplicas", 1),
                spec["maxReplicas"],
            )
        )
    return tuple(found)


def _scaled_object(found: Json) -> Scaler:
    spec, target = found["spec"], found["spec"]["scaleTargetRef"]
    annotations = found["metadata"].get("annotations") or {}
    paused = any(
        key.startswith("autoscaling.keda.sh/paused") and value != "false" for key, value in annotations.items()
    )
    return Scaler(
        "ScaledObject",
        found["metadata"]["name"],
        (target.get("kind") or "Deployment", target["name"]),
        spec.get("minReplicaCount", 0),
        spec.get("maxReplicaCount", _MOST),
        paused,
    )


def stable_may_fall_to(stable: int, canary: int, fewest: int) -> int:
    """Return how few pods an autoscaler leaves of *stable*, once *canary* more pods take their share of the requests.

    Each pod was at its target load, and all pods get the same share: so the load of a stable pod is n / (n + c) of
    what it was, and the autoscaler wants n times that, rounded up, unless that is within its tolerance. As it acts,
    the share of the canary grows, until it rests.

    >>> stable_may_fall_to(10, 1, 2), stable_may_fall_to(10, 2, 2), stable_may_fall_to(10, 10, 2)
    (10, 9, 3)
    """
    load, pods = stable, stable
    while pods > fewest:
        ratio = load / (pods + canary)
        wanted = math.ceil(round(pods * ratio, 9))
        if abs(1 - ratio) <= TOLERANCE or wanted >= pods:
            break
        pods = max(wanted, fewest)
    return pods


def findings(
    target: Json,
    *,
    canary: int,
    canary_name: str,
    canary_labels: Mapping[str, str],
    scalers: Iterable[Scaler],
    switched: bool = False,
) -> Iterator[Finding]:
    """Yield what autoscalers mean for a rollout of the workload *target*.

    Args:
        target: the workload that is rolled out.
        canary: how many pods the new version gets beside it.
        canary_name: the workload that they are made by.
        canary_labels: theirs.
        scalers: of the namespace.
        switched: whether the new version gets all requests at once, and the stable one none.
    """
    kind, name = target.get("kind", "Deployment"), target["metadata"]["name"]
    scalers = tuple(scalers)
    for scaler in scalers:
        if scaler.target == (kind, canary_name):
            yield Finding(
                GUARD,
                f"{scaler} scales {canary_name}, whose number of pods is the rollout's",
                f"delete the {scaler.kind} {scaler.name}",
                refuses=True,
            )
    ours = [scaler for scaler in scalers if scaler.target == (kind, name)]
    if len(ours) > 1:
        yield Finding(
            GUARD,
            f"{' and '.join(map(str, ours))} both scale {name}, each undoing what the other does",
            "delete one of them",
            refuses=True,
        )
    for scaler in ours:
        yield from _of_one(target, scaler, canary_labels)
        yield from _idle(target, scaler) if switched else _relieved(target, scaler, canary)


def _of_one(target: Json, scaler: Scaler, canary_labels: Mapping[str, str]) -> Iterator[Finding]:
    name = target["metadata"]["name"]
    if selects(target["spec"]["selector"], canary_labels):
        yield Finding(
            GUARD,
            f"{scaler} counts the canary's pods as {name}'s own, because {name}'s selector selects them",
            "give the workload a selector that names its track",
            refuses=True,
        )
    if scaler.fewest == 0 and not scaler.paused:
        field = "minReplicaCount" if scaler.kind == "ScaledObject" else "minReplicas"
        yield Finding(
            GUARD,
            f"{scaler} may take {name} down to no pods, and then there is nothing to compare the canary with",
            f"set {field} to 1 or more until it is over",
            refuses=True,
        )


def _relieved(target: Json, scaler: Scaler, canary: int) -> Iterator[Finding]:
    """Yield what happens while *canary* pods take their share of the requests."""
    name, replicas = target["metadata"]["name"], target["spec"].get("replicas", 1)
    left = replicas if scaler.paused else stable_may_fall_to(replicas, canary, max(1, scaler.fewest))
    if left < replicas:
        yield Finding(
            GUARD,
            f"{scaler} may leave {left} of {replicas} pods of {name}, because {canary} of the canary take their share "
            f"of the requests: these are missing when the canary goes",
            f"use fewer canary pods, or raise the fewest of {scaler.name} to {replicas} until it is over",
            refuses=False,
        )


def _idle(target: Json, scaler: Scaler) -> Iterator[Finding]:
    """Yield what happens while all requests go to the new version."""
    name, replicas = target["metadata"]["name"], target["spec"].get("replicas", 1)
    if not scaler.paused and scaler.fewest < replicas:
        yield Finding(
            GUARD,
            f"{scaler} takes {name} down to {scaler.fewest} of {replicas} pods while all requests go to the new "
            "version, and the way back leads to these",
            f"raise the fewest of {scaler.name} to {replicas} until it is over",
            refuses=True,
        )
