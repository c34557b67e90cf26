"""Prometheus, Alertmanager, namespaces and facts as objects of a cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_stacks.components.alertmanager import Alertmanager
from quarterdeck_stacks.components.facts import Facts
from quarterdeck_stacks.components.namespaces import Namespaces
from quarterdeck_stacks.components.prometheus import Prometheus
from quarterdeck_stacks.images import LOCAL_ALERTMANAGER, LOCAL_PROMETHEUS
from quarterdeck_stacks.scraping import Scraping

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_stacks.capture import Registration

    Run = Callable[[Callable[[], object]], list[Registration]]

SCRAPING = Scraping("local", timedelta(seconds=2), timedelta(days=31), namespaces=["shop"])
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
    "pod-security.kubernetes.io/audit": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
}


def _prometheus(
    registered: Run, rules: str = "groups: []\n", address: str | None = "127.77.0.90"
) -> list[Registration]:
    return registered(
        lambda: Prometheus(
            SCRAPING,
            rules={"checkout.yaml": rules},
            image=LOCAL_PROMETHEUS,
            url="http://127.77.0.90:9090",
            address=address,
            namespaces=Namespaces(["quarterdeck", "shop"]),
        )
    )


def _alertmanager(registered: Run) -> list[Registration]:
    return registered(
        lambda: Alertmanager(
            "route: {}\n",
            image=LOCAL_ALERTMANAGER,
            url="http://127.77.0.93:9093",
            address="127.77.0.93",
            namespaces=Namespaces(["quarterdeck"]),
        )
    )


def _only(found: list[Registration], kind: str) -> dict[str, Any]:
    (one,) = [each.inputs for each in found if each.type.endswith(f":{kind}")]
    return one


def _pod(found: list[Registration]) -> dict[str, Any]:
    template: dict[str, Any] = _only(found, "Deployment")["spec"]["template"]
    return template


def test_prometheus_is_told_what_the_contract_asks_for(registered: Run) -> None:
    """It listens on its own address, reads start timestamps and exemplars, and nobody can reload or stop it by HTTP."""
    assert _pod(_prometheus(registered))["spec"]["containers"][0]["args"] == [
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--web.listen-address=$(POD_IP):9090",
        "--web.external-url=http://127.77.0.90:9090",
        "--enable-feature=created-timestamp-zero-ingestion,exemplar-storage",
    ]


def test_alertmanager_gossips_with_nobody(registered: Run) -> None:
    """A single one opens no port for others."""
    assert _pod(_alertmanager(registered))["spec"]["containers"][0]["args"] == [
        "--config.file=/etc/alertmanager/alertmanager.yml",
        "--storage.path=/alertmanager",
        "--web.listen-address=$(POD_IP):9093",
        "--web.external-url=http://127.77.0.93:9093",
        "--cluster.listen-address=",
    ]


def test_a_changed_rule_rolls_prometheus(registered: Run) -> None:
    """The ConfigMap's name has the content's hash in it, and the pod's template has that name."""
    before, again, after = (
        _pod(_prometheus(registered, rules))["spec"]["volumes"]
        for rules in ("groups: []\n", "groups: []\n", "groups: [{name: a, rules: []}]\n")
    )

    assert before == again
    assert before[0] == after[0]
    assert before[1]["configMap"]["name"].startswith("prometheus-rules-")
    assert before[1] != after[1]


def test_content_that_is_mounted_cannot_be_edited_in_place(registered: Run) -> None:
    """Its name would no longer be its hash."""
    maps = [each.inputs for each in _prometheus(registered) if each.type.endswith(":ConfigMap")]

    assert [each["immutable"] for each in maps] == [True, True]


