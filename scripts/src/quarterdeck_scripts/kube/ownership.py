"""Who else describes an object, and will put it back to that: read from labels, annotations and `managedFields`. Pure.

Sources: the tools' documentation of their tracking marks and field managers, at each entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_scripts.kube.client import Json


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that applies manifests."""

    name: str
    reverts: bool
    """Whether it puts a changed field back by itself, in minutes; otherwise when somebody runs it."""
    advice: str
    """How to have it leave the object alone for a while, or what to change for good."""
    managers: str
    """Regular expression of its field managers."""
    marks: tuple[str, ...] = ()
    """Labels and annotations that say the object is its own; a `/` at the end stands for any key with that prefix."""


TOOLS = (
    Tool(
        "Argo CD",
        reverts=True,
        advice="turn selfHeal off in its Application or ignore the difference there, and change the image in Git",
        managers=r"argocd-(application-)?controller",
        marks=("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"),
    ),
    Tool(
        "Flux's kustomize-controller",
        reverts=True,
        advice="run `flux suspend kustomization`, and change the image in Git",
        managers=r"kustomize-controller",
        marks=("kustomize.toolkit.fluxcd.io/name",),
    ),
    Tool(
        "Flux's helm-controller",
        reverts=True,
        advice="run `flux suspend helmrelease`, and change the image in Git",
        managers=r"helm-controller",
        marks=("helm.toolkit.fluxcd.io/name",),
    ),
    Tool(
        "Fleet",
        reverts=True,
        advice="pause its GitRepo, and change the image in Git",
        managers=r"fleet-?agent",
        marks=("objectset.rio.cattle.io/id",),
    ),
    Tool(
        "Config Sync",
        reverts=True,
        advice="stop syncing it, and change the image in Git",
        managers=r"configsync\.gke\.io.*|configmanagement\.gke\.io.*",
        marks=("configsync.gke.io/resource-id", "configmanagement.gke.io/managed"),
    ),
    Tool(
        "Argo Rollouts or Flagger",
        reverts=True,
        advice="let that one roll it out, or take its resource away first",
        managers=r"rollouts-controller|flagger",
        marks=("rollouts.argoproj.io/", "flagger.app/"),
    ),
    Tool(
        "Helm",
        reverts=False,
        advice="change the image in its values",
        managers=r"helm",
        marks=("meta.helm.sh/release-name",),
    ),
    Tool(
        "Terraform", reverts=False, advice="change the image in its configuration", managers=r"[Tt]erraform.*|HashiCorp"
    ),
    Tool(
        "kapp",
        reverts=False,
        advice="change the image in what kapp deploys",
        managers=r"kapp.*",
        marks=("kapp.k14s.io/app",),
    ),
    Tool(
        "Pulumi",
        reverts=False,
        advice="write the new image into services.yaml or the stack's `images`: --write-back prints the change",
        managers=r"pulumi-kubernetes.*|pulumi-resource-kubernetes.*",
    ),
    Tool(
        "quarterdeck stack",
        reverts=False,
        advice="write the new image into services.yaml or the stack's `images`: --write-back prints the change",
        managers=r"quarterdeck",
    ),
    Tool(
        "kubectl apply",
        reverts=False,
        advice="change the image in the manifest that was applied",
        managers=r"kubectl-client-side-apply|kubectl",
        marks=("kubectl.kubernetes.io/last-applied-configuration",),
    ),
)
"""Those that are told apart, each by what it writes itself."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A tool that describes an object, and how that shows."""

    tool: Tool
    sign: str
    """The field manager, label or annotation that says so."""


TEMPLATE = ("spec", "template")
"""What a rollout changes. Whoever owns any field beneath it describes the pods, also once another has set the image."""


def owners(found: Json) -> tuple[Owner, ...]:
    """Return the tools that describe *found*'s pods, each once: by its marks, or because it owns part of TEMPLATE."""
    metadata = found["metadata"]
    keys = [*(metadata.get("labels") or {}), *(metadata.get("annotations") or {})]
    managers = managers_of(found)
    return tuple(owner for tool in TOOLS if (owner := _owner(tool, keys, managers)))


def managers_of(found: Json) -> tuple[str, ...]:
    """Return the names of the field managers that own part of TEMPLATE, sorted."""
    return tuple(sorted({entry["manager"] for entry in _managing(found)}))


def _owner(tool: Tool, keys: Iterable[str], managers: Iterable[str]) -> Owner | None:
    for mark in tool.marks:
        for key in keys:
            if key == mark or (mark.endswith("/") and key.startswith(mark)):
                return Owner(tool, key)
    for manager in managers:
        if re.fullmatch(tool.managers, manager):
            return Owner(tool, f"field manager {manager}")
    return None


def _managing(found: Json) -> Iterator[Json]:
    for entry in found["metadata"].get("managedFields") or ():
        fields: Any = entry.get("fieldsV1") or {}
        for part in TEMPLATE:
            fields = fields.get(f"f:{part}") or {}
        if fields:
            yield entry
