"""A cluster on AKS: what Azure is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools


def test_azures_program_asks_nobody_in_a_browser(up: Callable[..., Any]) -> None:
    """A pipeline has none."""
    document = yaml.safe_load(up("dev", "aks").clouds.exported["kubeconfig"])

    arguments = document["users"][0]["user"]["exec"]["args"]
    assert arguments == ["get-token", "--server-id", "an-id", "--login", "azurecli"]


def test_aks_lets_in_by_entra_alone_and_encrypts(up: Callable[..., Any]) -> None:
    """No account of its own, Secrets under a key of ours, NetworkPolicies by Cilium."""
    cluster = up("prod", "aks", "clusterPrivateApi=true").one("azure-native:containerservice:ManagedCluster")

    assert cluster["disableLocalAccounts"] is True
    assert cluster["aadProfile"]["adminGroupObjectIDs"] == ["00000000-0000-0000-0000-00000000000a"]
    assert cluster["apiServerAccessProfile"] == {"enablePrivateCluster": True, "disableRunCommand": True}
    assert cluster["securityProfile"] == {
        "azureKeyVaultKms": {
            "enabled": True,
            "keyId": "https://vault.example/keys/secrets/1",
            "keyVaultNetworkAccess": "Public",
        },
        "workloadIdentity": {"enabled": True},
    }
    network = cluster["networkProfile"]
    assert (network["networkPlugin"], network["networkPolicy"]) == ("azure", "cilium")
    assert (network["podCidr"], network["serviceCidr"]) == ("10.64.128.0/17", "10.64.64.0/20")
    assert network["dnsServiceIP"] == "10.64.64.10"
    (system,) = cluster["agentPoolProfiles"]
    assert (system["name"], system["mode"], system["minCount"], system["maxCount"]) == ("general", "System", 2, 6)


def test_aks_spot_nodes_are_tainted_and_upgrades_have_a_window(up: Callable[..., Any]) -> None:
    """For the control plane and for the nodes."""
    run = up("prod", "aks")

    pool = run.one("azure-native:containerservice:AgentPool")
    assert pool["nodeTaints"] == [
        "quarterdeck.dev/spot=true:NoSchedule",
        "kubernetes.azure.com/scalesetpriority=spot:NoSchedule",
    ]
    assert (pool["scaleSetPriority"], pool["spotMaxPrice"], pool["count"]) == ("Spot", -1, 0)
    windows = {each.inputs["configName"]: each.inputs["maintenanceWindow"] for each in run.of(_MAINTENANCE)}
    assert sorted(windows) == ["aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule"]
    assert windows["aksManagedAutoUpgradeSchedule"] == {
        "schedule": {"weekly": {"dayOfWeek": "Sunday", "intervalWeeks": 1}},
        "startTime": "03:00",
        "durationHours": 4,
        "utcOffset": "+00:00",
    }


def test_aks_keeps_the_audit_log(up: Callable[..., Any]) -> None:
    """In tables of their own, for as long as the settings say."""
    run = up("prod", "aks", "auditDays=365")

    assert run.one("azure-native:operationalinsights:Workspace")["retentionInDays"] == 365
    logs = run.one("azure-native:monitor:DiagnosticSetting")["logs"]
    assert {each["category"] for each in logs} >= {"kube-audit-admin", "guard"}


_MAINTENANCE = "azure-native:containerservice:MaintenanceConfiguration"
