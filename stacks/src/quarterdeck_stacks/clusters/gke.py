"""A cluster on Google's GKE: regional, of private nodes, with Dataplane V2, which enforces NetworkPolicies.

Sources: GKE's documentation, "Harden your cluster's security", "Encrypt Secrets at the application layer", "Use
least privilege IAM service accounts"; the schema of pulumi-gcp 10.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pulumi
from pulumi_gcp import container, kms, projects, serviceaccount
from pulumi_gcp.provider import Provider

from quarterdeck_stacks.clusters.cluster import Cluster, kubeconfig, tags
from quarterdeck_stacks.clusters.gcp_network import PODS, SERVICES, Network
from quarterdeck_stacks.clusters.spot import TAINT
from quarterdeck_stacks.settings.cloud import Day

if TYPE_CHECKING:
    from quarterdeck_stacks.settings.cloud import NodePool, UpgradeWindow
    from quarterdeck_stacks.settings.cluster import ClusterSettings

CONTROL_PLANE_LOGS = ("SYSTEM_COMPONENTS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER")
"""Beside the audit log of who changed what, which GKE always writes and nobody can turn off. Pods' own lines are not
sent: that is Loki's work, and paid by volume."""

_ROTATION = "7776000s"
"""90 days."""
_FIRST_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Any Monday in the past: a weekly window only takes its day and hour from the first one."""


def provider(environment: str, settings: ClusterSettings) -> Provider:
    """Return the provider of the settings' project and region."""
    cloud = settings.cloud
    return Provider("gcp", project=cloud.account, region=cloud.region, default_labels=tags(environment, cloud.tags))


def make(environment: str, settings: ClusterSettings, *, protect: bool) -> Cluster:
    """Make the cluster and return its outputs."""
    opts = pulumi.ResourceOptions(provider=provider(environment, settings))
    return Gke(environment, settings, protect=protect, opts=opts).outputs


