"""A pod's volumes as folders, filled and kept up to date, and each container's mounts of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.pods import atomic
from quarterdeck_scripts.local.pods.fields import UnresolvedError
from quarterdeck_scripts.local.pods.paths import Mounts, normalised
from quarterdeck_scripts.local.pods.payload import (
    WRITTEN,
    File,
    Sources,
    TokenRequest,
    files,
    references,
    token_requests,
)

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.api import Api
    from quarterdeck_scripts.local.pods.environment import Lookup
    from quarterdeck_scripts.local.pods.fields import Identity
    from quarterdeck_scripts.local.pods.settings import RunnerSettings

KUBECONFIG = "kubeconfig"
"""File that stands beside a ServiceAccount's token. A client library's in-cluster configuration has the token's
absolute path compiled in, which is no path of this machine; this file says the same by a path that can be given."""

_TOKEN_RENEWAL = 0.8
"""Share of a token's life after which it is renewed: the kubelet's."""


@dataclass(slots=True)
class _Token:
    text: str
    renew_at: float
    """Monotonic seconds."""


@dataclass(slots=True)
class PodVolumes:
    """The volumes of one pod."""

    pod: Json
    folder: Path
    """The pod's own: a root for each container, and the volumes, are in it."""
    api: Api
    lookup: Lookup
    settings: RunnerSettings
    _tokens: dict[TokenRequest, _Token] = field(default_factory=dict)

    def refers_to(self, kind: str, name: str) -> bool:
        """Say whether a volume is filled from the ConfigMap or Secret *name*."""
        return any((kind, name) in references(volume) for volume in self._volumes)

    async def fill(self, identity: Identity) -> None:
        """Write every volume's files, and renew its tokens when due.

        Raises:
            UnresolvedError: the message names the volume and what is missing.
            ApiError: a token was refused.
            UnreachableError: the API server does not answer.
        """
        for volume in self._volumes:
            await self._renew(volume)
            self._write(volume, identity)

    @property
    def renewal(self) -> float | None:
        """Monotonic seconds at which the first token is to be renewed; None without tokens."""
        return min((token.renew_at for token in self._tokens.values()), default=None)

    def mount(self, container: Json) -> Mounts:
        """Lay out the container's root: a link at every mount path to its volume; return what is where.

        A mount below another mount has no link, which would be in the other's volume: its path leads straight
        to its own volume.
        """
        root = self.root(container)
        root.mkdir(parents=True, exist_ok=True)
        mounts: Mounts = {}
        for entry in sorted(container.get("volumeMounts", []), key=lambda entry: len(entry["mountPath"])):
            path = normalised(entry["mountPath"])
            target = self._target(entry)
            place = root / path.lstrip("/")
            if any(path.startswith(f"{other}/") for other in mounts):
                mounts[path] = str(target)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_symlink():
                place.symlink_to(target)
            mounts[path] = str(place)
        return mounts

    def root(self, container: Json) -> Path:
        """Return the folder that stands for the container's `/`."""
        return self.folder / str(container["name"])

    def kubeconfig(self, container: Json, mounts: Mounts) -> str | None:
        """Return the kubeconfig of the pod's ServiceAccount as *container* finds it; None without a token."""
        with_token = {volume["name"] for volume in self._volumes if any(_own_tokens(volume))}
        for entry in container.get("volumeMounts", []):
            if entry["name"] in with_token:
                return f"{mounts[normalised(entry['mountPath'])]}/{KUBECONFIG}"
        return None

    @property
    def _volumes(self) -> list[Json]:
        return self.pod["spec"].get("volumes") or []

    def _place(self, name: str) -> Path:
        return self.folder / ".volumes" / name  # no container can be called so

    def _target(self, entry: Json) -> Path:
        if entry.get("subPathExpr"):
            raise UnresolvedError(f"subPathExpr of {entry['mountPath']} is not supported by the local environment")
        target = self._place(entry["name"])
        if subpath := entry.get("subPath"):
            target = target / subpath
            volume = next(volume for volume in self._volumes if volume["name"] == entry["name"])
            if "emptyDir" in volume:
                target.mkdir(parents=True, exist_ok=True)
        return target

    async def _renew(self, volume: Json) -> None:
        for wanted in token_requests(volume):
            held = self._tokens.get(wanted)
            if held is None or time.monotonic() >= held.renew_at:
                text, lifetime = await self.api.token(self.pod, wanted)
                self._tokens[wanted] = _Token(text, time.monotonic() + _TOKEN_RENEWAL * lifetime)

    def _write(self, volume: Json, identity: Identity) -> None:
        place = self._place(volume["name"])
        if "emptyDir" in volume:
            place.mkdir(parents=True, exist_ok=True)
            return
        if not any(kind in volume for kind in WRITTEN):
            kind = ", ".join(key for key in volume if key != "name")
            raise UnresolvedError(
                f'volume "{volume["name"]}": {kind} is not supported by the local environment, '
                f"which has emptyDir, {', '.join(WRITTEN)}"
            )
        tokens = {request: token.text for request, token in self._tokens.items()}
        try:
            content = files(volume, Sources(self.pod, identity, self.lookup, tokens))
        except UnresolvedError as error:
            raise UnresolvedError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
        for path in _own_tokens(volume):
            content[KUBECONFIG] = File(self._kubeconfig(place / path))
        atomic.write(place, content)

    def _kubeconfig(self, token: Path) -> bytes:
        cluster = {"server": self.settings.server, "certificate-authority": self.settings.authority}
        context = {"cluster": "local", "user": "pod", "namespace": self.pod["metadata"]["namespace"]}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "pod", "user": {"tokenFile": str(token)}}],
            "contexts": [{"name": "pod", "context": context}],
            "current-context": "pod",
        }
        return json.dumps(config, indent=2).encode()


def _own_tokens(volume: Json) -> list[str]:
    """Return the paths in *volume* of tokens for the API server itself."""
    sources = volume.get("projected", {}).get("sources", [])
    tokens = [source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source]
    return [token["path"] for token in tokens if not token.get("audience")]
