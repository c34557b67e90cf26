"""Which cluster a stack is deployed to: one that is there, or one that the stack makes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from quarterdeck_stacks.settings.cloud import CloudSettings
from quarterdeck_stacks.settings.keys import choice, group, key, text

RENDERING = "rendering"
"""The context that a rendering names instead of a cluster's: nothing is asked of any cluster then."""

OLDEST_VERSION = (1, 30)
"""The first Kubernetes whose kubelets wait before they stop a container (`preStop.sleep`): an older API server drops
the field in silence, and every rollout would cut connections."""

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


def _version(value: str) -> str:
    parts = value.split(".")
    if value and not (len(parts) == 2 and all(part.isdecimal() for part in parts)):  # noqa: PLR2004 -- major and minor
        raise ValueError(f"expected a version of Kubernetes such as 1.35, found {value!r}")
    if value and tuple(int(part) for part in parts) < OLDEST_VERSION:
        oldest = ".".join(str(part) for part in OLDEST_VERSION)
        raise ValueError(f"expected Kubernetes {oldest} or newer, found {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which cluster the stack is deployed to."""

    kind: ClusterKind = key("clusterKind", choice(ClusterKind))
    """Who makes the cluster: `existing` is told by kubeconfig and context, the others are made by the stack."""
    uid: str = key("clusterUid", _uid)
    """UID of its namespace kube-system, by which a cluster is told from every other; a context that points elsewhere is
    refused. Empty: not compared, right for a cluster that is thrown away and made again."""
    version: str = key("clusterVersion", _version)
    """Kubernetes' version, `1.35`: of the cluster to make, or of the one that exists, where it is known."""
    issuer: str = key("clusterIssuer", text)
    """URL of an existing cluster's OIDC issuer, for whoever federates its service accounts; else the stack knows it."""
    kubeconfig: str = key("kubeconfig", text, shown=False)
    """Path relative to the project's root, or the contents; empty is kubectl's own. Not shown: it may be a secret."""
    context: str = key("context", text)
    """Context in the kubeconfig; empty is its current one, which only a kubeconfig named here may decide."""
    cloud: CloudSettings = group(CloudSettings)

    @property
    def made(self) -> bool:
        """Whether the stack makes the cluster."""
        return self.kind is not ClusterKind.EXISTING

    @property
    def rendering(self) -> bool:
        """Whether this is a rendering, which knows no cluster."""
        return self.context == RENDERING
