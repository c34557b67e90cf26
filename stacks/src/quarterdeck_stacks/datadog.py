"""Where Datadog's agents are found: names and ports, and who must be let through to whom. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_stacks.flows import Flow, to_api_server
from quarterdeck_stacks.reach import Peer
from quarterdeck_stacks.targets import KUBELET_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENT, CLUSTER_AGENT = "datadog-agent", "datadog-cluster-agent"
CLUSTER_AGENT_PORT = 5005
HEALTH_PORT = 5555
OTLP_PORTS = {"grpc": 4317, "http": 4318}
"""Where an agent takes what the collector sends on."""
INTAKE_PORT = 443
"""Datadog's, wherever its site is."""


def cluster_agent_url() -> str:
    """Return where agents find the cluster agent."""
    return f"https://{CLUSTER_AGENT}.{SYSTEM_NAMESPACE}.svc:{CLUSTER_AGENT_PORT}"


def flows(senders: tuple[Peer, ...] = ()) -> Iterator[Flow]:
    """Yield the connections of the agents; *senders* are collectors that send OTLP to them."""
    agent, cluster_agent = Peer(NODE_NAMESPACE, AGENT), Peer(SYSTEM_NAMESPACE, CLUSTER_AGENT)
    yield from to_api_server(agent, cluster_agent)
    yield Flow(agent, cluster_agent, CLUSTER_AGENT_PORT)
    yield Flow(cluster_agent, cluster_agent, CLUSTER_AGENT_PORT)
    yield Flow(agent, None, KUBELET_PORT)
    yield Flow(agent, None, INTAKE_PORT)
    yield Flow(cluster_agent, None, INTAKE_PORT)
    for sender in senders:
        yield from (Flow(sender, agent, port) for port in OTLP_PORTS.values())
