"""Which cluster a stack is deployed to: one that is there, or one that the stack makes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from quarterdeck_stacks.settings.keys import choice, key, text

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ClusterKind(StrEnum):
    """Who makes the cluster."""

    EXISTING = "existing"
    """Somebody else: the stack is told a kubeconfig and a context."""
    EKS = "eks"
    """The stack, on Amazon's EKS."""
    GKE = "gke"
    """The stack, on Google's GKE."""
    AKS = "aks"
    """The stack, on Azure's AKS."""


def _uid(value: str) -> str:
    if value and not _UID.fullmatch(value):
        raise ValueError(f"expected the UID of the namespace kube-system, found {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which cluster the stack is deployed to."""

    kind: ClusterKind = key("clusterKind", choice(ClusterKind))
    """Who makes the cluster: `existing` is told by kubeconfig and context, the others are made by the stack."""
    uid: str = key("clusterUid", _uid)
    """UID of its namespace kube-system, by which a cluster is told from every other; a context that points elsewhere is
    refused. Empty: not compared, right for a cluster that is thrown away and made again."""
    kubeconfig: str = key("kubeconfig", text, shown=False)
    """Path relative to the project's root, or the contents; empty is kubectl's own. Not shown: it may be a secret."""
    context: str = key("context", text)
    """Context in the kubeconfig; empty is its current one, which only a kubeconfig named here may decide."""
