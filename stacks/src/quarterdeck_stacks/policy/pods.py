"""Rules about what pods may do, ask for, and run. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from quarterdeck_stacks.policy.rule import EXEMPT, ObjectRule, at, containers, is_exempt, pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Manifest = Mapping[str, Any]

_VOLUMES = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
})  # fmt: skip
"""Volumes that PodSecurity's level `restricted` allows
(https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""
_LEVEL = "pod-security.kubernetes.io/enforce"
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def _restricted(manifest: Manifest, exempt: frozenset[str]) -> Iterator[str]:
    if manifest.get("kind") == "Namespace":
        named = at(manifest, "metadata", "name")
        if named not in exempt and at(manifest, "metadata", "labels", _LEVEL) != "restricted":
            yield f"the namespace {named} does not enforce PodSecurity's level restricted: label it {_LEVEL}=restricted"
    spec = pod_spec(manifest)
    if spec is None or is_exempt(manifest, exempt):
        return
    yield from (f"{key} must not be true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    for volume in spec.get("volumes") or ():
        for kind in sorted(volume.keys() - _VOLUMES - {"name"}):
            yield f"volume {volume.get('name')} must be no {kind}"
    pod = spec.get("securityContext") or {}
    for container in containers(spec):
        yield from (f"container {container.get('name')}: {wrong}" for wrong in _of_container(container, pod))


def _of_container(container: Manifest, pod: Manifest) -> Iterator[str]:
    own = container.get("securityContext") or {}
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True or own.get("runAsUser", pod.get("runAsUser")) == 0:
        yield "runAsNonRoot must be true, and runAsUser not 0"
    if (at(own, "seccompProfile", "type") or at(pod, "seccompProfile", "type")) not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile.type must be RuntimeDefault or Localhost"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "allowPrivilegeEscalation must be false"
    if "ALL" not in (at(own, "capabilities", "drop") or ()):
        yield "capabilities.drop must have ALL"
    added = set(at(own, "capabilities", "add") or ()) - {"NET_BIND_SERVICE"}
    yield from (f"capabilities.add must not have {capability}" for capability in sorted(added))
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true: give it a volume where it writes"
    yield from (
        f"hostPort {p['hostPort']} must not be taken" for p in container.get("ports") or () if p.get("hostPort")
    )


def _bounded(manifest: Manifest, exempt: frozenset[str]) -> Iterator[str]:
    if is_exempt(manifest, exempt):
        return
    for container in containers(pod_spec(manifest) or {}):
        resources = container.get("resources") or {}
        for part, resource in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if not at(resources, part, resource):
                yield f"container {container.get('name')}: resources.{part}.{resource} must be set"


def _pinned(manifest: Manifest, exempt: frozenset[str]) -> Iterator[str]:
    if is_exempt(manifest, exempt):
        return
    for container in containers(pod_spec(manifest) or {}):
        image = container.get("image") or ""
        if not _DIGEST.search(image):
            yield f"container {container.get('name')}: the image {image} must end in @sha256:… of what was tested"


RULES = (
    ObjectRule(
        "quarterdeck-restricted",
        "Pods keep to PodSecurity's level restricted with a read-only root file system, and namespaces enforce it.",
        _restricted,
        EXEMPT,
    ),
    ObjectRule("quarterdeck-bounded", "Containers request processor time and memory, and have a limit.", _bounded),
    ObjectRule("quarterdeck-digests", "Images are pinned by digest: a tag may be moved.", _pinned),
)
"""Rules about pods."""