class Gke(pulumi.ComponentResource):
    """A GKE cluster in a network of its own."""

    def __init__(
        self, environment: str, settings: ClusterSettings, *, protect: bool, opts: pulumi.ResourceOptions
    ) -> None:
        name = f"quarterdeck-{environment}"
        super().__init__("quarterdeck:gke:Gke", name, None, opts)
        self._name = name
        self._cloud = settings.cloud
        self._child = pulumi.ResourceOptions(parent=self)
        self._labels = tags(environment, self._cloud.tags)
        network = Network(name, self._cloud, opts=self._child)
        nodes, allowed = self._nodes_account()
        cluster = self._control_plane(settings, network, protect=protect)
        pools = [self._pool(pool, cluster, nodes, after=[allowed, network.way_out]) for pool in self._cloud.pools]
        issuer = pulumi.Output.concat("https://container.googleapis.com/v1/", cluster.id)
        self.outputs = Cluster(
            kubeconfig=pulumi.Output.secret(self._kubeconfig(cluster)), context=name, issuer=issuer, made=pools
        )
        self.register_outputs({"kubeconfig": self.outputs.kubeconfig, "issuer": issuer})

    def _control_plane(self, settings: ClusterSettings, network: Network, *, protect: bool) -> container.Cluster:
        cloud = self._cloud
        key, usable = self._key(protect=protect)
        return container.Cluster(
            self._name,
            name=self._name,
            # A region, not a zone: three control planes.
            location=cloud.region,
            node_locations=list(cloud.zones) or None,
            min_master_version=settings.version or None,
            release_channel=container.ClusterReleaseChannelArgs(channel="REGULAR"),
            network=network.network,
            subnetwork=network.subnet,
            networking_mode="VPC_NATIVE",
            ip_allocation_policy=container.ClusterIpAllocationPolicyArgs(
                cluster_secondary_range_name=PODS, services_secondary_range_name=SERVICES
            ),
            datapath_provider="ADVANCED_DATAPATH",
            private_cluster_config=container.ClusterPrivateClusterConfigArgs(
                enable_private_nodes=True, enable_private_endpoint=cloud.private_api
            ),
            master_authorized_networks_config=self._authorized(),
            workload_identity_config=container.ClusterWorkloadIdentityConfigArgs(
                workload_pool=f"{cloud.account}.svc.id.goog"
            ),
            database_encryption=container.ClusterDatabaseEncryptionArgs(state="ENCRYPTED", key_name=key.id),
            master_auth=container.ClusterMasterAuthArgs(
                client_certificate_config=container.ClusterMasterAuthClientCertificateConfigArgs(
                    issue_client_certificate=False
                )
            ),
            logging_config=container.ClusterLoggingConfigArgs(enable_components=list(CONTROL_PLANE_LOGS)),
            monitoring_config=container.ClusterMonitoringConfigArgs(
                enable_components=["SYSTEM_COMPONENTS"],
                managed_prometheus=container.ClusterMonitoringConfigManagedPrometheusArgs(enabled=False),
            ),
            maintenance_policy=_maintenance(cloud.upgrade_window),
            cost_management_config=container.ClusterCostManagementConfigArgs(enabled=True),
            resource_labels=self._labels,
            enable_shielded_nodes=True,
            # Pools are resources of their own: one that changes must not make the cluster anew.
            remove_default_node_pool=True,
            initial_node_count=1,
            deletion_protection=protect,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[usable, network.way_out], protect=protect),
        )

    def _authorized(self) -> container.ClusterMasterAuthorizedNetworksConfigArgs | None:
        if not self._cloud.api_from and not self._cloud.private_api:
            return None
        return container.ClusterMasterAuthorizedNetworksConfigArgs(
            cidr_blocks=[
                container.ClusterMasterAuthorizedNetworksConfigCidrBlockArgs(cidr_block=network)
                for network in self._cloud.api_from
            ],
            gcp_public_cidrs_access_enabled=False,
        )

    def _key(self, *, protect: bool) -> tuple[kms.CryptoKey, pulumi.Resource]:
        """Return the key that Secrets are encrypted with in etcd, and what lets GKE use it."""
        ring = kms.KeyRing(self._name, name=self._name, location=self._cloud.region, opts=self._child)
        key = kms.CryptoKey(
            self._name,
            name="secrets",
            key_ring=ring.id,
            rotation_period=_ROTATION,
            labels=self._labels,
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        agent = projects.ServiceIdentity(
            self._name, service="container.googleapis.com", project=self._cloud.account, opts=self._child
        )
        usable = kms.CryptoKeyIAMMember(
            self._name,
            crypto_key_id=key.id,
            role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
            member=agent.member,
            opts=self._child,
        )
        return key, usable

    def _nodes_account(self) -> tuple[serviceaccount.Account, pulumi.Resource]:
        """Return what nodes are to Google Cloud: they may write logs and metrics and fetch images, nothing else."""
        # Google allows 6 to 30 characters.
        account = serviceaccount.Account(
            self._name,
            account_id=f"{self._name[:24]}-nodes",
            display_name=f"Nodes of {self._name}",
            opts=self._child,
        )
        allowed = projects.IAMMember(
            f"{self._name}-nodes",
            project=self._cloud.account,
            role="roles/container.defaultNodeServiceAccount",
            member=account.member,
            opts=self._child,
        )
        return account, allowed

    def _pool(
        self, pool: NodePool, cluster: container.Cluster, account: serviceaccount.Account, after: list[pulumi.Resource]
    ) -> container.NodePool:
        taint = container.NodePoolNodeConfigTaintArgs(key=TAINT, value="true", effect="NO_SCHEDULE")
        return container.NodePool(
            f"{self._name}-{pool.name}",
            name=pool.name,
            cluster=cluster.id,
            # In the whole region, not in each zone.
            autoscaling=container.NodePoolAutoscalingArgs(
                total_min_node_count=pool.floor,
                total_max_node_count=pool.largest,
                location_policy="ANY" if pool.spot else "BALANCED",
            ),
            management=container.NodePoolManagementArgs(auto_repair=True, auto_upgrade=True),
            upgrade_settings=container.NodePoolUpgradeSettingsArgs(max_surge=1, max_unavailable=0),
            node_config=container.NodePoolNodeConfigArgs(
                machine_type=pool.machine,
                spot=pool.spot,
                disk_size_gb=pool.disk,
                disk_type="pd-balanced",
                service_account=account.email,
                oauth_scopes=["https://www.googleapis.com/auth/cloud-platform"],
                labels={"quarterdeck.dev/pool": pool.name},
                resource_labels=self._labels,
                taints=[taint] if pool.spot else None,
                metadata={"disable-legacy-endpoints": "true"},
                workload_metadata_config=container.NodePoolNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
                shielded_instance_config=container.NodePoolNodeConfigShieldedInstanceConfigArgs(
                    enable_secure_boot=True, enable_integrity_monitoring=True
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _kubeconfig(self, cluster: container.Cluster) -> pulumi.Output[str]:
        authority = cluster.master_auth.apply(lambda found: found.cluster_ca_certificate)
        return pulumi.Output.all(cluster.endpoint, authority).apply(
            lambda found: kubeconfig(
                self._name,
                server=f"https://{found[0]}",
                authority=found[1],
                command=("gke-gcloud-auth-plugin",),
            )
        )


def _maintenance(window: UpgradeWindow) -> container.ClusterMaintenancePolicyArgs:
    start = _FIRST_MONDAY + timedelta(days=list(Day).index(window.day), hours=window.hour, minutes=window.minute)
    end = start + timedelta(hours=window.hours)
    return container.ClusterMaintenancePolicyArgs(
        recurring_window=container.ClusterMaintenancePolicyRecurringWindowArgs(
            start_time=f"{start:%Y-%m-%dT%H:%M:%SZ}",
            end_time=f"{end:%Y-%m-%dT%H:%M:%SZ}",
            recurrence=f"FREQ=WEEKLY;BYDAY={window.day[:2].upper()}",
        )
    )
