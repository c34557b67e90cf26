"""A cluster on Amazon's EKS, in Auto Mode: AWS runs the nodes, their autoscaler, storage and network drivers.

Sources: the EKS user guide, "Create an EKS Auto Mode cluster", "Auto Mode node IAM role", "Create a node class", and
"Tag EKS Auto Mode resources"; the schema of pulumi-aws 7.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch, eks, iam, kms
from pulumi_aws.provider import Provider

from quarterdeck_stacks.clusters.aws_network import Network
from quarterdeck_stacks.clusters.cluster import Cluster, kubeconfig, tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_stacks.settings.cloud import CloudSettings
    from quarterdeck_stacks.settings.cluster import ClusterSettings

CONTROL_PLANE_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
"""All that EKS writes. `audit` says who did what, `authenticator` who they were to AWS."""

_CLUSTER_POLICIES = (
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
_NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
_ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
_NODE_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAutoNodePolicy"


def provider(environment: str, cloud: CloudSettings) -> Provider:
    """Return the provider of the settings' account and region: it refuses credentials for another account."""
    return Provider(
        "aws",
        region=cloud.region,
        allowed_account_ids=[cloud.account],
        default_tags={"tags": tags(environment, cloud.tags)},
    )


def make(environment: str, settings: ClusterSettings, *, protect: bool) -> Cluster:
    """Make the cluster and return its outputs."""
    opts = pulumi.ResourceOptions(provider=provider(environment, settings.cloud))
    return Eks(f"quarterdeck-{environment}", settings, protect=protect, opts=opts).outputs


def _may_use(key: str) -> str:
    """Return the policy that lets the control plane encrypt Secrets with *key*, an ARN."""
    actions = [f"kms:{each}" for each in ("Encrypt", "Decrypt", "ListGrants", "DescribeKey")]
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": key}]})


def _issuer(found: Sequence[eks.outputs.ClusterIdentityOidc] | None) -> str:
    return (found[0].issuer or "") if found else ""


