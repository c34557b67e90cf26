"""A network for a cluster on AWS: private subnets for nodes and pods, and a way out of each zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2

from quarterdeck_stacks.clusters.cluster import CLUSTER_TAG
from quarterdeck_stacks.settings.cloud import Ranges

if TYPE_CHECKING:
    from quarterdeck_stacks.settings.cloud import CloudSettings

EVERYWHERE = "0.0.0.0/0"


class Network(pulumi.ComponentResource):
    """A VPC whose private subnets reach the outside through a NAT gateway of their own zone."""

    def __init__(self, name: str, cloud: CloudSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("quarterdeck:aws_network:Network", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._vpc = ec2.Vpc(
            name,
            cidr_block=cloud.network,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": name},
            opts=self._child,
        )
        gateway = ec2.InternetGateway(name, vpc_id=self._vpc.id, tags={"Name": name}, opts=self._child)
        self._outside = self._table("public")
        ec2.Route(
            f"{name}-public",
            route_table_id=self._outside.id,
            destination_cidr_block=EVERYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )
        ranges = Ranges(cloud.network)
        self.subnets: list[pulumi.Output[str]] = [
            self._zone(zone, nodes, way_out)
            for zone, nodes, way_out in zip(cloud.zones, ranges.nodes, ranges.ways_out, strict=False)
        ]
        """Ids of the private subnets, one a zone."""
        self.register_outputs({"subnets": self.subnets})

    def _zone(self, zone: str, nodes: str, way_out: str) -> pulumi.Output[str]:
        # The tags tell AWS' load balancers which subnets are theirs.
        public = self._subnet("public", zone, way_out, {"kubernetes.io/role/elb": "1"})
        self._associate("public", zone, public, self._outside)
        address = ec2.Eip(f"{self._name}-{zone}", domain="vpc", opts=self._child)
        nat = ec2.NatGateway(
            f"{self._name}-{zone}",
            subnet_id=public.id,
            allocation_id=address.id,
            tags={"Name": f"{self._name}-{zone}"},
            opts=self._child,
        )
        table = self._table(zone)
        ec2.Route(
            f"{self._name}-{zone}",
            route_table_id=table.id,
            destination_cidr_block=EVERYWHERE,
            nat_gateway_id=nat.id,
            opts=self._child,
        )
        tags = {"kubernetes.io/role/internal-elb": "1", CLUSTER_TAG: self._name}
        private = self._subnet("private", zone, nodes, tags)
        self._associate("private", zone, private, table)
        subnet: pulumi.Output[str] = private.id
        return subnet

    def _subnet(self, kind: str, zone: str, network: str, tags: dict[str, str]) -> ec2.Subnet:
        return ec2.Subnet(
            f"{self._name}-{kind}-{zone}",
            vpc_id=self._vpc.id,
            availability_zone=zone,
            cidr_block=network,
            map_public_ip_on_launch=False,
            tags={"Name": f"{self._name}-{kind}-{zone}", **tags},
            opts=self._child,
        )

    def _table(self, which: str) -> ec2.RouteTable:
        name = f"{self._name}-{which}"
        return ec2.RouteTable(name, vpc_id=self._vpc.id, tags={"Name": name}, opts=self._child)

    def _associate(self, kind: str, zone: str, subnet: ec2.Subnet, table: ec2.RouteTable) -> None:
        ec2.RouteTableAssociation(
            f"{self._name}-{kind}-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._child
        )
