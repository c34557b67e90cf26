"""A cluster on GKE: what Google Cloud is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools


def test_gke_is_private_encrypted_and_enforces_network_policies(up: Callable[..., Any]) -> None:
    """Its nodes have no outside addresses, its API answers to the networks that are named."""
    cluster = up("prod", "gke", 'clusterApiFrom=["203.0.113.0/24"]').one("gcp:container/cluster:Cluster")

    assert cluster["privateClusterConfig"] == {"enablePrivateNodes": True, "enablePrivateEndpoint": False}
    assert cluster["masterAuthorizedNetworksConfig"] == {
        "cidrBlocks": [{"cidrBlock": "203.0.113.0/24"}],
        "gcpPublicCidrsAccessEnabled": False,
    }
    assert cluster["databaseEncryption"]["state"] == "ENCRYPTED"
    assert cluster["datapathProvider"] == "ADVANCED_DATAPATH"
    assert cluster["workloadIdentityConfig"] == {"workloadPool": "a-project.svc.id.goog"}
    assert cluster["resourceLabels"] == {"environment": "prod", "managed-by": "quarterdeck", "team": "platform"}
    window = cluster["maintenancePolicy"]["recurringWindow"]
    assert window == {
        "startTime": "2024-01-07T03:00:00Z",
        "endTime": "2024-01-07T07:00:00Z",
        "recurrence": "FREQ=WEEKLY;BYDAY=SU",
    }


def test_gke_node_pools_scale_in_the_whole_region(up: Callable[..., Any]) -> None:
    """With an identity of their own that may do little."""
    pools = {each.name: each.inputs for each in up("prod", "gke").of("gcp:container/nodePool:NodePool")}

    general, cheap = pools["quarterdeck-prod-general"], pools["quarterdeck-prod-cheap"]
    assert general["autoscaling"] == {"totalMinNodeCount": 2, "totalMaxNodeCount": 6, "locationPolicy": "BALANCED"}
    assert cheap["autoscaling"] == {"totalMinNodeCount": 0, "totalMaxNodeCount": 3, "locationPolicy": "ANY"}
    assert (general["nodeConfig"]["spot"], cheap["nodeConfig"]["spot"]) == (False, True)
    assert cheap["nodeConfig"]["taints"] == [{"key": "quarterdeck.dev/spot", "value": "true", "effect": "NO_SCHEDULE"}]
    assert general["nodeConfig"]["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}
    assert general["nodeConfig"]["serviceAccount"] == "nodes@example"
