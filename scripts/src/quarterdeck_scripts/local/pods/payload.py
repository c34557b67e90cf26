"""The files of a volume, from its manifest and what it refers to. Pure: `volumes` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.pods.environment import data_of
from quarterdeck_scripts.local.pods.fields import UnresolvedError, field_value, resource_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.environment import Lookup
    from quarterdeck_scripts.local.pods.fields import Identity

DEFAULT_MODE = 0o644
TOKEN_MODE = 0o600
"""Of a ServiceAccount token. The kubelet's too, where the pod's user owns it."""
WRITTEN = ("configMap", "secret", "downwardAPI", "projected")
"""Kinds of volume whose files are written from the API; `emptyDir` is the other kind there is here."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int = DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A ServiceAccount token that a volume wants."""

    audience: str
    """Empty: the API server's own."""
    expiry: int
    """Seconds it is to be valid."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What volumes are filled from."""

    pod: Json
    identity: Identity
    lookup: Lookup
    tokens: Mapping[TokenRequest, str]


def token_requests(volume: Json) -> Iterator[TokenRequest]:
    """Yield the tokens that a volume needs."""
    for source in volume.get("projected", {}).get("sources", []):
        if token := source.get("serviceAccountToken"):
            yield _token_request(token)


def references(volume: Json) -> Iterator[tuple[str, str]]:
    """Yield kind and name of each ConfigMap and Secret that a volume is filled from."""
    for source in (volume, *volume.get("projected", {}).get("sources", [])):
        if "configMap" in source:
            yield "ConfigMap", source["configMap"]["name"]
        if "secret" in source:
            yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]


def files(volume: Json, sources: Sources) -> dict[str, File]:
    """Return path, relative to the volume, to file.

    Raises:
        UnresolvedError: what the volume refers to is missing.
    """
    if "projected" in volume:
        mode = volume["projected"].get("defaultMode", DEFAULT_MODE)
        result: dict[str, File] = {}
        for source in volume["projected"].get("sources", []):
            result |= _source_files(source, sources, mode)
        return result
    kind = next(kind for kind in WRITTEN if kind in volume)
    return _source_files(volume, sources, volume[kind].get("defaultMode", DEFAULT_MODE))


def _source_files(source: Json, sources: Sources, mode: int) -> dict[str, File]:
    namespace = sources.pod["metadata"]["namespace"]
    for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
        if field in source:
            data = data_of(kind, source[field], sources.lookup, namespace)
            return _chosen(data or {}, source[field], mode)
    if "downwardAPI" in source:
        return {item["path"]: _downward(item, sources, mode) for item in source["downwardAPI"].get("items", [])}
    if token := source.get("serviceAccountToken"):
        return {token["path"]: File(sources.tokens[_token_request(token)].encode(), TOKEN_MODE)}
    raise UnresolvedError(f"unsupported volume source: {', '.join(source)}")


def _chosen(data: Mapping[str, bytes], reference: Json, mode: int) -> dict[str, File]:
    """Return all keys as files, or those that `items` names."""
    items = reference.get("items")
    if items is None:
        return {key: File(content, mode) for key, content in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not reference.get("optional"):
        raise UnresolvedError(f"references non-existent config key: {missing[0]}")
    return {item["path"]: File(data[item["key"]], item.get("mode", mode)) for item in items if item["key"] in data}


def _downward(item: Json, sources: Sources, mode: int) -> File:
    if "fieldRef" in item:
        text = field_value(sources.pod, item["fieldRef"]["fieldPath"], sources.identity)
    else:
        text = resource_value(sources.pod, item["resourceFieldRef"])
    return File(text.encode(), item.get("mode", mode))


def _token_request(token: Json) -> TokenRequest:
    return TokenRequest(token.get("audience", ""), token.get("expirationSeconds", 3600))
