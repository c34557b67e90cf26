"""What an EKS cluster in Auto Mode is told from inside: its node pools, its default storage, its network policies.

Sources: the EKS user guide, "Create a node class", "Create a node pool", "Create a storage class" and "Use network
policies with EKS Auto Mode"; Karpenter's `karpenter.sh/v1`. It names roles, subnets and groups by name and tag, not by
what AWS answers, so that it can be rendered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage.v1 import StorageClass

from quarterdeck_contract.kubernetes import MANAGED_BY
from quarterdeck_stacks.clusters.cluster import CLUSTER_TAG, tags
from quarterdeck_stacks.clusters.spot import TAINT
from quarterdeck_stacks.components.objects import MANAGER, OURS_ALONE
from quarterdeck_stacks.settings.cloud import Day, vcpus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.settings.cloud import CloudSettings, NodePool, UpgradeWindow

NODE_CLASS = "quarterdeck"
_OLDEST_NODE = "336h"
"""Nodes older than this are replaced, in the window or out of it: 14 days, of the 21 that AWS allows."""


class Inside(pulumi.ComponentResource):
    """The objects in the cluster *name* that belong to it and not to what runs there."""

    def __init__(self, name: str, environment: str, cloud: CloudSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("quarterdeck:eks_inside:Inside", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        tagged = tags(environment, cloud.tags)
        classes = self._custom("eks.amazonaws.com/v1", "NodeClass", NODE_CLASS, _node_class(name, cloud, tagged))
        for pool in cloud.pools:
            spec = _node_pool(pool, cloud)
            self._custom("karpenter.sh/v1", "NodePool", pool.name, spec, after=[classes])
        StorageClass(
            "encrypted",
            metadata=_metadata("encrypted", {"storageclass.kubernetes.io/is-default-class": "true"}),
            provisioner="ebs.csi.eks.amazonaws.com",
            # A volume is made in the zone of the pod that asks for it, not the other way round.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            parameters={"type": "gp3", "encrypted": "true", **_volume_tags(tagged)},
            opts=self._child,
        )
        ConfigMap(
            "amazon-vpc-cni",
            metadata=_metadata("amazon-vpc-cni", {}, namespace="kube-system"),
            # Without this, NetworkPolicies are accepted and mean nothing.
            data={"enable-network-policy-controller": "true"},
            opts=self._child,
        )
        self.register_outputs({})

    def _custom(
        self, version: str, kind: str, name: str, spec: Mapping[str, Any], after: list[pulumi.Resource] | None = None
    ) -> pulumi.Resource:
        return CustomResource(
            f"{kind.lower()}-{name}",
            api_version=version,
            kind=kind,
            metadata=_metadata(name, {}),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )


def _metadata(name: str, annotations: Mapping[str, str], namespace: str | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name, namespace=namespace, labels={MANAGED_BY: MANAGER}, annotations={**OURS_ALONE, **annotations}
    )


def _volume_tags(tagged: Mapping[str, str]) -> dict[str, str]:
    return {f"tagSpecification_{index}": f"{key}={value}" for index, (key, value) in enumerate(tagged.items(), 1)}


def _node_class(name: str, cloud: CloudSettings, tagged: Mapping[str, str]) -> dict[str, Any]:
    return {
        "role": f"{name}-node",
        "subnetSelectorTerms": [{"tags": {CLUSTER_TAG: name}}],
        "securityGroupSelectorTerms": [{"tags": {"aws:eks:cluster-name": name}}],
        "networkPolicy": "DefaultAllow",
        "ephemeralStorage": {"size": f"{max(pool.disk for pool in cloud.pools)}Gi"},
        "tags": dict(tagged),
    }


def _node_pool(pool: NodePool, cloud: CloudSettings) -> dict[str, Any]:
    wanted = {
        "node.kubernetes.io/instance-type": [pool.machine],
        "karpenter.sh/capacity-type": ["spot"] if pool.spot else ["on-demand"],
        "topology.kubernetes.io/zone": list(cloud.zones),
    }
    return {
        "template": {
            "metadata": {"labels": {"quarterdeck.dev/pool": pool.name}},
            "spec": {
                "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": NODE_CLASS},
                "requirements": [{"key": key, "operator": "In", "values": values} for key, values in wanted.items()],
                "expireAfter": _OLDEST_NODE,
                **_taints(pool),
            },
        },
        # A pool is bounded by what its nodes have together, not by their number.
        "limits": {"cpu": str((vcpus(pool.machine) or 1) * pool.largest)},
        "disruption": {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": "5m",
            "budgets": _budgets(cloud.upgrade_window),
        },
    }


def _taints(pool: NodePool) -> dict[str, Any]:
    """Keep off spot nodes what does not say that it may be interrupted."""
    return {"taints": [{"key": TAINT, "effect": "NoSchedule"}]} if pool.spot else {}


def _budgets(window: UpgradeWindow) -> list[dict[str, Any]]:
    """Allow nodes to be replaced by newer ones in the window alone; empty and idle ones may go at any time."""
    weekday = list(Day).index(window.day)
    ends = weekday * 24 + window.hour + window.hours
    return [
        {"nodes": "10%", "reasons": ["Empty", "Underutilized"]},
        {
            "nodes": "0",
            "reasons": ["Drifted"],
            # From the window's end until it begins again; cron's week begins on Sunday.
            "schedule": f"{window.minute} {ends % 24} * * {(ends // 24 + 1) % 7}",
            "duration": f"{7 * 24 - window.hours}h",
        },
        {"nodes": "10%", "reasons": ["Drifted"]},
    ]
