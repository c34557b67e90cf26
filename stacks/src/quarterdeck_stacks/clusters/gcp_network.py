"""A network for a cluster on Google Cloud: one subnet with ranges for pods and services, and a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_gcp import compute

from quarterdeck_stacks.settings.cloud import Ranges

if TYPE_CHECKING:
    from quarterdeck_stacks.settings.cloud import CloudSettings

PODS = "pods"
SERVICES = "services"
"""Names of the subnet's secondary ranges."""


class Network(pulumi.ComponentResource):
    """A network whose nodes have private addresses alone, and reach the outside through Cloud NAT."""

    def __init__(self, name: str, cloud: CloudSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("quarterdeck:gcp_network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        ranges = Ranges(cloud.network)
        network = compute.Network(name, name=name, auto_create_subnetworks=False, opts=child)
        subnet = compute.Subnetwork(
            name,
            name=name,
            network=network.id,
            region=cloud.region,
            ip_cidr_range=ranges.nodes[0],
            secondary_ip_ranges=[
                compute.SubnetworkSecondaryIpRangeArgs(range_name=PODS, ip_cidr_range=ranges.pods),
                compute.SubnetworkSecondaryIpRangeArgs(range_name=SERVICES, ip_cidr_range=ranges.services),
            ],
            # Google's own APIs (images, logs) are reached without the NAT gateway.
            private_ip_google_access=True,
            opts=child,
        )
        router = compute.Router(name, name=name, network=network.id, region=cloud.region, opts=child)
        nat = compute.RouterNat(
            name,
            name=name,
            router=router.name,
            region=cloud.region,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            opts=child,
        )
        self.network = network.id
        self.subnet = subnet.id
        self.way_out: pulumi.Resource = nat
        """Nodes need it to fetch images."""
        self.register_outputs({"network": self.network, "subnet": self.subnet})
