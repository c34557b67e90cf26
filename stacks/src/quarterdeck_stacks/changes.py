"""What going from one rendering to another changes, and which pods it restarts. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from quarterdeck_stacks.manifests import to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quarterdeck_stacks.manifests import Manifest


class Action(StrEnum):
    """What is done to one object."""

    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    """Deleted and made again: a field is different that the API server never changes."""
    DELETE = "delete"


MARKS = {Action.CREATE: "+", Action.CHANGE: "~", Action.REPLACE: "±", Action.DELETE: "-"}
"""How each begins its line."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one object, and what that does to pods."""

    action: Action
    kind: str
    name: str
    """With its namespace: `shop/checkout`."""
    restarts: str
    """What happens to running pods; empty: nothing."""
    because: tuple[str, ...]
    """Where the object differs, outermost first and no deeper than is of use: `spec.template.spec.containers`."""
    diff: str
    """The difference of the two texts, as `diff -u` writes it."""

    @property
    def summary(self) -> str:
        """One line: `~ Deployment shop/checkout: replaces its 3 pods, a few at a time`."""
        what = f"{MARKS[self.action]} {self.kind} {self.name}"
        return f"{what}: {self.restarts}" if self.restarts else what


@dataclass(frozen=True, slots=True)
class Comparison:
    """What deploying would change."""

    against: str
    """What it is compared with; where `changes` is None, why it is compared with nothing."""
    changes: list[Change] | None
    others: tuple[str, ...] = ()
    """What changes outside Kubernetes, a line each."""


_IMMUTABLE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Deployment": (("spec", "selector"),),
    "DaemonSet": (("spec", "selector"),),
    "StatefulSet": (
        ("spec", "selector"),
        ("spec", "serviceName"),
        ("spec", "podManagementPolicy"),
        ("spec", "volumeClaimTemplates"),
    ),
    "Job": (("spec", "selector"), ("spec", "template")),
    "Service": (("spec", "clusterIP"),),
    "PersistentVolumeClaim": (("spec", "storageClassName"), ("spec", "accessModes"), ("spec", "volumeName")),
    "RoleBinding": (("roleRef",),),
    "ClusterRoleBinding": (("roleRef",),),
    "StorageClass": (("provisioner",), ("parameters",), ("volumeBindingMode",)),
}
"""Kind to the fields that the API server refuses to change."""

_RUNS_PODS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_HOLDS_DATA = frozenset({"PersistentVolumeClaim", "Namespace", "PersistentVolume"})


def compare(before: Iterable[Manifest], after: Iterable[Manifest]) -> list[Change]:
    """Return what changes from *before* to *after*: what is in neither order alone last, in the order of *after*."""
    old = {_identity(each): each for each in before}
    new = {_identity(each): each for each in after}
    found = [_change(old.get(identity), each) for identity, each in new.items()]
    gone = [_change(each, None) for identity, each in old.items() if identity not in new]
    return [each for each in (*found, *gone) if each is not None]


def restarts(changes: Iterable[Change]) -> list[str]:
    """Return one sentence for each of *changes* that pods notice."""
    return [f"{each.kind} {each.name}: {each.restarts}" for each in changes if each.restarts]


def _identity(manifest: Manifest) -> tuple[str, str, str, str]:
    metadata = manifest["metadata"]
    # Not the version: the same object may be written in a newer one.
    group = manifest["apiVersion"].rpartition("/")[0]
    return group, manifest["kind"], metadata.get("namespace") or "", metadata["name"]


def _change(old: Manifest | None, new: Manifest | None) -> Change | None:
    if old == new:
        return None
    one = new or old or {}
    kind, metadata = one["kind"], one["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
    action = _action(old, new)
    because = tuple(_different(old or {}, new or {})) if action in {Action.CHANGE, Action.REPLACE} else ()
    return Change(action, kind, name, _effect(action, old, new), because, _diff(old, new, f"{kind} {name}"))


def _action(old: Manifest | None, new: Manifest | None) -> Action:
    if old is None:
        return Action.CREATE
    if new is None:
        return Action.DELETE
    fixed = any(_at(old, path) != _at(new, path) for path in _IMMUTABLE.get(new["kind"], ()))
    # An immutable ConfigMap or Secret may only be let go of.
    kept = old.get("immutable") and (old.get("data"), old.get("immutable")) != (new.get("data"), new.get("immutable"))
    return Action.REPLACE if fixed or kept else Action.CHANGE


def _effect(action: Action, old: Manifest | None, new: Manifest | None) -> str:
    one = new or old or {}
    if one["kind"] in _HOLDS_DATA:
        lost = {Action.DELETE: "deletes what is in it", Action.REPLACE: "deletes what is in it, and begins empty"}
        return lost.get(action, "")
    if one["kind"] not in _RUNS_PODS:
        return ""
    match action:
        case Action.CREATE:
            return f"starts {_pods(one)}"
        case Action.DELETE:
            return f"stops {_pods(one)}"
        case Action.REPLACE:
            return f"stops {_pods(one)} before new ones start{_kept(old, one)}"
        case Action.CHANGE:
            same = old is None or _at(old, ("spec", "template")) == _at(one, ("spec", "template"))
            return "" if same else f"replaces {_pods(one)}, {_manner(one)}"


def _kept(old: Manifest | None, new: Manifest) -> str:
    """Say that claims are made of their templates once: a size that is asked for later is not theirs."""
    templates = ("spec", "volumeClaimTemplates")
    same = old is None or not _at(old, templates) or _at(old, templates) == _at(new, templates)
    return "" if same else "; volumes that are there stay as they are"


def _pods(workload: Manifest) -> str:
    if workload["kind"] == "DaemonSet":
        return "its pod on every node"
    count = workload["spec"].get("replicas")
    if count is None:
        return "its pods, as many as its autoscaler runs"
    return "its one pod" if count == 1 else f"its {count} pods"


def _manner(workload: Manifest) -> str:
    spec = workload["spec"]
    if workload["kind"] == "Deployment":
        strategy = spec.get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return "all at once: nothing runs in between"
        if (strategy.get("rollingUpdate") or {}).get("maxUnavailable") == 0:
            return "each once a new one is Ready"
        return "a few at a time"
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return "when somebody deletes them"
    return "one after another"


def _at(manifest: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = manifest
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


_DEPTH = 4
"""Parts of a path: `spec.template.spec.containers` says enough, the rest is in the difference."""


def _different(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterable[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and len(path) < _DEPTH:
        for key in sorted({*old, *new}):
            yield from _different(old.get(key), new.get(key), (*path, key))
    else:
        yield ".".join(path)


def _diff(old: Manifest | None, new: Manifest | None, what: str) -> str:
    before, after = (to_yaml(each).splitlines(keepends=True) if each else [] for each in (old, new))
    return "".join(difflib.unified_diff(before, after, f"before: {what}", f"after: {what}"))
