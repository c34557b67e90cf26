"""The command lines of the control plane's programs: pure functions of where things lie."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.bootstrap import KUBELET_CLIENT, KWOK_USER, NODE_LABEL, NODE_LABEL_VALUE, POD_RUNNER_USER
from quarterdeck_scripts.local.network import LOOPBACK
from quarterdeck_scripts.local.pki import ADMINS, Authority, Pair, service_account_keys, write_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quarterdeck_scripts.local.state import Layout

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
PROGRAMS = (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KWOK)
"""What a local environment needs installed to start, in starting order."""

SERVICE_CIDR = "10.96.0.0/16"
"""Cluster IPs. Nothing answers at them: there is no kube-proxy, which would need root."""
_API_SERVICE_IP = "10.96.0.1"

_REFUSES_LOOPBACK = ("endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller")
"""Controllers whose every write would be refused: endpoints may not be loopback addresses."""

_NODE_LEASE_SECONDS = 40
"""How long a node's lease holds, as a kubelet's; kwok renews it every quarter of that."""

_CONTROLLER_MANAGER_USER = "system:kube-controller-manager"
_SCHEDULER_USER = "system:kube-scheduler"


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of one environment, all on loopback."""

    etcd: int
    etcd_peer: int
    api_server: int
    kubelet: int

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{LOOPBACK}:{self.api_server}"


@dataclass(frozen=True, slots=True)
class Identities:
    """Certificates and kubeconfigs of one environment."""

    authority: Path
    etcd: Pair
    api_server: Pair
    kubelet_client: Pair
    kubelet: Pair
    admin: Pair
    token_key: Path
    token_public_key: Path
    folder: Path

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a part."""
        return self.folder / f"{user}.kubeconfig"


def issue_identities(layout: Layout, ports: Ports, node_addresses: Sequence[str]) -> Identities:
    """Make every certificate and kubeconfig of the environment.

    The administrator is in `system:masters`. kwok and the pod runner are not: they have ClusterRoles, so that
    the API server itself keeps kwok from touching pods.
    """
    pki = layout.pki
    context = f"quarterdeck-{layout.state.name}"
    authority = Authority(pki, f"{context} authority")
    names = (LOOPBACK, "localhost", _API_SERVICE_IP, "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    token_key, token_public_key = service_account_keys(pki)
    users = {
        CONTROLLER_MANAGER: _CONTROLLER_MANAGER_USER,
        SCHEDULER: _SCHEDULER_USER,
        KWOK: KWOK_USER,
        "pod-runner": POD_RUNNER_USER,
    }
    identities = Identities(
        authority=authority.certificate,
        etcd=authority.issue(ETCD, "etcd", serves=(LOOPBACK, "localhost")),
        api_server=authority.issue(API_SERVER, API_SERVER, serves=names),
        kubelet_client=authority.issue("kubelet-client", KUBELET_CLIENT),
        kubelet=authority.issue("kubelet", "kubelet", serves=node_addresses),
        admin=authority.issue("admin", "quarterdeck:admin", groups=(ADMINS,)),
        token_key=token_key,
        token_public_key=token_public_key,
        folder=pki,
    )
    for part, user in users.items():
        client = authority.issue(part, user)
        write_kubeconfig(
            identities.kubeconfig(part),
            context=context,
            server=ports.server,
            authority=authority.certificate,
            client=client,
        )
    write_kubeconfig(
        layout.kubeconfig,
        context=context,
        server=ports.server,
        authority=authority.certificate,
        client=identities.admin,
    )
    return identities


def etcd(program: str, layout: Layout, ports: Ports, identities: Identities) -> list[str]:
    """Return etcd's command line. It trusts only certificates of our authority, as the API server has one."""
    url = f"https://{LOOPBACK}:{ports.etcd}"
    peer = f"https://{LOOPBACK}:{ports.etcd_peer}"
    trust = {
        "cert-file": identities.etcd.certificate,
        "key-file": identities.etcd.key,
        "trusted-ca-file": identities.authority,
    }
    return [
        program,
        f"--data-dir={layout.state / 'etcd'}",
        "--unsafe-no-fsync",  # a power cut may lose the environment; every write is ten times faster
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        *(f"--{flag}={path}" for flag, path in trust.items()),
        *(f"--peer-{flag}={path}" for flag, path in trust.items()),
        "--client-cert-auth",
        "--peer-client-cert-auth",
        "--log-level=warn",
    ]


def api_server(program: str, ports: Ports, identities: Identities) -> list[str]:
    """Return kube-apiserver's command line."""
    return [
        program,
        f"--etcd-servers=https://{LOOPBACK}:{ports.etcd}",
        f"--etcd-cafile={identities.authority}",
        f"--etcd-certfile={identities.etcd.certificate}",
        f"--etcd-keyfile={identities.etcd.key}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.api_server}",
        f"--tls-cert-file={identities.api_server.certificate}",
        f"--tls-private-key-file={identities.api_server.key}",
        f"--client-ca-file={identities.authority}",
        f"--kubelet-certificate-authority={identities.authority}",
        f"--kubelet-client-certificate={identities.kubelet_client.certificate}",
        f"--kubelet-client-key={identities.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={identities.token_public_key}",
        f"--service-account-signing-key-file={identities.token_key}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=RBAC",  # not Node: the nodes are kwok's, and the pod runner has a ClusterRole
        "--anonymous-auth=false",
        "--endpoint-reconciler-type=none",  # the API server's own address is loopback, which endpoints refuse
        "--profiling=false",
    ]


def controller_manager(program: str, identities: Identities) -> list[str]:
    """Return kube-controller-manager's command line."""
    return [
        *_client(program, identities.kubeconfig(CONTROLLER_MANAGER)),
        f"--controllers=*,{','.join(f'-{name}' for name in _REFUSES_LOOPBACK)}",
        f"--root-ca-file={identities.authority}",
        f"--service-account-private-key-file={identities.token_key}",
        "--use-service-account-credentials=true",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--allocate-node-cidrs=false",
        "--kube-api-qps=500",  # by default 20 requests a second: its start alone then takes four seconds
        "--kube-api-burst=1000",
    ]


def scheduler(program: str, identities: Identities) -> list[str]:
    """Return kube-scheduler's command line."""
    return _client(program, identities.kubeconfig(SCHEDULER))


def kwok(program: str, layout: Layout, identities: Identities) -> list[str]:
    """Return kwok's command line: our nodes only, our Stages only, and no server of its own."""
    stages = layout.state / "kwok-stages.yaml"
    with as_file(files("quarterdeck_scripts.local") / "kwok-stages.yaml") as source:
        stages.write_bytes(source.read_bytes())
    return [
        program,
        f"--kubeconfig={identities.kubeconfig(KWOK)}",
        f"--manage-nodes-with-label-selector={NODE_LABEL}={NODE_LABEL_VALUE}",
        # Without it kwok renews no lease, and after 50 s the node controller calls every node and pod not ready.
        f"--node-lease-duration-seconds={_NODE_LEASE_SECONDS}",
        f"--config={stages}",
    ]


def _client(program: str, kubeconfig: Path) -> list[str]:
    return [
        program,
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",  # one port less to find and to guard; its health is that it lives
        "--profiling=false",
    ]
