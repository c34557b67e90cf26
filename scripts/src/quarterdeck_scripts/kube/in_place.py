"""A workload's own update, held at its first new pods until a rollout lets it go. Pure: JSON patches.

What holds it lasts, whoever dies: a Deployment is paused, a StatefulSet has a partition, and a DaemonSet replaces
what is deleted and nothing else. The fields that do so are noted, as they were, in the annotation HELD of the same
change that sets them, with the image that is let in, so whoever lets go needs no other memory.

A Deployment has to make its first pods before it is paused. Till then no new pod counts as available, so with
nothing allowed to be unavailable no old one goes (`min_ready_seconds`; the controller's reconcileOldReplicaSets).
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.kubernetes import HELD
from quarterdeck_scripts.kube.patches import pointer

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

_LONGEST = 2**31 - 1
"""Seconds: the largest the API takes. As a progress deadline it means none, and it has to be longer than
`minReadySeconds`."""

_FIELDS = {
    "Deployment": ("strategy", "minReadySeconds", "progressDeadlineSeconds", "paused"),
    "StatefulSet": ("updateStrategy",),
    "DaemonSet": ("updateStrategy",),
}
"""The fields of a specification that say how it updates itself, by kind."""


PAUSED = "it is paused"
"""Why a Deployment that somebody has paused cannot be updated at all, by `unfit`."""


def is_held(workload: Json) -> bool:
    """Return whether a rollout holds the update of *workload*."""
    return HELD in (workload["metadata"].get("annotations") or {})


def unfit(workload: Json) -> str:
    """Return why its update cannot be held: its owner updates it another way, or some of it never; empty if it can."""
    field = _FIELDS[workload["kind"]][0]
    strategy = workload["spec"].get(field) or {}
    kind = strategy.get("type", "RollingUpdate")
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if is_held(workload):
        return ""
    if workload["spec"].get("paused"):
        return PAUSED
    if kind == "RollingUpdate" and not partition:
        return ""
    return f"{field}: {kind}" + (f", partition {partition}" if partition else "")


def held_at(workload: Json) -> int:
    """Return how many pods a held update is to have renewed, at least."""
    return int(_noted(workload)["pods"])


def held_for(workload: Json) -> str:
    """Return the image whose update is held: another one in its template is somebody else's doing."""
    return str(_noted(workload)["image"])


def is_steady(workload: Json) -> bool:
    """Return whether the hold has no effect besides: a Deployment's pods count as available again."""
    return workload["kind"] != "Deployment" or bool(workload["spec"].get("paused"))


def hold(workload: Json, image: str, pods: int, *, updated: int = 0) -> list[Json]:
    """Return the operations by which *workload* updates *pods* pods to *image* and no more, or stays at *updated*."""
    spec = workload["spec"]
    if workload["kind"] == "Deployment":
        surge = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": pods, "maxUnavailable": 0}}
        wanted: Json = {
            "strategy": surge,
            "minReadySeconds": _LONGEST - 1,
            "progressDeadlineSeconds": _LONGEST,
            "paused": None,
        }
    elif workload["kind"] == "StatefulSet":
        partition = {"partition": spec.get("replicas", 1) - max(pods, updated)}
        wanted = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": partition}}
    else:
        wanted = {"updateStrategy": {"type": "OnDelete"}}
    return [*_note(workload, image, pods), *_set(spec, wanted)]


def freeze(workload: Json) -> list[Json]:
    """Return the operations by which a held update of a Deployment stays as it is: its first pods are there."""
    before = _noted(workload)["spec"]
    kept = {key: before.get(key) for key in ("minReadySeconds", "progressDeadlineSeconds")}
    return _set(workload["spec"], {**kept, "paused": True})


def release(workload: Json) -> list[Json]:
    """Return the operations that put back how *workload* updates itself; none when nothing is held."""
    if not is_held(workload):
        return []
    before = _noted(workload)["spec"]
    wanted = {key: before.get(key) for key in _FIELDS[workload["kind"]]}
    gone = {"op": "remove", "path": pointer("metadata", "annotations", HELD)}
    return [gone, *_set(workload["spec"], wanted)]


def _noted(workload: Json) -> Json:
    noted: Json = json.loads(workload["metadata"]["annotations"][HELD])
    return noted


def _note(workload: Json, image: str, pods: int) -> list[Json]:
    before = {key: workload["spec"][key] for key in _FIELDS[workload["kind"]] if key in workload["spec"]}
    text = json.dumps({"image": image, "pods": pods, "spec": before}, separators=(",", ":"), sort_keys=True)
    if workload["metadata"].get("annotations"):
        return [{"op": "add", "path": pointer("metadata", "annotations", HELD), "value": text}]
    return [{"op": "add", "path": pointer("metadata", "annotations"), "value": {HELD: text}}]


def _set(spec: Json, wanted: dict[str, Any]) -> list[Json]:
    """Return the operations that give the fields of *spec* their *wanted* values; None takes a field away."""
    operations: list[Json] = []
    for key, value in wanted.items():
        if value is not None and spec.get(key) != value:
            operations.append({"op": "add", "path": pointer("spec", key), "value": copy.deepcopy(value)})
        elif value is None and key in spec:
            operations.append({"op": "remove", "path": pointer("spec", key)})
    return operations
