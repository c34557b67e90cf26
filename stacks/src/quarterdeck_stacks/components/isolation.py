"""Which connections pods may have: none that is not said here. For clusters whose pods have a network of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from quarterdeck_contract.kubernetes import APP_NAME, METRICS_PORT, SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import metadata
from quarterdeck_stacks.reach import Call, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.components.place import Place
    from quarterdeck_stacks.reach import Reach

DENY = "default-deny"
"""Name of the policy that leaves a namespace's pods without any connection but those that other policies add."""

_NAMESPACE = "kubernetes.io/metadata.name"
"""Label that the API server gives every namespace: its name."""
_NODE_LOCAL_DNS = "169.254.20.10/32"
"""Where NodeLocal DNSCache listens (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/)."""


class Isolation(pulumi.ComponentResource):
    """The rule for a namespace of services: no connection in or out that no other policy names."""

    def __init__(self, namespace: str, *, namespaces: Namespaces, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("quarterdeck:isolation:Isolation", namespace, None, opts)
        NetworkPolicy(
            f"{DENY}-{namespace}",
            metadata=metadata(DENY, namespace, app="quarterdeck"),
            spec=NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]),
            opts=pulumi.ResourceOptions(parent=self, depends_on=namespaces[namespace]),
        )
        self.register_outputs({})


def policy_of(service: Service, reach: Reach, place: Place) -> NetworkPolicySpecArgs:
    """Return the policy of *service*'s pods, of both tracks: callers and the scrape in; DNS, spans and calls out."""
    ingress = [NetworkPolicyIngressRuleArgs(from_=[_prometheus(place)], ports=[port(METRICS_PORT)])]
    if service.serves:
        callers = [peer(each) for each in reach.callers]
        ingress.insert(0, NetworkPolicyIngressRuleArgs(from_=callers, ports=[port(service.port)]))
    egress = [dns()]
    if place.collector is not None:
        egress.append(to(place.collector.port, [peer(place.collector.pods)]))
    egress += [to(each.port, _answering(each)) for each in reach.calls]
    return NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels={APP_NAME: service.name}),
        policy_types=["Ingress", "Egress"],
        ingress=ingress,
        egress=egress,
    )


def dns() -> NetworkPolicyEgressRuleArgs:
    """Return the rule that lets names be looked up: at the cluster's own servers, or the node's cache of them."""
    return NetworkPolicyEgressRuleArgs(
        to=[peer(Peer("kube-system")), NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=_NODE_LOCAL_DNS))],
        ports=[port(53, "UDP"), port(53)],
    )


def to(number: int, peers: Iterable[NetworkPolicyPeerArgs]) -> NetworkPolicyEgressRuleArgs:
    """Return the rule that lets pods call *peers* on the port *number*; without any, whatever answers there."""
    return NetworkPolicyEgressRuleArgs(to=list(peers) or None, ports=[port(number)])


def peer(pods: Peer) -> NetworkPolicyPeerArgs:
    """Return *pods* as a policy names them."""
    labelled = [LabelSelectorRequirementArgs(key=pods.label, operator="Exists")] if pods.label else None
    named = {_NAMESPACE: pods.namespace} if pods.namespace else None
    return NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels=named, match_expressions=labelled),
        pod_selector=LabelSelectorArgs(match_labels={APP_NAME: pods.app}) if pods.app else None,
    )


def port(number: int, protocol: str = "TCP") -> NetworkPolicyPortArgs:
    """Return one port."""
    return NetworkPolicyPortArgs(port=number, protocol=protocol)


def _prometheus(place: Place) -> NetworkPolicyPeerArgs:
    if not place.foreign_prometheus:
        return peer(Peer(SYSTEM_NAMESPACE, "prometheus"))
    # The operator gives its servers this label, wherever they are.
    return NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(), pod_selector=LabelSelectorArgs(match_labels={APP_NAME: "prometheus"})
    )


def _answering(call: Call) -> list[NetworkPolicyPeerArgs]:
    if call.peer is not None:
        return [peer(call.peer)]
    return [NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=call.cidr))] if call.cidr else []
