"""Workloads: how far they are, and the patches that change them. Pure. Which templates they had: `revisions`.

What is said of a Deployment here holds of a StatefulSet and a DaemonSet too, but that neither has a canary beside it.

Patches come in two forms: a dict is a merge patch (`MERGE_PATCH`), a list is a JSON patch (`JSON_PATCH`) whose
first operation tests that this is still the object the patch was made for.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import (
    APP_NAME,
    APP_VERSION,
    MANAGED_BY,
    ROLLED_BACK,
    TRACK,
    TRACK_CANARY,
    TRACK_STABLE,
)
from quarterdeck_dashboards.catalogue.fields import IMAGE_PATTERN
from quarterdeck_scripts.kube import in_place
from quarterdeck_scripts.kube.patches import pointer
from quarterdeck_scripts.kube.pods import (
    PodProblem,
    condition,
    creation_failure,
    is_ready,
    is_terminating,
    label,
    problems_of,
)
from quarterdeck_scripts.kube.revisions import (
    RESTARTED_AT,
    Revision,
    present_number,
    previous_revision,
    revisions,
    rolled_back,
    without_restart,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from quarterdeck_scripts.kube.client import Json

__all__ = [
    "KINDS",
    "WorkloadStatus",
    "canary_name",
    "canary_of",
    "held_status",
    "hold_patch",
    "is_still",
    "previous_revision",
    "promote_patch",
    "restart_patch",
    "revisions",
    "rolled_back",
    "serving_container",
    "serving_image",
    "status_of",
    "undo_patch",
    "version_of",
]

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds of workloads that can be rolled out, the likeliest first."""


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """How far a workload is."""

    name: str
    desired: int
    """Pods asked for."""
    updated: int
    """Pods of the newest template."""
    ready: int
    """Ready pods of any template."""
    total: int
    """Pods of any template that are not being deleted."""
    observed: bool
    """Whether the controller has seen the newest specification; until then the counts are of an older one."""
    problems: tuple[PodProblem, ...]
    """Why pods are not Ready, or not there."""

    @property
    def done(self) -> bool:
        """Whether every pod asked for is there, of the newest template and Ready, and no other is left."""
        return self.observed and self.desired == self.updated == self.ready == self.total

    def __str__(self) -> str:
        return f"{self.ready} of {self.desired} pods Ready, {self.updated} of the newest template, {self.total} in all"


def status_of(deployment: Json, pods: Iterable[Json]) -> WorkloadStatus:
    """Return how far *deployment* is; *pods* are those its selector selects."""
    status = deployment.get("status", {})
    everywhere = deployment.get("kind") == "DaemonSet"
    desired, updated, ready, total = (
        ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "currentNumberScheduled")
        if everywhere
        else ("replicas", "updatedReplicas", "readyReplicas", "replicas")
    )
    version = _version_label(deployment["spec"]["template"])
    problems = [
        replace(problem, stale=label(pod, APP_VERSION) != version) for pod in pods for problem in problems_of(pod)
    ]
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":
        message = failure.get("message", "")
        reason = creation_failure(message, failure.get("reason", "FailedCreate"))
        problems.insert(0, PodProblem("", reason, message))
    progressing = condition(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        problems.append(PodProblem("", "ProgressDeadlineExceeded", progressing.get("message", "")))
    return WorkloadStatus(
        name=deployment["metadata"]["name"],
        desired=status.get(desired, 0) if everywhere else deployment["spec"].get("replicas", 1),
        updated=status.get(updated, 0),
        ready=status.get(ready, 0),
        total=status.get(total, 0),
        observed=status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0),
        problems=tuple(problems),
    )


def held_status(workload: Json, pods: Iterable[Json]) -> WorkloadStatus:
    """Return how far the new pods of a held update of *workload* are; *pods* are all its pods."""
    version = _version_label(workload["spec"]["template"])
    new = [pod for pod in pods if label(pod, APP_VERSION) == version and not is_terminating(pod)]
    whole = status_of(workload, new)
    count = len(new)
    wanted = max(in_place.held_at(workload), count)
    ready = sum(map(is_ready, new))
    return replace(whole, desired=wanted, updated=count, ready=ready, total=count)


def undo_patch(deployment: Json, revision: Revision, replica_sets: Iterable[Json]) -> list[Json]:
    """Return the JSON patch that brings back *revision*: the whole pod template and the version label.

    What a rollout held is let go in the same change. *replica_sets* keep the templates that it has had.
    """
    mark = {
        "from_version": _version_label(deployment["spec"]["template"]),
        "to_version": revision.version,
        "replica_set": revision.replica_set,
        "revision": present_number(deployment, replica_sets),
    }
    patch = _template_patch(deployment, revision.template, {ROLLED_BACK: json.dumps(mark, sort_keys=True)})
    return [*patch, *in_place.release(deployment)]


def promote_patch(stable: Json, image: str) -> list[Json]:
    """Return the JSON patch that makes *image* the version of the Deployment *stable*.

    Where a rollout holds the update to it, it is let go.
    """
    if in_place.is_held(stable) and serving_image(stable) == image:
        return [*is_still(stable), *in_place.release(stable)]
    return [*_template_patch(stable, _with_image(stable, image, TRACK_STABLE), {}), *_without_mark(stable)]


