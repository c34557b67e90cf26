"""The downward API: what a pod may ask about itself, by `fieldRef` and `resourceFieldRef`. Pure.

Source: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.bootstrap import NODE_CAPACITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Json


class UnresolvedError(Exception):
    """Something the pod refers to is not there (yet); the text is the message of its waiting reason."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a pod is given that its manifest does not say."""

    pod_ip: str
    host_ip: str


def field_value(pod: Json, path: str, identity: Identity) -> str:
    """Return the field of *pod* that a `fieldRef` names.

    Raises:
        UnresolvedError: there is no such field.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "metadata.labels": _lines(metadata.get("labels", {})),
        "metadata.annotations": _lines(metadata.get("annotations", {})),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": identity.pod_ip,
        "status.podIPs": identity.pod_ip,
        "status.hostIP": identity.host_ip,
        "status.hostIPs": identity.host_ip,
    }
    if path in simple:
        return str(simple[path])
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if subscript:
        return str(metadata.get(subscript[1], {}).get(subscript[2], ""))
    raise UnresolvedError(f"unsupported fieldPath: {path}")


def resource_value(pod: Json, reference: Json, container: Json | None = None) -> str:
    """Return the number that a `resourceFieldRef` names, rounded up to its divisor.

    A limit that is not set is the node's capacity; a request that is not set is the limit when there is one.

    Raises:
        UnresolvedError: there is no such container or resource.
    """
    name = reference.get("containerName")
    specs = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    chosen = next((spec for spec in specs if spec["name"] == name), None) if name else container
    kind, _, resource = reference["resource"].partition(".")
    if chosen is None or kind not in {"limits", "requests"} or resource not in NODE_CAPACITY:
        raise UnresolvedError(f"unsupported resourceFieldRef: {name or ''} {reference['resource']}")
    resources = chosen.get("resources", {})
    limit = resources.get("limits", {}).get(resource, NODE_CAPACITY[resource])
    request = resources.get("requests", {}).get(resource, resources.get("limits", {}).get(resource, "0"))
    value = quantity(limit if kind == "limits" else request)
    divisor = quantity(reference.get("divisor") or "0") or Decimal(1)
    return str(math.ceil(value / divisor))


_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
"""Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""


def quantity(text: str) -> Decimal:
    """Return the number a Kubernetes quantity stands for.

    >>> quantity("1500m")
    Decimal('1.500')
    >>> quantity("64Mi")
    Decimal('67108864')

    Raises:
        UnresolvedError: *text* is no quantity.
    """
    match = re.fullmatch(r"([+-]?[0-9.]+)(m|k|[MGTPE]|[KMGTPE]i)?", str(text))
    if match is None:
        raise UnresolvedError(f"unsupported quantity: {text}")
    return Decimal(match[1]) * _SUFFIXES[match[2] or ""]


def _lines(entries: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(entries.items()))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
