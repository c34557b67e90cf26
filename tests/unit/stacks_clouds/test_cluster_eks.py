"""A cluster on EKS: what AWS is asked for, and what the cluster is told from inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools


def test_eks_refuses_another_accounts_credentials(up: Callable[..., Any]) -> None:
    """The provider compares the account before it makes anything; everything it makes is tagged."""
    provider = up("prod", "eks").one("pulumi:providers:aws")

    assert json.loads(provider["allowedAccountIds"]) == ["123456789012"]
    assert json.loads(provider["defaultTags"]) == {
        "tags": {"environment": "prod", "managed-by": "quarterdeck", "team": "platform"}
    }


def test_eks_is_private_encrypted_logged_and_in_auto_mode(up: Callable[..., Any]) -> None:
    """And upgraded before its support ends."""
    cluster = up("prod", "eks", "clusterPrivateApi=true").one("aws:eks/cluster:Cluster")

    assert cluster["version"] == "1.35"
    assert cluster["vpcConfig"]["endpointPublicAccess"] is False
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert cluster["encryptionConfig"]["resources"] == ["secrets"]
    assert cluster["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert cluster["computeConfig"] == {"enabled": True}
    assert cluster["storageConfig"] == {"blockStorage": {"enabled": True}}
    assert cluster["kubernetesNetworkConfig"] == {"elasticLoadBalancing": {"enabled": True}}
    assert cluster["bootstrapSelfManagedAddons"] is False
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}


def test_eks_has_a_way_out_of_each_zone(up: Callable[..., Any]) -> None:
    """The end of one zone takes nobody else's way out with it."""
    run = up("prod", "eks")

    assert len(run.of("aws:ec2/natGateway:NatGateway")) == 2
    private = [each.inputs for each in run.of("aws:ec2/subnet:Subnet") if "private" in each.name]
    assert [each["cidrBlock"] for each in private] == ["10.64.0.0/18", "10.64.64.0/18"]
    assert [each["tags"]["quarterdeck.dev/cluster"] for each in private] == ["quarterdeck-prod"] * 2


def test_the_audit_log_is_there_before_the_cluster_and_ends(up: Callable[..., Any]) -> None:
    """Else EKS makes one that is kept, and paid, for ever."""
    run = up("prod", "eks", "auditDays=365")

    group = run.one("aws:cloudwatch/logGroup:LogGroup")
    assert (group["name"], group["retentionInDays"]) == ("/aws/eks/quarterdeck-prod/cluster", 365)
    (cluster,) = run.of("aws:eks/cluster:Cluster")
    assert any("logGroup:LogGroup" in urn for urn in cluster.depends_on)


def test_eks_node_pools_are_bounded_and_replaced_in_the_window(up: Callable[..., Any]) -> None:
    """By processors, since Karpenter counts no nodes; what is outdated goes between the window's begin and end."""
    run = up("prod", "eks", "upgradeWindow=Sat 22:30 6h")
    pools = {each.inputs["metadata"]["name"]: each.inputs["spec"] for each in run.kubernetes if "NodePool" in each.type}

    assert {name: pool["limits"]["cpu"] for name, pool in pools.items()} == {"general": "24", "cheap": "24"}
    assert "taints" not in pools["general"]["template"]["spec"]
    assert pools["cheap"]["template"]["spec"]["taints"] == [{"key": "quarterdeck.dev/spot", "effect": "NoSchedule"}]
    kept = pools["general"]["disruption"]["budgets"][1]
    assert (kept["nodes"], kept["schedule"], kept["duration"]) == ("0", "30 4 * * 0", "162h")


def test_eks_enforces_network_policies_and_encrypts_volumes(up: Callable[..., Any]) -> None:
    """Both have to be asked for from inside."""
    run = up("prod", "eks")

    (switch,) = [each for each in run.of("kubernetes:core/v1:ConfigMap") if each.name == "amazon-vpc-cni"]
    assert switch.inputs["data"] == {"enable-network-policy-controller": "true"}
    storage = run.one("kubernetes:storage.k8s.io/v1:StorageClass")
    assert storage["parameters"] == {
        "type": "gp3",
        "encrypted": "true",
        "tagSpecification_1": "environment=prod",
        "tagSpecification_2": "managed-by=quarterdeck",
        "tagSpecification_3": "team=platform",
    }
