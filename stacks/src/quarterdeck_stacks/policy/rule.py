"""What a rule is, and what of a manifest rules look at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.kubernetes import NODE_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Manifest = Mapping[str, Any]

EXEMPT = frozenset({NODE_NAMESPACE})
"""Namespaces whose pods are not held to `restricted`: the node agents' own."""

_POD_SPECS: Mapping[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "Deployment": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
"""Kind to where its pods' specification is."""


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """A rule about one object by itself."""

    name: str
    """As Pulumi knows it: `quarterdeck-digests`."""
    says: str
    """What it demands, one sentence."""
    check: Callable[[Manifest, frozenset[str]], Iterable[str]]
    """From an object and the exempt namespaces to what is wrong with it."""
    exempt: frozenset[str] = frozenset()
    """Namespaces that are not held to it, unless the pack is configured otherwise."""


@dataclass(frozen=True, slots=True)
class StackRule:
    """A rule about objects together."""

    name: str
    says: str
    check: Callable[[Iterable[Manifest], frozenset[str]], Iterable[str]]
    """From all objects and the exempt namespaces to what is wrong with them."""
    exempt: frozenset[str] = frozenset()
    """As of an ObjectRule."""


def pod_spec(manifest: Manifest) -> Manifest | None:
    """Return the specification of the pods that *manifest* makes; None when it makes none."""
    path = _POD_SPECS.get(manifest.get("kind", ""))
    return at(manifest, *path) if path else None


def is_exempt(manifest: Manifest, exempt: frozenset[str]) -> bool:
    """Return whether *manifest* is in one of the *exempt* namespaces; what is in none never is."""
    return at(manifest, "kind") != "ClusterRole" and namespace(manifest) in exempt


def containers(spec: Manifest) -> Iterator[Manifest]:
    """Yield every container of a pod, those that run first included."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def at(value: Any, *path: str) -> Any:
    """Return what is at *path* in *value*; None where something on the way is missing."""
    for part in path:
        value = (value or {}).get(part)
    return value


def namespace(manifest: Manifest) -> str:
    """Return the namespace *manifest* is in; the default one where it says none."""
    return at(manifest, "metadata", "namespace") or "default"


def name(manifest: Manifest) -> str:
    """Return the object's kind and name, for messages: `Deployment shop/checkout`."""
    return f"{manifest.get('kind')} {namespace(manifest)}/{at(manifest, 'metadata', 'name')}"