def hold_patch(stable: Json, image: str, pods: int) -> list[Json]:
    """Return the JSON patch that begins the update of *stable* to *image*, and holds it at its first *pods*.

    An update to it that is under way is held where it is.
    """
    if serving_image(stable) == image:
        updated = status_of(stable, ()).updated
        return [*is_still(stable), *_without_mark(stable), *in_place.hold(stable, image, pods, updated=updated)]
    patch = _template_patch(stable, _with_image(stable, image, TRACK_STABLE), {})
    return [*patch, *_without_mark(stable), *in_place.hold(stable, image, pods)]


def restart_patch(now: datetime) -> Json:
    """Return the merge patch that replaces every pod, a few at a time; *now* is aware, and marks the restart."""
    annotations = {RESTARTED_AT: now.isoformat(timespec="seconds")}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


def is_still(deployment: Json) -> list[Json]:
    """Return the precondition of a JSON patch: it is still this object, with this template."""
    return [
        {"op": "test", "path": pointer("metadata", "uid"), "value": deployment["metadata"]["uid"]},
        {"op": "test", "path": pointer("spec", "template"), "value": copy.deepcopy(deployment["spec"]["template"])},
    ]


def canary_name(service: str, track: str = TRACK_CANARY) -> str:
    """Return the name of *service*'s canary Deployment, or of that on another *track*."""
    return f"{service}-{track}"


def canary_of(stable: Json, image: str, replicas: int, track: str = TRACK_CANARY) -> Json:
    """Return the Deployment that runs *image* beside *stable*, under the same Service."""
    metadata = stable["metadata"]
    name = metadata["name"]
    labels = {**(metadata.get("labels") or {}), TRACK: track, APP_VERSION: version_of(image)}
    labels[MANAGED_BY] = "quarterdeck"
    spec = {key: copy.deepcopy(value) for key, value in stable["spec"].items() if key != "paused"}
    spec |= {
        "replicas": replicas,
        "selector": {"matchLabels": {APP_NAME: name, TRACK: track}},
        "template": _with_image(stable, image, track),
    }
    return {
        "apiVersion": stable.get("apiVersion", "apps/v1"),
        "kind": "Deployment",
        "metadata": {"name": canary_name(name, track), "namespace": metadata["namespace"], "labels": labels},
        "spec": spec,
    }


def version_of(image: str) -> str:
    """Return the tag of *image*, which is the service's version.

    >>> version_of("localhost:5000/checkout:v2")
    'v2'

    Raises:
        UsageError: it is no image's name as the catalogue takes it, or its tag cannot be a label's value.
    """
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    if not (re.fullmatch(IMAGE_PATTERN, image) and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", tag)):
        raise UsageError(
            "an image with a tag of at most 63 letters, digits, dots, underscores or dashes",
            repr(image),
            "give the image as repository:version",
        )
    return tag


def serving_container(deployment: Json) -> int:
    """Return the index of the container that serves: the one named as the Deployment, else the only one.

    Raises:
        UsageError: there are several, and none has the Deployment's name.
    """
    name = deployment["metadata"]["name"]
    names = [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]]
    if name in names:
        return names.index(name)
    if len(names) == 1:
        return 0
    raise UsageError(
        f"a container named {name} in the Deployment {name}",
        ", ".join(names),
        "name the container that serves after its service",
    )


def serving_image(deployment: Json) -> str:
    """Return the image of the container that serves."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return str(containers[serving_container(deployment)]["image"])


def _with_image(deployment: Json, image: str, track: str) -> Json:
    """Return *deployment*'s template with *image*, its version and *track*; everything else stays."""
    template: Json = without_restart(deployment["spec"]["template"])
    version = version_of(image)
    template["metadata"]["labels"] |= {APP_VERSION: version, TRACK: track}
    template["spec"]["containers"][serving_container(deployment)]["image"] = image
    return template


def _template_patch(deployment: Json, template: Json, annotations: dict[str, str]) -> list[Json]:
    version = _version_label(template)
    operations: list[tuple[str, str, object]] = [
        ("replace", pointer("spec", "template"), template),
    ]
    for part, entries in (("labels", {APP_VERSION: version} if version else {}), ("annotations", annotations)):
        if deployment["metadata"].get(part):
            operations += [("add", pointer("metadata", part, key), value) for key, value in entries.items()]
        elif entries:
            operations.append(("add", pointer("metadata", part), entries))
    changes = [{"op": op, "path": where, "value": copy.deepcopy(value)} for op, where, value in operations]
    return [*is_still(deployment), *changes]


def _without_mark(deployment: Json) -> list[Json]:
    """Return the operation that takes a roll-back's mark away: what is deployed now was not rolled back to."""
    marked = ROLLED_BACK in (deployment["metadata"].get("annotations") or {})
    return [{"op": "remove", "path": pointer("metadata", "annotations", ROLLED_BACK)}] if marked else []


def _version_label(template: Json) -> str:
    return str((template["metadata"].get("labels") or {}).get(APP_VERSION, ""))