def test_prometheus_may_see_pods_where_it_discovers_them_and_nothing_else(registered: Run) -> None:
    """One role for each namespace, with no wildcard and no Secret."""
    roles = [each.inputs for each in _prometheus(registered) if each.type.endswith(":Role")]

    assert [role["metadata"]["namespace"] for role in roles] == ["quarterdeck", "shop"]
    assert [role["rules"] for role in roles] == [
        [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    ] * 2


def test_only_prometheus_has_a_token(registered: Run) -> None:
    """Alertmanager never speaks to the API server."""
    assert _pod(_prometheus(registered))["spec"]["automountServiceAccountToken"] is True
    assert _pod(_alertmanager(registered))["spec"]["automountServiceAccountToken"] is False


def test_a_server_asks_for_its_address_on_loopback_alone(registered: Run) -> None:
    """So that its URL is known before it runs; elsewhere a Service has the name."""
    on_loopback = _pod(_prometheus(registered))["metadata"]["annotations"]
    elsewhere = _pod(_prometheus(registered, address=None))["metadata"]["annotations"]

    assert on_loopback == {"quarterdeck.dev/address": "127.77.0.90", "quarterdeck.dev/scrape-port": "9090"}
    assert elsewhere == {"quarterdeck.dev/scrape-port": "9090"}


def test_a_server_is_recreated_because_two_would_share_its_address(registered: Run) -> None:
    """No surge: the new one starts when the old one is gone."""
    assert _only(_prometheus(registered), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_a_server_starts_after_all_that_it_needs(registered: Run) -> None:
    """Its configuration, its account and its roles are there before its Deployment."""
    (deployment,) = [each for each in _prometheus(registered) if each.type.endswith(":Deployment")]
    needs = {urn.split("$")[-1] for urn in deployment.depends_on}

    assert needs == {
        "kubernetes:core/v1:Namespace::quarterdeck",
        "kubernetes:core/v1:ServiceAccount::prometheus",
        "kubernetes:core/v1:ConfigMap::prometheus-config",
        "kubernetes:core/v1:ConfigMap::prometheus-rules",
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding::prometheus-quarterdeck",
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding::prometheus-shop",
    }


def test_every_namespace_enforces_the_restricted_level(registered: Run) -> None:
    """Each name is made once, however often it is asked for."""
    found = registered(lambda: Namespaces(["shop", "quarterdeck", "shop"]))

    spaces = [each.inputs["metadata"] for each in found if each.type == "kubernetes:core/v1:Namespace"]
    assert [space["name"] for space in spaces] == ["quarterdeck", "shop"]
    assert [space["labels"] for space in spaces] == [{**RESTRICTED, "app.kubernetes.io/managed-by": "quarterdeck"}] * 2


def test_the_clusters_own_default_namespace_is_labelled_and_not_made(registered: Run) -> None:
    """Making it would fail because it is there; removing the stack must not remove it."""
    found = registered(lambda: Namespaces(["default"]))

    (patch,) = [each for each in found if each.custom]
    assert patch.type == "kubernetes:core/v1:NamespacePatch"
    assert patch.inputs["metadata"] == {"name": "default", "labels": RESTRICTED}


def test_the_facts_are_where_every_command_looks(registered: Run) -> None:
    """The ConfigMap's name does not change with its content."""
    facts = EnvironmentFacts("local", "http://p", "http://a", "version: 1\n", "2s")

    found = registered(lambda: Facts(facts, namespaces=Namespaces(["quarterdeck"])))

    config_map = _only(found, "ConfigMap")
    assert (config_map["metadata"]["namespace"], config_map["metadata"]["name"]) == (
        "quarterdeck",
        "quarterdeck-environment",
    )
    assert EnvironmentFacts.from_data(config_map["data"]) == facts


@pytest.mark.parametrize("make", [_prometheus, _alertmanager])
def test_a_server_writes_to_its_data_volume_alone(registered: Run, make: Callable[[Run], list[Registration]]) -> None:
    """The root file system and every mounted ConfigMap are read-only."""
    (container,) = _pod(make(registered))["spec"]["containers"]

    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")] == ["data"]
