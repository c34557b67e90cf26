"""What an environment has when it asks for it: metrics-server, Datadog's agents, the node's exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]


def _pod(objects: dict[Any, dict[str, Any]], kind: str, namespace: str, name: str) -> dict[str, Any]:
    pod: dict[str, Any] = objects[kind, namespace, name]["spec"]["template"]["spec"]
    return pod


def _rules(objects: dict[Any, dict[str, Any]], name: str) -> set[str]:
    return {resource for rule in objects["ClusterRole", None, name]["rules"] for resource in rule.get("resources", [])}


def test_metrics_server_is_asked_through_the_api_that_it_adds(rendered: Objects) -> None:
    """On the port of its Service, by the API server."""
    objects = rendered("dev", "metricsServer=true")

    added = objects["APIService", None, "v1beta1.metrics.k8s.io"]["spec"]
    assert added["service"] == {"name": "metrics-server", "namespace": "quarterdeck", "port": 10250}
    (port,) = objects["Service", "quarterdeck", "metrics-server"]["spec"]["ports"]
    assert port["port"] == 10250


def test_metrics_server_reads_metrics_and_no_more(rendered: Objects) -> None:
    """Whoever may view the cluster may view what it offers."""
    objects = rendered("dev", "metricsServer=true")

    assert _rules(objects, "quarterdeck-metrics-server") == {"nodes/metrics", "pods", "nodes"}
    offered = objects["ClusterRole", None, "quarterdeck-metrics-server-reader"]["metadata"]["labels"]
    assert offered["rbac.authorization.k8s.io/aggregate-to-view"] == "true"


@pytest.mark.parametrize(("env", "replicas"), [("dev", 1), ("prod", 2)])
def test_metrics_server_is_alone_only_where_everything_is(env: str, replicas: int, rendered: Objects) -> None:
    """Autoscalers stand still without it."""
    objects = rendered(env, "metricsServer=true")

    assert objects["Deployment", "quarterdeck", "metrics-server"]["spec"]["replicas"] == replicas


def test_the_node_exporter_sees_folders_and_nothing_else_of_a_node(rendered: Objects) -> None:
    """Not its network, not its processes; and what it would say of a network is its own pod's, so it says nothing."""
    pod = _pod(rendered("prod"), "DaemonSet", "quarterdeck-node", "node-exporter")
    (container,) = pod["containers"]

    assert {volume["hostPath"]["path"] for volume in pod["volumes"]} == {"/proc", "/sys", "/"}
    assert "--no-collector.netdev" in container["args"]
    assert pod["tolerations"] == [{"operator": "Exists"}]


def test_kube_state_metrics_watches_what_it_may(rendered: Objects) -> None:
    """What it is told to watch is what its role has, and that is no Secret and no ConfigMap."""
    objects = rendered("prod")
    (container,) = _pod(objects, "Deployment", "quarterdeck", "kube-state-metrics")["containers"]
    (told,) = [each for each in container["args"] if each.startswith("--resources=")]

    allowed = _rules(objects, "quarterdeck-kube-state-metrics")
    assert set(told.removeprefix("--resources=").split(",")) == allowed
    assert not {"secrets", "configmaps"} & allowed


def test_without_probes_no_blackbox_exporter_runs(rendered: Objects) -> None:
    """Nor is it a job, or an alert's source."""
    assert [key for key in rendered("prod") if "blackbox" in key[2]] == []


def test_datadogs_keys_are_references(rendered: Objects) -> None:
    """To the Secret of the settings, in the namespace of each agent."""
    objects = rendered("prod", "datadog=true", "datadogSecret=ours")
    for kind, namespace, name in (
        ("DaemonSet", "quarterdeck-node", "datadog-agent"),
        ("Deployment", "quarterdeck", "datadog-cluster-agent"),
    ):
        (container,) = _pod(objects, kind, namespace, name)["containers"]
        secrets = {each["name"]: each["valueFrom"] for each in container["env"] if "secretKeyRef" in str(each)}
        assert secrets == {
            "DD_API_KEY": {"secretKeyRef": {"name": "ours", "key": "api-key"}},
            "DD_CLUSTER_AGENT_AUTH_TOKEN": {"secretKeyRef": {"name": "ours", "key": "token"}},
        }


def test_datadogs_agent_reads_the_kubelet_without_its_proxy(rendered: Objects) -> None:
    """`nodes/proxy` would let it run commands in any pod."""
    objects = rendered("prod", "datadog=true")

    assert _rules(objects, "quarterdeck-datadog-agent") == {
        "nodes/metrics",
        "nodes/spec",
        "nodes/stats",
        "nodes/pods",
        "nodes/healthz",
        "nodes/configz",
    }


def test_datadogs_agents_find_the_cluster_agent(rendered: Objects) -> None:
    """By its Service, on the port that it listens on."""
    objects = rendered("prod", "datadog=true")
    (container,) = _pod(objects, "DaemonSet", "quarterdeck-node", "datadog-agent")["containers"]

    (url,) = [each["value"] for each in container["env"] if each["name"] == "DD_CLUSTER_AGENT_URL"]
    (port,) = objects["Service", "quarterdeck", "datadog-cluster-agent"]["spec"]["ports"]
    assert url == f"https://datadog-cluster-agent.quarterdeck.svc:{port['port']}"
