"""A container's command line and environment, from its manifest, its image and what both refer to. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from quarterdeck_scripts.local.pods.fields import Identity, UnresolvedError, field_value, resource_value
from quarterdeck_scripts.local.pods.paths import rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    Raises:
        UnresolvedError: a ConfigMap, Secret, key or field is missing.
    """
    variables = environment(container, image, context)
    arguments = [*_command(container, image)]
    expanded = [rewrite(expand(argument, variables), context.mounts) for argument in arguments]
    working_directory = container.get("workingDir") or image.working_directory
    rewritten = {name: rewrite(value, context.mounts) for name, value in variables.items()}
    return Plan(tuple(expanded), rewritten, rewrite(working_directory, context.mounts))


def _command(container: Json, image: Image) -> Sequence[str]:
    """Return command and arguments: the manifest's command also replaces the image's arguments."""
    command = container.get("command") or []
    if command:
        return [*command, *(container.get("args") or [])]
    return [*image.entrypoint, *(container.get("args") or image.command)]


def environment(container: Json, image: Image, context: Context) -> dict[str, str]:
    """Return the container's variables, expanded; mount paths in them are not rewritten yet.

    Raises:
        UnresolvedError: a ConfigMap, Secret, key or field is missing.
    """
    variables = dict(context.base)
    variables.update(entry.partition("=")[::2] for entry in image.environment)
    for source in container.get("envFrom") or []:
        variables.update(_all_of(source, context))
    for entry in container.get("env") or []:
        if (value := _value_of(entry, container, variables, context)) is not None:
            variables[entry["name"]] = value
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


def _value_of(entry: Json, container: Json, variables: Mapping[str, str], context: Context) -> str | None:
    """Return one variable's value; None for an optional one whose source is missing."""
    source = entry.get("valueFrom")
    if source is None:
        return expand(entry.get("value", ""), variables)
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
