"""A cluster on Azure's AKS: Cilium in overlay mode, which enforces NetworkPolicies, and Entra as the only way in.

Sources: AKS' documentation, "Baseline architecture", "Use a workload identity", "Add KMS etcd encryption", "Use planned
maintenance"; the schema of pulumi-azure-native 3.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pulumi
import yaml
from pulumi_azure_native import authorization, containerservice, keyvault, managedidentity, network, resources
from pulumi_azure_native.provider import Provider

from quarterdeck_stacks.clusters.azure_logs import Logs
from quarterdeck_stacks.clusters.cluster import Cluster, tags
from quarterdeck_stacks.clusters.spot import AKS_TAINT, TAINT
from quarterdeck_stacks.settings.cloud import Day, Ranges

if TYPE_CHECKING:
    from quarterdeck_stacks.settings.cloud import NodePool
    from quarterdeck_stacks.settings.cluster import ClusterSettings

_NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"
_CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
"""Azure's built-in roles: "Network Contributor", "Key Vault Crypto User"."""

_LONGEST_VAULT = 16
"""Of the 24 characters of a vault's name, what Pulumi's random suffix leaves."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def provider(settings: ClusterSettings) -> Provider:
    """Return the provider of the settings' subscription and region."""
    return Provider("azure", subscription_id=settings.cloud.account, location=settings.cloud.region)


def make(environment: str, settings: ClusterSettings, *, protect: bool) -> Cluster:
    """Make the cluster and return its outputs."""
    opts = pulumi.ResourceOptions(provider=provider(settings))
    return Aks(environment, settings, protect=protect, opts=opts).outputs


