"""A bare control plane for tests of what is said to an API server: etcd and kube-apiserver, no controllers."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.programs import started

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.local.network import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "an-administrator-of-this-test"  # noqa: S105 -- valid for one process of one test run
"""Bearer token of the kubeconfig; it lives as long as the test's API server."""


@pytest.fixture(scope="session")
def api_server(tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run etcd and kube-apiserver; return the kubeconfig of an administrator."""
    folder = tmp_path_factory.mktemp("api-server")
    etcd, peer, secure = free_ports(3)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "tokens.csv").write_text(f"{TOKEN},administrator,1,system:masters\n")
    with ExitStack() as stack:
        stack.enter_context(
            started(
                folder / "etcd.log",
                [
                    tool("etcd"),
                    f"--data-dir={folder / 'etcd'}",
                    "--unsafe-no-fsync",
                    f"--listen-client-urls=http://127.0.0.1:{etcd}",
                    f"--advertise-client-urls=http://127.0.0.1:{etcd}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}",
                ],
            )
        )
        stack.enter_context(
            started(
                folder / "kube-apiserver.log",
                [
                    tool("kube-apiserver"),
                    f"--etcd-servers=http://127.0.0.1:{etcd}",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={secure}",
                    f"--cert-dir={folder}",
                    f"--token-auth-file={folder / 'tokens.csv'}",
                    "--authorization-mode=RBAC",
                    "--service-cluster-ip-range=10.202.0.0/24",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={folder / 'sa.key'}",
                    f"--service-account-signing-key-file={folder / 'sa.key'}",
                    "--disable-admission-plugins=ServiceAccount",
                ],
            )
        )
        yield _kubeconfig_when_ready(folder, secure)


def _kubeconfig_when_ready(folder: Path, port: int) -> Path:
    """Write the kubeconfig, and wait until the API server it names answers as an API server."""
    kubeconfig = folder / "kubeconfig"
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "apiserver.crt")}
    named = {
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **named}))
    deadline = time.monotonic() + 120
    while True:
        try:
            connect(kubeconfig).request("GET", "/api/v1/namespaces/default", timeout=5)
        except (OSError, QuarterdeckError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return kubeconfig
