"""Pods with what anything here reads of them, and no more: 10,000 whole ones are half a gigabyte. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

_UNREAD = ("managedFields", "annotations")
"""Metadata that no decision about a pod is made from; who set a pod's fields is no operator's question."""
_OF_CONTAINERS = ("name", "image", "resources")


def trimmed(pod: Json) -> Json:
    """Return *pod* without most of its specification: what it runs, where, and how it is are kept."""
    spec = pod["spec"]
    kept = {key: [_container(each) for each in spec[key]] for key in ("containers", "initContainers") if key in spec}
    if "nodeName" in spec:
        kept["nodeName"] = spec["nodeName"]
    metadata = {key: value for key, value in pod["metadata"].items() if key not in _UNREAD}
    return {**pod, "metadata": metadata, "spec": kept}


def _container(container: Json) -> Json:
    return {key: container[key] for key in _OF_CONTAINERS if key in container}