class Aks(pulumi.ComponentResource):
    """An AKS cluster in a resource group and a network of its own."""

    def __init__(
        self, environment: str, settings: ClusterSettings, *, protect: bool, opts: pulumi.ResourceOptions
    ) -> None:
        name = f"quarterdeck-{environment}"
        super().__init__("quarterdeck:aks:Aks", name, None, opts)
        self._name = name
        self._cloud = settings.cloud
        self._protect = protect
        self._tags = tags(environment, self._cloud.tags)
        self._child = pulumi.ResourceOptions(parent=self)
        group = resources.ResourceGroup(
            name, resource_group_name=name, location=self._cloud.region, tags=self._tags, opts=self._child
        )
        self._group = group.name
        self._identity = managedidentity.UserAssignedIdentity(
            name, resource_group_name=self._group, resource_name_=name, tags=self._tags, opts=self._child
        )
        self._ranges = Ranges(self._cloud.network)
        self._subnet, joined = self._network()
        key, usable = self._key()
        cluster = self._control_plane(settings, key, after=[joined, usable])
        pools = [self._pool(pool, cluster) for pool in self._cloud.pools if pool is not self._first]
        self._upgrades(cluster)
        Logs(name, cluster.id, self._group, self._cloud, tags=self._tags, opts=self._child)
        issuer = cluster.oidc_issuer_profile.apply(lambda found: found.issuer_url if found else "")
        self.outputs = Cluster(
            kubeconfig=pulumi.Output.secret(self._kubeconfig(cluster)),
            context=None,
            issuer=issuer,
            made=[cluster, *pools],
        )
        self.register_outputs({"kubeconfig": self.outputs.kubeconfig, "issuer": issuer})

    @property
    def _first(self) -> NodePool:
        """The pool that the cluster's own pods run on, which Azure allows no spot nodes for."""
        return next(pool for pool in self._cloud.pools if not pool.spot)

    def _control_plane(
        self, settings: ClusterSettings, key: keyvault.Key, *, after: list[pulumi.Resource]
    ) -> containerservice.ManagedCluster:
        cloud, first = self._cloud, self._first
        return containerservice.ManagedCluster(
            self._name,
            resource_name_=self._name,
            resource_group_name=self._group,
            dns_prefix=self._name,
            kubernetes_version=settings.version or None,
            # Three control planes that Azure answers for; `Free` promises nothing, and is for clusters thrown away.
            sku=containerservice.ManagedClusterSKUArgs(name="Base", tier="Standard" if self._protect else "Free"),
            identity=containerservice.ManagedClusterIdentityArgs(
                type=containerservice.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[self._identity.id],
            ),
            agent_pool_profiles=[
                containerservice.ManagedClusterAgentPoolProfileArgs(
                    name=first.name,
                    mode="System",
                    count=max(first.floor, 1),
                    **self._machines(first),
                )
            ],
            network_profile=containerservice.ContainerServiceNetworkProfileArgs(
                network_plugin="azure",
                network_plugin_mode="overlay",
                network_dataplane="cilium",
                network_policy="cilium",
                pod_cidr=self._ranges.pods,
                service_cidr=self._ranges.services,
                dns_service_ip=self._ranges.name_server,
                load_balancer_sku="standard",
            ),
            api_server_access_profile=containerservice.ManagedClusterAPIServerAccessProfileArgs(
                enable_private_cluster=cloud.private_api,
                # Azure takes both, and heeds the networks only where the API is public.
                authorized_ip_ranges=None if cloud.private_api else list(cloud.api_from) or None,
                disable_run_command=True,
            ),
            aad_profile=containerservice.ManagedClusterAADProfileArgs(
                managed=True, enable_azure_rbac=False, admin_group_object_ids=list(cloud.admins)
            ),
            # A certificate that never ends and that nobody can take back.
            disable_local_accounts=True,
            oidc_issuer_profile=containerservice.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
            security_profile=containerservice.ManagedClusterSecurityProfileArgs(
                workload_identity=containerservice.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
                azure_key_vault_kms=containerservice.AzureKeyVaultKmsArgs(
                    enabled=True, key_id=key.key_uri_with_version, key_vault_network_access="Public"
                ),
            ),
            auto_upgrade_profile=containerservice.ManagedClusterAutoUpgradeProfileArgs(
                upgrade_channel="patch", node_os_upgrade_channel="NodeImage"
            ),
            tags=self._tags,
            # The autoscaler's, from then on.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=after, protect=self._protect, ignore_changes=["agentPoolProfiles[0].count"]
            ),
        )

    def _pool(self, pool: NodePool, cluster: containerservice.ManagedCluster) -> containerservice.AgentPool:
        return containerservice.AgentPool(
            f"{self._name}-{pool.name}",
            agent_pool_name=pool.name,
            resource_group_name=self._group,
            resource_name_=cluster.name,
            mode="User",
            count=pool.floor,
            node_taints=[f"{TAINT}=true:NoSchedule", f"{AKS_TAINT}=spot:NoSchedule"] if pool.spot else None,
            scale_set_priority="Spot" if pool.spot else None,
            scale_set_eviction_policy="Delete" if pool.spot else None,
            # Never more than the price of a node that is not taken back.
            spot_max_price=-1.0 if pool.spot else None,
            **self._machines(pool),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["count"]),
        )

    def _machines(self, pool: NodePool) -> dict[str, Any]:
        return {
            "vm_size": pool.machine,
            "os_type": "Linux",
            "os_sku": "AzureLinux",
            "os_disk_size_gb": pool.disk,
            "type": "VirtualMachineScaleSets",
            "availability_zones": list(self._cloud.zones) or None,
            "vnet_subnet_id": self._subnet,
            "enable_auto_scaling": True,
            "min_count": max(pool.floor, 1) if pool is self._first else pool.floor,
            "max_count": pool.largest,
            "enable_node_public_ip": False,
            "node_labels": {"quarterdeck.dev/pool": pool.name},
            "tags": self._tags,
        }

    def _network(self) -> tuple[pulumi.Output[str], pulumi.Resource]:
        """Return the subnet of all nodes, and what lets the cluster put load balancers into it."""
        nodes = self._ranges.nodes[0]
        net = network.VirtualNetwork(
            self._name,
            virtual_network_name=self._name,
            resource_group_name=self._group,
            address_space=network.AddressSpaceArgs(address_prefixes=[nodes]),
            tags=self._tags,
            opts=self._child,
        )
        subnet = network.Subnet(
            self._name,
            subnet_name="nodes",
            resource_group_name=self._group,
            virtual_network_name=net.name,
            address_prefix=nodes,
            opts=self._child,
        )
        return subnet.id, self._assigned("network", _NETWORK_CONTRIBUTOR, subnet.id)

    def _key(self) -> tuple[keyvault.Key, pulumi.Resource]:
        """Return the key that Secrets are encrypted with in etcd, and what lets the cluster use it."""
        vault = keyvault.Vault(
            # A vault's name is the world's, so Pulumi adds a random suffix.
            self._name[:_LONGEST_VAULT].rstrip("-"),
            resource_group_name=self._group,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=self._identity.tenant_id,
                sku=keyvault.SkuArgs(family="A", name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                # Without its key, a cluster can read no Secret again.
                enable_purge_protection=True,
            ),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._protect),
        )
        key = keyvault.Key(
            self._name,
            key_name="secrets",
            resource_group_name=self._group,
            vault_name=vault.name,
            properties=keyvault.KeyPropertiesArgs(kty="RSA", key_size=3072),
            opts=pulumi.ResourceOptions(parent=self, protect=self._protect),
        )
        return key, self._assigned("key", _CRYPTO_USER, vault.id)

    def _assigned(self, what: str, role: str, scope: pulumi.Output[str]) -> pulumi.Resource:
        assigned: pulumi.Resource = authorization.RoleAssignment(
            f"{self._name}-{what}",
            principal_id=self._identity.principal_id,
            # Else Azure may look for the identity before its directory knows it, and fail.
            principal_type="ServicePrincipal",
            role_definition_id=(
                f"/subscriptions/{self._cloud.account}/providers/Microsoft.Authorization/roleDefinitions/{role}"
            ),
            scope=scope,
            opts=self._child,
        )
        return assigned

    def _upgrades(self, cluster: containerservice.ManagedCluster) -> None:
        """Let Azure upgrade the control plane, and replace nodes for their operating system, in the window alone."""
        window = self._cloud.upgrade_window
        # Azure's own names for what a window is for.
        for config in ("aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule"):
            containerservice.MaintenanceConfiguration(
                f"{self._name}-{config}",
                config_name=config,
                resource_group_name=self._group,
                resource_name_=cluster.name,
                maintenance_window=containerservice.MaintenanceWindowArgs(
                    schedule=containerservice.ScheduleArgs(
                        weekly=containerservice.WeeklyScheduleArgs(
                            day_of_week=_DAYS[list(Day).index(window.day)], interval_weeks=1
                        )
                    ),
                    start_time=f"{window.hour:02d}:{window.minute:02d}",
                    duration_hours=window.hours,
                    utc_offset="+00:00",
                ),
                opts=self._child,
            )

    def _kubeconfig(self, cluster: containerservice.ManagedCluster) -> pulumi.Output[str]:
        """Return what Azure hands to users: no credentials, but kubelogin, which takes those of the Azure CLI."""
        found = containerservice.list_managed_cluster_user_credentials_output(
            resource_group_name=self._group,
            resource_name=cluster.name,
            format="exec",
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        contents: pulumi.Output[str] = found.kubeconfigs.apply(
            lambda files: logged_in(base64.b64decode(files[0].value).decode())
        )
        return contents


def logged_in(contents: str) -> str:
    """Return the kubeconfig *contents* with the Azure CLI's login in place of the one that asks a person in a browser.

    The same for whoever runs it, in a shell and in a pipeline.
    """
    document = yaml.safe_load(contents)
    for user in document["users"]:
        arguments = user["user"]["exec"]["args"]
        arguments[arguments.index("--login") + 1] = "azurecli"
    text: str = yaml.safe_dump(document)
    return text
