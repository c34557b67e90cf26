"""The files of a volume, and how they are exchanged."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.local.pods import atomic
from quarterdeck_scripts.local.pods.fields import Identity, UnresolvedError
from quarterdeck_scripts.local.pods.payload import File, Sources, TokenRequest, files, references, token_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json

TOKEN = TokenRequest("", 3607)


@pytest.fixture
def sources(pod: Callable[..., Json], objects: Callable[..., Any]) -> Sources:
    """Return a pod, a ConfigMap `settings`, a Secret `keys`, and a token."""
    config = {"kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "settings"}}
    secret = {"kind": "Secret", "metadata": {"namespace": "shop", "name": "keys"}}
    lookup = objects(
        {**config, "data": {"a.yml": "a: 1", "b.yml": "b: 2"}, "binaryData": {"c": base64.b64encode(b"\0").decode()}},
        {**secret, "data": {"key": base64.b64encode(b"s3cret").decode()}},
    )
    return Sources(pod(), Identity("127.77.1.0", "127.77.255.1"), lookup, {TOKEN: "eyJ"})


def test_every_key_of_a_config_map_is_a_file(sources: Sources) -> None:
    """Text and binary data, with the volume's mode."""
    volume = {"name": "v", "configMap": {"name": "settings", "defaultMode": 0o440}}

    assert files(volume, sources) == {
        "a.yml": File(b"a: 1", 0o440),
        "b.yml": File(b"b: 2", 0o440),
        "c": File(b"\0", 0o440),
    }


def test_items_choose_keys_and_name_their_files(sources: Sources) -> None:
    """Each may have a mode of its own."""
    items = [{"key": "key", "path": "tls/key.pem", "mode": 0o400}]

    assert files({"name": "v", "secret": {"secretName": "keys", "items": items}}, sources) == {
        "tls/key.pem": File(b"s3cret", 0o400)
    }


def test_a_projected_volume_is_all_of_its_sources_together(sources: Sources) -> None:
    """The volume that every pod has for its ServiceAccount, for one."""
    volume = {
        "name": "kube-api-access",
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "settings", "items": [{"key": "a.yml", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ],
        },
    }

    assert list(token_requests(volume)) == [TOKEN]
    assert list(references(volume)) == [("ConfigMap", "settings")]
    assert files(volume, sources) == {
        "token": File(b"eyJ", 0o600),
        "ca.crt": File(b"a: 1"),
        "namespace": File(b"shop"),
    }


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            {"configMap": {"name": "settings", "items": [{"key": "z", "path": "z"}]}},
            "references non-existent config key: z",
        ),
        ({"projected": {"sources": [{"clusterTrustBundle": {}}]}}, "unsupported volume source: clusterTrustBundle"),
    ],
)
def test_what_a_volume_lacks_is_named(sources: Sources, volume: Json, message: str) -> None:
    """The message becomes that of the FailedMount event."""
    with pytest.raises(UnresolvedError) as missing:
        files({"name": "v", **volume}, sources)

    assert str(missing.value) == message


def test_an_optional_volume_that_lacks_its_source_is_empty(sources: Sources) -> None:
    """The pod starts all the same."""
    assert files({"name": "v", "secret": {"secretName": "none", "optional": True}}, sources) == {}


def test_files_are_exchanged_all_at_once(tmp_path: Path) -> None:
    """Every path leads through one link, and that link is what changes; what is gone has no path any more."""
    folder = tmp_path / "volume"
    assert atomic.write(folder, {"a": File(b"1"), "sub/b": File(b"2", 0o400)})
    first = (folder / "..data").readlink()

    assert (folder / "a").readlink().parts == ("..data", "a")
    assert (folder / "sub" / "b").read_bytes() == b"2"
    assert (folder / "sub" / "b").stat().st_mode & 0o777 == 0o400
    assert not atomic.write(folder, {"a": File(b"1"), "sub/b": File(b"2", 0o400)})
    assert (folder / "..data").readlink() == first

    assert atomic.write(folder, {"a": File(b"3"), "c": File(b"4")})

    assert (folder / "..data").readlink() != first
    assert sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("..")) == ["a", "c"]
    assert ((folder / "a").read_bytes(), (folder / "c").read_bytes()) == (b"3", b"4")
    assert len([entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()]) == 1