class Eks(pulumi.ComponentResource):
    """An EKS cluster in a network of its own."""

    def __init__(self, name: str, settings: ClusterSettings, *, protect: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("quarterdeck:eks:Eks", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._attached: list[pulumi.Resource] = []
        cloud = settings.cloud
        network = Network(name, cloud, opts=self._child)
        role = self._role("cluster", "eks.amazonaws.com", _CLUSTER_POLICIES)
        self._allow_cost_tags(role)
        logs = cloudwatch.LogGroup(
            name,
            # EKS writes to this name, and makes a group that keeps everything for ever where there is none.
            name=f"/aws/eks/{name}/cluster",
            retention_in_days=cloud.audit_days,
            opts=self._child,
        )
        self._cluster = self._control_plane(settings, network, role, protect=protect, after=logs)
        made = self._admit(cloud)
        issuer = self._cluster.identities.apply(lambda found: _issuer(found[0].oidcs))
        iam.OpenIdConnectProvider(name, url=issuer, client_id_lists=["sts.amazonaws.com"], opts=self._child)
        self.outputs = Cluster(
            kubeconfig=pulumi.Output.secret(self._kubeconfig(cloud.region)),
            context=name,
            issuer=issuer,
            made=[self._cluster, *made],
        )
        self.register_outputs({"kubeconfig": self.outputs.kubeconfig, "issuer": issuer})

    def _control_plane(
        self, settings: ClusterSettings, network: Network, role: iam.Role, *, protect: bool, after: pulumi.Resource
    ) -> eks.Cluster:
        cloud = settings.cloud
        key = kms.Key(
            self._name,
            description=f"Secrets of the cluster {self._name}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(protect=protect)),
        )
        usable = iam.RolePolicy(f"{self._name}-key", role=role.name, policy=key.arn.apply(_may_use), opts=self._child)
        return eks.Cluster(
            self._name,
            name=self._name,
            role_arn=role.arn,
            version=settings.version or None,
            vpc_config=eks.ClusterVpcConfigArgs(
                subnet_ids=network.subnets,
                endpoint_private_access=True,
                endpoint_public_access=not cloud.private_api,
                public_access_cidrs=list(cloud.api_from) or None,
            ),
            access_config=eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=True
            ),
            encryption_config=eks.ClusterEncryptionConfigArgs(
                provider=eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
            ),
            enabled_cluster_log_types=list(CONTROL_PLANE_LOGS),
            # Auto Mode is these three together, without the add-ons that it has built in.
            compute_config=eks.ClusterComputeConfigArgs(enabled=True),
            kubernetes_network_config=eks.ClusterKubernetesNetworkConfigArgs(
                elastic_load_balancing=eks.ClusterKubernetesNetworkConfigElasticLoadBalancingArgs(enabled=True)
            ),
            storage_config=eks.ClusterStorageConfigArgs(
                block_storage=eks.ClusterStorageConfigBlockStorageArgs(enabled=True)
            ),
            bootstrap_self_managed_addons=False,
            # A version's end of support is an upgrade, not a bill six times as high.
            upgrade_policy=eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            zonal_shift_config=eks.ClusterZonalShiftConfigArgs(enabled=len(cloud.zones) > 1),
            deletion_protection=protect,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[after, usable, *self._attached], protect=protect),
        )

    def _admit(self, cloud: CloudSettings) -> list[pulumi.Resource]:
        """Let nodes join, and administrators in."""
        node = self._role("node", "ec2.amazonaws.com", _NODE_POLICIES)
        admitted: list[pulumi.Resource] = [self._entry("node", node.arn, _NODE_POLICY, kind="EC2")]
        admitted += [
            self._entry(f"admin-{index}", admin, _ADMIN_POLICY, kind="STANDARD")
            for index, admin in enumerate(cloud.admins)
        ]
        return admitted

    def _entry(self, what: str, principal: pulumi.Input[str], policy: str, *, kind: str) -> pulumi.Resource:
        name = f"{self._name}-{what}"
        entry = eks.AccessEntry(
            name, cluster_name=self._cluster.name, principal_arn=principal, type=kind, opts=self._child
        )
        associated: pulumi.Resource = eks.AccessPolicyAssociation(
            name,
            cluster_name=self._cluster.name,
            principal_arn=principal,
            policy_arn=policy,
            access_scope=eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )
        return associated

    def _role(self, what: str, service: str, policies: tuple[str, ...]) -> iam.Role:
        name = f"{self._name}-{what}"
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],
                }
            ],
        }
        # The node role's name is written into the cluster's NodeClass, so it is not left to Pulumi.
        role = iam.Role(name, name=name, assume_role_policy=json.dumps(trust), opts=self._child)
        for policy in policies:
            attached = iam.RolePolicyAttachment(
                f"{name}-{policy}", role=role.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=self._child
            )
            self._attached.append(attached)
        return role

    def _allow_cost_tags(self, role: iam.Role) -> None:
        """Let Auto Mode put tags of ours on machines and volumes: its own policies allow its own tags alone."""
        ours = {"aws:RequestTag/eks:eks-cluster-name": "${aws:PrincipalTag/eks:eks-cluster-name}"}
        of_a_pool = {f"aws:RequestTag/eks:kubernetes-{each}-name": "*" for each in ("node-class", "node-pool")}
        machines = {
            "Effect": "Allow",
            "Action": ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateLaunchTemplate"],
            "Resource": "*",
            "Condition": {"StringEquals": ours, "StringLike": of_a_pool},
        }
        volumes = {
            "Effect": "Allow",
            "Action": ["ec2:CreateVolume", "ec2:CreateSnapshot"],
            "Resource": ["arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:snapshot/*"],
            "Condition": {"StringEquals": ours},
        }
        policy = iam.RolePolicy(
            f"{self._name}-cost-tags",
            role=role.name,
            policy=json.dumps({"Version": "2012-10-17", "Statement": [machines, volumes]}),
            opts=self._child,
        )
        self._attached.append(policy)

    def _kubeconfig(self, region: str) -> pulumi.Output[str]:
        name = self._name
        command = ("aws", "eks", "get-token", "--output", "json", "--cluster-name", name, "--region", region)
        authority = self._cluster.certificate_authority.apply(lambda found: found.data)
        return pulumi.Output.all(self._cluster.endpoint, authority).apply(
            lambda found: kubeconfig(name, server=found[0], authority=found[1], command=command)
        )
