"""Who may connect to whom: what is scraped, asked and sent is let through at both ends, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_stacks.flows import Flow, admitted, allowed
from quarterdeck_stacks.reach import Peer
from quarterdeck_stacks.watch import flows_of, has_secret_webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]

OPTIONS = ('probes=["https://shop.example.com/"]', "metricsServer=true", "logs=true", "traces=true")
DISTRIBUTED = ("monitoringScale=distributed", "objectStore=s3://samples?region=eu-west-1", "objectStoreIdentity=role")
SHAPES = [("dev", OPTIONS), ("staging", OPTIONS), ("prod", OPTIONS), ("prod", (*OPTIONS, *DISTRIBUTED))]
APP = "app.kubernetes.io/name"
NAMESPACE = "kubernetes.io/metadata.name"


def _admits(objects: dict[Any, dict[str, Any]], source: Peer, target: Peer, port: int, way: str) -> bool:
    """Return whether a policy of the pods at one end names the other: *way* is `ingress` or `egress`."""
    here, there = (target, source) if way == "ingress" else (source, target)
    for (kind, namespace, _), policy in objects.items():
        if kind != "NetworkPolicy" or namespace != here.namespace:
            continue
        if policy["spec"]["podSelector"].get("matchLabels") != {APP: here.app}:
            continue
        for rule in policy["spec"].get(way, []):
            peers = rule.get("from" if way == "ingress" else "to")
            if port in [each["port"] for each in rule["ports"]] and (
                peers is None or any(_is(each, there) for each in peers)
            ):
                return True
    return False


def _is(peer: dict[str, Any], pods: Peer) -> bool:
    if peer.get("namespaceSelector", {}).get("matchLabels", {}).get(NAMESPACE) != pods.namespace:
        return False
    return peer.get("podSelector", {"matchLabels": {APP: pods.app}})["matchLabels"] == {APP: pods.app}


@pytest.mark.parametrize(("env", "options"), SHAPES)
def test_every_pod_that_asks_to_be_scraped_may_be(env: str, options: tuple[str, ...], rendered: Objects) -> None:
    """By Prometheus, on the port that its annotation names, at both ends."""
    objects = rendered(env, *options)
    prometheus = Peer("quarterdeck", "prometheus")
    scraped = 0
    for each in objects.values():
        template = each.get("spec", {}).get("template", {})
        port = template.get("metadata", {}).get("annotations", {}).get("quarterdeck.dev/scrape-port")
        if port is not None:
            pods = Peer(each["metadata"]["namespace"], template["metadata"]["labels"][APP])
            assert _admits(objects, prometheus, pods, int(port), "ingress"), pods
            assert _admits(objects, prometheus, pods, int(port), "egress"), pods
            scraped += 1

    assert scraped >= 5


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (("quarterdeck", "prometheus"), ("quarterdeck", "kube-state-metrics"), 8080),
        (("quarterdeck", "prometheus"), ("quarterdeck-node", "node-exporter"), 9100),
        (("quarterdeck", "prometheus"), ("quarterdeck", "blackbox-exporter"), 9115),
        (("quarterdeck", "prometheus"), ("quarterdeck", "alertmanager"), 9093),
        (("quarterdeck", "alertmanager"), ("quarterdeck", "alertmanager"), 9094),
        (("quarterdeck", "grafana"), ("quarterdeck", "prometheus"), 9090),
        (("quarterdeck", "grafana"), ("quarterdeck", "tempo"), 3200),
        (("quarterdeck", "grafana"), ("quarterdeck", "loki"), 3100),
        (("quarterdeck", "blackbox-exporter"), ("shop", "checkout"), 8080),
    ],
)
def test_each_connection_of_the_monitoring_is_let_through(
    source: tuple[str, str], target: tuple[str, str], port: int, rendered: Objects
) -> None:
    """At both ends."""
    objects = rendered("prod", *OPTIONS)

    assert _admits(objects, Peer(*source), Peer(*target), port, "ingress")
    assert _admits(objects, Peer(*source), Peer(*target), port, "egress")


@pytest.mark.parametrize(("env", "options"), SHAPES)
def test_every_pod_of_the_monitoring_has_a_policy(env: str, options: tuple[str, ...], rendered: Objects) -> None:
    """Without one, the default denies it everything."""
    objects = rendered(env, *options)
    with_policy = {
        (namespace, policy["spec"]["podSelector"].get("matchLabels", {}).get(APP))
        for (kind, namespace, _), policy in objects.items()
        if kind == "NetworkPolicy"
    }
    pods = {
        (each["metadata"]["namespace"], each["spec"]["template"]["metadata"]["labels"][APP])
        for each in objects.values()
        if "template" in each.get("spec", {})
    }

    assert pods - with_policy == set()


def test_a_flow_is_one_rule_at_each_end() -> None:
    """The source may send, the target may receive; whoever is outside of the namespaces has policies of its own."""
    prometheus, shop = Peer("quarterdeck", "prometheus"), Peer("shop", "checkout")
    flows = [Flow(prometheus, shop, 9464), Flow(None, prometheus, 9090), Flow(prometheus, None, 443)]

    found = allowed(flows, ["quarterdeck"])

    assert found.keys() == {prometheus}
    assert found[prometheus].incoming == ((None, 9090, "TCP"),)
    assert found[prometheus].outgoing == ((None, 443, "TCP"), (shop, 9464, "TCP"))
    assert admitted(flows, ["quarterdeck"]) == {shop: ((prometheus, 9464, "TCP"),)}


def test_alerts_reach_the_ports_of_their_webhooks(settings_of: Callable[..., Settings], catalogue_text: str) -> None:
    """One that is a secret file is taken to be https."""
    hooks = "webhooks: {payments: 'http://hooks.example.com:8443/x', platform: /etc/alertmanager-webhooks/platform}\n"
    catalogue = parse(catalogue_text.replace("services:\n", f"{hooks}services:\n"), origin="services.yaml")

    flows = flows_of(settings_of("prod"), catalogue)

    out = {flow.port for flow in flows if flow.source == Peer("quarterdeck", "alertmanager") and flow.target is None}
    assert out == {443, 8443}


def test_a_webhook_in_a_file_that_no_pod_has_is_refused(catalogue_text: str) -> None:
    """Alertmanager would start, and fail when an alert is sent."""
    hooks = "webhooks: {payments: /run/secrets/hook}\n"
    catalogue = parse(catalogue_text.replace("services:\n", f"{hooks}services:\n"), origin="services.yaml")

    with pytest.raises(UsageError) as refused:
        has_secret_webhooks(catalogue)

    assert refused.value.found == "/run/secrets/hook"


def test_a_catalogue_without_files_mounts_no_secret(catalogue: Catalogue) -> None:
    """Nor does one whose webhooks are URLs."""
    assert has_secret_webhooks(catalogue) is False


@pytest.mark.parametrize(("env", "ports"), [("dev", [4317, 4318]), ("prod", [])])
def test_spans_of_a_change_are_taken_by_the_collectors_beside_it_and_no_others(
    env: str, ports: list[int], rendered: Objects
) -> None:
    """A `pr-N` is in dev's cluster, in namespaces that dev's stack knows by their label alone."""
    rules = rendered(env)["NetworkPolicy", "quarterdeck", "otel-collector-agent"]["spec"]["ingress"]
    change = {"namespaceSelector": {"matchExpressions": [{"key": "quarterdeck.dev/preview", "operator": "Exists"}]}}

    assert [port["port"] for rule in rules if change in rule["from"] for port in rule["ports"]] == ports
