"""A container's command line and environment, from its manifest, its image and what both refer to. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from quarterdeck_scripts.local.pods.fields import Identity, UnresolvedError, field_value, resource_value
from quarterdeck_scripts.local.pods.paths import rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.images import Image


class Lookup(Protocol):
    """Where ConfigMaps and Secrets are looked up."""

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return the object; None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """All that a container's environment is made of, beyond its manifest."""

    pod: Json
    identity: Identity
    lookup: Lookup
    mounts: Mapping[str, str]
    """Mount path to real folder; see `paths`."""
    base: Mapping[str, str]
    """What every container of ours gets; the image and the manifest override it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A process ready to be started."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    """As the manifest or the image says; empty: the container's root."""


def plan(container: Json, image: Image, context: Context) -> Plan:
    """Return what to run for *container*.

    The image's own program, variables and folder are paths of this machine and stay as they are; the manifest's
    speak of the container's file system, so mount paths in them are replaced, before `$(NAME)` is.

    Raises:
        UnresolvedError: a ConfigMap, Secret, key or field is missing.
    """
    variables = environment(container, image, context)
    given = {
        part: [expand(rewrite(argument, context.mounts), variables) for argument in container.get(part) or []]
        for part in ("command", "args")
    }
    if given["command"]:  # it replaces the image's arguments too
        arguments = given["command"] + given["args"]
    else:
        arguments = [*image.entrypoint, *(given["args"] or image.command)]
    folder = container.get("workingDir")
    return Plan(tuple(arguments), variables, rewrite(folder, context.mounts) if folder else image.working_directory)


def environment(container: Json, image: Image, context: Context) -> dict[str, str]:
    """Return the container's variables: ours, then the image's, then the manifest's, expanded in order.

    Raises:
        UnresolvedError: a ConfigMap, Secret, key or field is missing.
    """
    variables = dict(context.base)
    variables.update(entry.partition("=")[::2] for entry in image.environment)
    for source in container.get("envFrom") or []:
        taken = _all_of(source, context)
        variables.update({name: rewrite(value, context.mounts) for name, value in taken.items()})
    for entry in container.get("env") or []:
        if (value := _value_of(entry, container, context)) is None:
            continue
        value = rewrite(value, context.mounts)
        variables[entry["name"]] = value if "valueFrom" in entry else expand(value, variables)
    return variables


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is an escaped `$`; an unknown name stays as it is written.

    >>> expand("$(HOST):$$(PORT) $(NONE)", {"HOST": "a", "PORT": "b"})
    'a:$(PORT) $(NONE)'
    """

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^()]*)\)", replaced, text)


def _all_of(source: Json, context: Context) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
        if field in source:
            data = data_of(kind, source[field], context.lookup, context.pod["metadata"]["namespace"])
            return {f"{prefix}{key}": value.decode(errors="replace") for key, value in (data or {}).items()}
    return {}


def _value_of(entry: Json, container: Json, context: Context) -> str | None:
    """Return one variable's value as it stands; None for an optional one whose source is missing."""
    source = entry.get("valueFrom")
    if source is None:
        return str(entry.get("value", ""))
    if "fieldRef" in source:
        return field_value(context.pod, source["fieldRef"]["fieldPath"], context.identity)
    if "resourceFieldRef" in source:
        return resource_value(context.pod, source["resourceFieldRef"], container)
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if field in source:
            return _key(kind, source[field], context)
    raise UnresolvedError(f"unsupported source of variable {entry['name']}: {', '.join(source)}")


def _key(kind: str, reference: Json, context: Context) -> str | None:
    namespace = context.pod["metadata"]["namespace"]
    data = data_of(kind, reference, context.lookup, namespace)
    if data is not None and reference["key"] in data:
        return data[reference["key"]].decode(errors="replace")
    if reference.get("optional"):
        return None
    raise UnresolvedError(f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}")


def data_of(kind: str, reference: Json, lookup: Lookup, namespace: str) -> dict[str, bytes] | None:
    """Return the data of a ConfigMap or Secret; None when it is missing and the reference is optional.

    Raises:
        UnresolvedError: it is missing.
    """
    name = reference.get("name") or reference.get("secretName") or ""
    found = lookup.get(kind, namespace, name)
    if found is None:
        if reference.get("optional"):
            return None
        raise UnresolvedError(f'{kind.lower()} "{name}" not found')
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
