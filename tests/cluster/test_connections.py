"""Connections to a real API server: whom one speaks to, as whom, and what is said when that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import ApiError, UnreachableError, list_all, path
from quarterdeck_scripts.local.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json

pytestmark = pytest.mark.tools


@pytest.fixture
def altered(api_server: Path, tmp_path: Path) -> Callable[[Callable[[Json], None]], Path]:
    """Return a function that writes the kubeconfig with a change in it."""

    def write(change: Callable[[Json], None]) -> Path:
        content = json.loads(api_server.read_text())
        change(content)
        file = tmp_path / "kubeconfig"
        file.write_text(json.dumps(content))
        return file

    return write


def test_a_server_with_another_certificate_is_not_spoken_to(
    altered: Callable[[Callable[[Json], None]], Path], tmp_path: Path
) -> None:
    """No request, and so no token, is sent; the message names what to check in the kubeconfig."""
    Authority(tmp_path, "ca")

    def change(content: Json) -> None:
        content["clusters"][0]["cluster"]["certificate-authority"] = str(tmp_path / "ca.crt")

    with pytest.raises(UnreachableError, match=r"(?s)SSLError.*certificate-authority in the kubeconfig"):
        connect(altered(change)).request("GET", path("Node"))


def test_an_expired_token_is_read_again_from_its_file(
    altered: Callable[[Callable[[Json], None]], Path], api_server: Path, tmp_path: Path
) -> None:
    """A real 401, and then the renewed token."""
    token = tmp_path / "token"
    token.write_text("expired")
    valid = json.loads(api_server.read_text())["users"][0]["user"]["token"]

    def change(content: Json) -> None:
        content["users"][0]["user"] = {"tokenFile": str(token)}

    cluster = connect(altered(change))
    with pytest.raises(ApiError) as caught:
        cluster.request("GET", path("Node"))
    assert caught.value.status == 401

    token.write_text(valid)
    assert cluster.request("GET", path("Node"))["kind"] == "NodeList"


def test_a_long_list_comes_in_pages(api_server: Path) -> None:
    """The server's own `continue`, over 1,100 objects."""
    cluster = connect(api_server)
    cluster.request("POST", path("Namespace"), body={"metadata": {"name": "long"}})
    for number in range(1100):
        cluster.request("POST", path("ConfigMap", "long"), body={"metadata": {"name": f"{number:04}"}})

    names = [found["metadata"]["name"] for found in list_all(cluster, path("ConfigMap", "long"))]

    assert names == [f"{number:04}" for number in range(1100)]
