"""Kubernetes objects as files: their order, their names, their text. Pure: the same objects give the same bytes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract.errors import QuarterdeckError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Manifest = dict[str, Any]
"""A Kubernetes object as it is sent to the API server."""

_CLUSTER_SCOPED_FIRST = ("Namespace", "PriorityClass", "StorageClass", "CustomResourceDefinition")
_ORDER = (
    *_CLUSTER_SCOPED_FIRST,
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "ConfigMap",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "PodDisruptionBudget",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "Ingress",
)
"""Kinds in the order they are applied: what is referred to comes before what refers to it. Any other kind is last."""

_CLUSTER_SCOPED = frozenset({*_CLUSTER_SCOPED_FIRST, "ClusterRole", "ClusterRoleBinding", "PersistentVolume"})

PULUMI_ANNOTATIONS = "pulumi.com/"
"""Prefix of annotations that direct Pulumi's provider (`pulumi.com/skipAwait`); nobody else reads them."""


class RenderError(QuarterdeckError):
    """The program describes something that cannot be written as a manifest."""


def to_files(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return *objects* as YAML by file name, in the order in which they are to be applied.

    Numbers may be floats: Pulumi's wire format has no integers.

    Raises:
        RenderError: an object has no name or no namespace, or two are the same.
    """
    return {name: to_yaml(each) for name, each in ordered(objects).items()}


def ordered(objects: Iterable[Mapping[str, Any]]) -> dict[str, Manifest]:
    """Return *objects* as manifests by file name, in the order in which they are to be applied.

    Raises:
        RenderError: an object has no name or no namespace, or two are the same.
    """
    manifests = [clean(each) for each in objects]
    named = sorted(((file_name(each), each) for each in manifests), key=lambda pair: pair[0])
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise RenderError("every object once", f"{twice[0]} twice", "give one of them another name")
    return dict(named)


def clean(captured: Mapping[str, Any]) -> Manifest:
    """Return the manifest in *captured*: whole numbers, sorted keys, no directives to Pulumi's provider."""
    manifest: Manifest = _normal(captured)
    metadata = manifest.get("metadata", {})
    kept = {k: v for k, v in metadata.get("annotations", {}).items() if not k.startswith(PULUMI_ANNOTATIONS)}
    metadata.pop("annotations", None)
    if kept:
        metadata["annotations"] = kept
    first = {key: manifest.pop(key) for key in ("apiVersion", "kind", "metadata") if key in manifest}
    first["metadata"] = dict(sorted(metadata.items()))
    return first | manifest


def file_name(manifest: Manifest) -> str:
    """Return *manifest*'s file name: it sorts in the order of application, and no two objects share one.

    >>> file_name({"kind": "Service", "metadata": {"namespace": "shop", "name": "checkout"}})
    '14-service_shop_checkout.yaml'

    Raises:
        RenderError: the object has no name, or no namespace although its kind has one.
    """
    kind, metadata = manifest["kind"], manifest["metadata"]
    if not metadata.get("name"):
        raise RenderError("a name for every object, set by the program", f"a {kind} without one", "set metadata.name")
    place = metadata.get("namespace")
    if not place and kind in _ORDER and kind not in _CLUSTER_SCOPED:
        raise RenderError(f"a namespace for {kind} {metadata['name']}", "none", "set metadata.namespace")
    rank = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
    # An underscore is in no name of a namespace; a colon is in some roles' names and in no file name on Windows.
    parts = [kind.lower(), *([place] if place else []), metadata["name"].replace(":", ".")]
    return f"{rank:02d}-{'_'.join(parts)}.yaml"


def to_yaml(manifest: Manifest) -> str:
    """Return *manifest* as one YAML document: keys as they come, texts of several lines as blocks."""
    # libyaml takes what is beyond the basic plane for unprintable, and writes such texts another way.
    dumper = _PlainDumper if _beyond_the_basic_plane(manifest) else _Dumper
    return yaml.dump(manifest, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)


class _WithoutAliases:
    """Writes what stands in several places several times."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


class _PlainDumper(_WithoutAliases, yaml.SafeDumper):
    """Writes texts of several lines as literal blocks, and no anchors."""


class _Dumper(_WithoutAliases, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # one of two
    """Writes the same bytes, fourteen times as fast where PyYAML was built with libyaml."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_PlainDumper.add_representer(str, _represent_text)
_Dumper.add_representer(str, _represent_text)


def _beyond_the_basic_plane(value: Any) -> bool:
    match value:
        case str():
            return not value.isascii() and max(value) > "\uffff"
        case dict():
            return any(map(_beyond_the_basic_plane, (*value.keys(), *value.values())))
        case list():
            return any(map(_beyond_the_basic_plane, value))
        case _:
            return False


def _normal(value: Any) -> Any:
    match value:
        case dict():
            return {key: _normal(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_normal(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
