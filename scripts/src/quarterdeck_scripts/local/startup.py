"""The order in which an environment comes up, and what each step waits for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.adapters.readiness import api_server_ready
from quarterdeck_scripts.kube.client import ApiError, UnreachableError, path
from quarterdeck_scripts.local import bootstrap, control_plane
from quarterdeck_scripts.local.network import LOOPBACK, answers, free_ports
from quarterdeck_scripts.local.parts import PartEndedError
from quarterdeck_scripts.local.pods.settings import NodeSettings, RunnerSettings
from quarterdeck_scripts.local.state import POD_RUNNER, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.local.control_plane import Identities, Ports
    from quarterdeck_scripts.local.parts import Parts

PORT_ATTEMPTS = 3
"""A port that was free when asked may be taken a moment later; three times in a row is something else."""


def start(parts: Parts) -> None:
    """Bring the environment up.

    Raises:
        PartEndedError: a part could not run; which, and the end of its log.
        QuarterdeckError: the deadline passed.
        StoppedError: the supervisor is to stop.
    """
    deadline = time.monotonic() + parts.settings.start_timeout
    addresses = [
        bootstrap.node_address(parts.record.loopback_prefix, number + 1) for number in range(parts.settings.nodes)
    ]
    ports, identities = _start_api(parts, addresses, deadline)
    parts.write(server=ports.server)
    cluster = connect(parts.layout.kubeconfig)
    _start_clients(parts, cluster, identities)
    _start_runner(parts, addresses, ports, identities)
    for number, address in enumerate(addresses, start=1):
        cluster.request("POST", path("Node"), body=bootstrap.node(number, address, ports.kubelet))
    parts.wait_for("the pod runner to answer", lambda: answers(addresses[0], ports.kubelet), deadline=deadline)
    parts.wait_for("every node to be Ready", _asking(lambda: _nodes_ready(cluster)), deadline=deadline)
    parts.wait_for(
        "the default ServiceAccount to exist",
        _asking(lambda: bool(cluster.request("GET", "/api/v1/namespaces/default/serviceaccounts/default"))),
        deadline=deadline,
    )


def _start_api(parts: Parts, addresses: list[str], deadline: float) -> tuple[Ports, Identities]:
    """Start etcd and the API server, with other ports when another program was quicker to take one."""
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return _try_api(parts, addresses, deadline)
        except PartEndedError as error:
            if "address already in use" not in error.found:
                raise
            parts.end((control_plane.ETCD, control_plane.API_SERVER))
    return _try_api(parts, addresses, deadline)


def _try_api(parts: Parts, addresses: list[str], deadline: float) -> tuple[Ports, Identities]:
    ports = control_plane.Ports(*free_ports(3), *free_ports(1, addresses[0]))
    identities = control_plane.issue_identities(parts.layout, ports, addresses)
    tools = parts.settings.tools
    etcd, api_server = control_plane.ETCD, control_plane.API_SERVER
    parts.spawn(etcd, control_plane.etcd(tools[etcd], parts.layout, ports, identities))
    parts.spawn(api_server, control_plane.api_server(tools[api_server], ports, identities))
    parts.wait_for(
        "the API server to be ready",
        lambda: api_server_ready(LOOPBACK, ports.api_server, identities.authority, identities.admin),
        deadline=deadline,
    )
    return ports, identities


def _start_clients(parts: Parts, cluster: Cluster, identities: Identities) -> None:
    """Start what talks to the API server. Not earlier: the controller manager exits when its roles are not there."""
    for role in bootstrap.roles():
        cluster.request("POST", f"/apis/{role['apiVersion']}/{role['kind'].lower()}s", body=role)
    tools, layout = parts.settings.tools, parts.layout
    commands = {
        control_plane.CONTROLLER_MANAGER: control_plane.controller_manager(
            tools[control_plane.CONTROLLER_MANAGER], identities
        ),
        control_plane.SCHEDULER: control_plane.scheduler(tools[control_plane.SCHEDULER], identities),
        control_plane.KWOK: control_plane.kwok(tools[control_plane.KWOK], layout, identities),
    }
    for name, command in commands.items():
        parts.spawn(name, command)


def _start_runner(parts: Parts, addresses: list[str], ports: Ports, identities: Identities) -> None:
    settings = RunnerSettings(
        state=str(parts.layout.state),
        kubeconfig=str(identities.kubeconfig(POD_RUNNER)),
        server=ports.server,
        authority=str(identities.authority),
        kubelet_certificate=str(identities.kubelet.certificate),
        kubelet_key=str(identities.kubelet.key),
        kubelet_port=ports.kubelet,
        loopback_prefix=parts.record.loopback_prefix,
        nodes=tuple(
            NodeSettings(bootstrap.node_name(number), address) for number, address in enumerate(addresses, start=1)
        ),
        crash_backoff=parts.settings.crash_backoff,
    )
    write_json(parts.layout.runner_settings, settings.to_json())
    module = "quarterdeck_scripts.local.pods"
    parts.spawn(POD_RUNNER, [sys.executable, "-m", module, str(parts.layout.runner_settings)])


def _nodes_ready(cluster: Cluster) -> bool:
    nodes = cluster.request("GET", path("Node"))["items"]
    return bool(nodes) and all(_is_ready(node) for node in nodes)


def _is_ready(node: Json) -> bool:
    conditions = node["status"].get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not node["spec"].get("taints")


def _asking(question: Callable[[], bool]) -> Callable[[], bool]:
    """Return *question* so that a refused or lost request means "not yet": dead parts are noticed elsewhere."""

    def answer() -> bool:
        try:
            return question()
        except (ApiError, UnreachableError):
            return False

    return answer
