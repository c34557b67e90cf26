"""The pod templates that a workload has had, and which of them it goes back to. Pure.

A Deployment's are kept in its ReplicaSets, a StatefulSet's and a DaemonSet's in ControllerRevisions: objects of
either kind are called *kept* here.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import APP_VERSION, ROLLED_BACK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.client import Json

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""On a pod template: when a restart was asked for, RFC 3339. kubectl's own, so that it shows there too."""

REVISION = "deployment.kubernetes.io/revision"
"""On a Deployment and its ReplicaSets, written by the controller: the number of the revision."""

TEMPLATE_HASH = "pod-template-hash"
"""The label by which the controller tells a ReplicaSet's pods apart; it must not come back with a template."""

REVISION_HASH = "controller-revision-hash"
"""The same on pods of StatefulSets (the name of their ControllerRevision) and DaemonSets (its hash)."""


def template_hash(pod: Json) -> str:
    """Return what tells the template of *pod* from others of its workload; empty where nobody wrote it."""
    found = pod["metadata"].get("labels") or {}
    return str(found.get(TEMPLATE_HASH) or found.get(REVISION_HASH) or "")


@dataclass(frozen=True, slots=True)
class Revision:
    """One pod template that a workload has had."""

    number: int
    """The controller's count. A template that comes back takes a new number."""
    replica_set: str
    """Name of the ReplicaSet or ControllerRevision that keeps it."""
    template: Json
    """The whole pod template, without the controller's hash label."""

    @property
    def version(self) -> str:
        """The version label of its pods; empty when they have none."""
        return str((self.template["metadata"].get("labels") or {}).get(APP_VERSION, ""))

    @property
    def images(self) -> tuple[str, ...]:
        """The images of its containers, in order."""
        return tuple(container["image"] for container in self.template["spec"]["containers"])


def revisions(deployment: Json, replica_sets: Iterable[Json]) -> tuple[Revision, ...]:
    """Return the revisions of the workload *deployment* that the cluster still keeps, newest first."""
    uid = deployment["metadata"]["uid"]
    owned = (
        _revision(found)
        for found in replica_sets
        if any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences") or [])
    )
    return tuple(sorted(owned, key=lambda revision: revision.number, reverse=True))


def _revision(kept: Json) -> Revision:
    name = kept["metadata"]["name"]
    if "data" in kept:  # a ControllerRevision has a strategic merge patch, which replaces the template as a whole
        template = {key: value for key, value in kept["data"]["spec"]["template"].items() if key != "$patch"}
        return Revision(kept["revision"], name, _without_hash(template))
    number = int((kept["metadata"].get("annotations") or {}).get(REVISION, 0))
    return Revision(number, name, _without_hash(kept["spec"]["template"]))


def previous_revision(deployment: Json, replica_sets: Iterable[Json], *, without: str = "") -> Revision | None:
    """Return the newest revision that differs from the present template by more than a restart.

    A restart makes a revision of its own; going back to the one before it would bring the same pods again. So does an
    edit of a version that is not to serve: its image is one to do *without*, whatever else a revision has.
    """
    present = without_restart(deployment["spec"]["template"])
    for revision in revisions(deployment, replica_sets):
        if without_restart(revision.template) != present and without not in revision.images:
            return revision
    return None


@dataclass(frozen=True, slots=True)
class RollBack:
    """What an undo left on the Deployment, so that doing it again does not bring back what was undone."""

    from_version: str
    to_version: str
    replica_set: str
    """The ReplicaSet whose template was restored."""
    revision: int | None = None
    """Number of the revision that was undone: another template with a higher one came later. None in older marks."""


def rolled_back(deployment: Json, replica_sets: Iterable[Json]) -> RollBack | None:
    """Return the roll-back that *deployment* stands at; None when something was deployed since, or none was.

    Something else may have come and gone: then the present template is one that was deployed, not restored.
    """
    written = (deployment["metadata"].get("annotations") or {}).get(ROLLED_BACK)
    if not written:
        return None
    mark = RollBack(**json.loads(written))
    present = without_restart(deployment["spec"]["template"])
    kept = revisions(deployment, replica_sets)
    if mark.revision is not None and any(
        revision.number > mark.revision and without_restart(revision.template) != present for revision in kept
    ):
        return None
    for revision in kept:
        if revision.replica_set == mark.replica_set:
            return mark if without_restart(revision.template) == present else None
    return None


def present_number(deployment: Json, replica_sets: Iterable[Json]) -> int:
    """Return the number of the revision of the present template, or that it will have once its controller sees it."""
    kept = revisions(deployment, replica_sets)
    newest = kept[0].number if kept else 0
    is_newest = bool(kept) and kept[0].template == _without_hash(deployment["spec"]["template"])
    return newest if is_newest else newest + 1


def restart_of(deployment: Json, replica_sets: Iterable[Json]) -> str | None:
    """Return when a restart was asked for that made the present template; None: it is more than a restart."""
    present = deployment["spec"]["template"]
    asked = (present["metadata"].get("annotations") or {}).get(RESTARTED_AT)
    for revision in revisions(deployment, replica_sets):
        if revision.template != present:
            return str(asked) if asked and without_restart(revision.template) == without_restart(present) else None
    return None


def _without_hash(template: Json) -> Json:
    plain = copy.deepcopy(template)
    (plain["metadata"].get("labels") or {}).pop(TEMPLATE_HASH, None)
    if plain["metadata"].get("creationTimestamp", "") is None:  # how some releases write a time that is not set
        del plain["metadata"]["creationTimestamp"]
    return plain


def without_restart(template: Json) -> Json:
    """Return a pod template without what a restart and the controller write on it, to compare it by."""
    plain = _without_hash(template)
    annotations = plain["metadata"].get("annotations") or {}
    annotations.pop(RESTARTED_AT, None)
    if not annotations:
        plain["metadata"].pop("annotations", None)
    return plain
