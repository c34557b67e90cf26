"""Policies of the monitoring's namespaces: no connection but those of a list of flows."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from quarterdeck_contract.kubernetes import APP_NAME
from quarterdeck_stacks.components.isolation import Isolation, dns, peer, port
from quarterdeck_stacks.components.objects import metadata
from quarterdeck_stacks.flows import Allowed, End, Flow, admitted, allowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.reach import Peer


class LettingThrough(pulumi.ComponentResource):
    """Default deny in each of *guarded*, and one policy for each program there that *flows* speak of.

    What is registered in *guarded* afterwards waits for them.
    """

    def __init__(
        self,
        flows: Sequence[Flow],
        guarded: Sequence[str],
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:letting_through:LettingThrough", "flows", None, opts)
        policies: dict[str, list[pulumi.Resource]] = {
            namespace: [Isolation(namespace, namespaces=namespaces, opts=pulumi.ResourceOptions(parent=self))]
            for namespace in guarded
        }
        for pods, rules in allowed(flows, guarded).items():
            policies[pods.namespace].append(
                NetworkPolicy(
                    f"{pods.namespace}-{pods.app}",
                    metadata=metadata(pods.app, pods.namespace, app=pods.app),
                    spec=_policy(pods, rules),
                    opts=pulumi.ResourceOptions(parent=self, depends_on=namespaces[pods.namespace]),
                )
            )
        for pods, entries in admitted(flows, guarded).items():
            NetworkPolicy(
                f"{pods.namespace}-{pods.app}",
                metadata=metadata(f"{pods.app}-from-monitoring", pods.namespace, app=pods.app),
                spec=NetworkPolicySpecArgs(
                    pod_selector=LabelSelectorArgs(match_labels={APP_NAME: pods.app}),
                    policy_types=["Ingress"],
                    ingress=_ingress(entries),
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=namespaces[pods.namespace]),
            )
        for namespace, made in policies.items():
            namespaces.guard(namespace, made)
        self.register_outputs({})


def _policy(pods: Peer, rules: Allowed) -> NetworkPolicySpecArgs:
    egress = [NetworkPolicyEgressRuleArgs(to=peers or None, ports=[at]) for at, peers in _by_port(rules.outgoing)]
    return NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels={APP_NAME: pods.app}),
        policy_types=["Ingress", "Egress"],
        ingress=_ingress(rules.incoming) or None,
        # Whoever opens a connection looks a name up before.
        egress=[dns(), *egress] if egress else None,
    )


def _ingress(entries: Iterable[End]) -> list[NetworkPolicyIngressRuleArgs]:
    return [NetworkPolicyIngressRuleArgs(from_=peers or None, ports=[at]) for at, peers in _by_port(entries)]


def _by_port(
    entries: Iterable[End],
) -> Iterator[tuple[NetworkPolicyPortArgs, list[NetworkPolicyPeerArgs]]]:
    """Yield each port with its peers; without any where one of them is whoever, which a policy says by naming none."""
    for (number, protocol), group in groupby(entries, key=lambda entry: entry[1:]):
        peers = [each for each, _, _ in group]
        yield port(number, protocol), [] if None in peers else [peer(each) for each in peers if each is not None]
