"""An environment in a cluster whose Prometheus an operator runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.operator_objects import Operated
from quarterdeck_stacks.scraping import Scraping

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_stacks.settings import Settings

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]

GIVEN = (
    "prometheusOperator=true",
    "prometheusUrl=http://prometheus-operated.monitoring.svc:9090",
    "alertmanagerUrl=http://alertmanager-operated.monitoring.svc:9093/",
    'prometheusOperatorLabels=["release=stack"]',
)
OPERATED = Operated("prod", timedelta(seconds=15), ["shop", "back"], {"release": "stack"})
RULES = "groups:\n  - name: checkout\n    rules:\n      - {record: a, expr: vector(1)}\n"


def test_rules_are_the_same_groups_in_the_operators_objects() -> None:
    """One object for each file."""
    assert OPERATED.rules({"service-checkout.yaml": RULES}) == {
        "quarterdeck-service-checkout": {
            "groups": [{"name": "checkout", "rules": [{"record": "a", "expr": "vector(1)"}]}]
        }
    }


def test_pods_get_the_labels_that_the_stacks_own_prometheus_gives_them() -> None:
    """Else no dashboard, rule or gate would find them."""
    own = yaml.safe_load(Scraping("prod", timedelta(seconds=15), timedelta(days=31), ["shop"]).to_yaml())
    expected = {
        rule["target_label"]: rule.get("source_labels", rule.get("replacement"))
        for rule in own["scrape_configs"][0]["relabel_configs"]
        if rule.get("target_label", "__address__") != "__address__"
    }

    (endpoint,) = OPERATED.pods()["podMetricsEndpoints"]

    assert endpoint["port"] == "metrics"
    assert {
        rule["targetLabel"]: rule.get("sourceLabels", rule.get("replacement")) for rule in endpoint["relabelings"]
    } == expected


def test_the_stack_has_no_prometheus_of_its_own_there(rendered: Objects) -> None:
    """Nor an Alertmanager or exporters; what it has instead is labelled as the operator's Prometheus selects it."""
    objects = rendered("dev", *GIVEN)

    programs = {name for kind, _, name in objects if kind in {"StatefulSet", "Deployment", "DaemonSet"}}
    assert not {"prometheus", "alertmanager", "kube-state-metrics", "node-exporter"} & programs
    monitored = {
        kind: each["metadata"]["labels"]
        for (kind, _, _), each in objects.items()
        if each["apiVersion"] == "monitoring.coreos.com/v1"
    }
    assert monitored == {
        kind: {"app.kubernetes.io/managed-by": "quarterdeck", "release": "stack"}
        for kind in ("PrometheusRule", "PodMonitor", "ServiceMonitor")
    }


def test_the_facts_and_grafana_name_the_operators_prometheus(rendered: Objects) -> None:
    """Commands and dashboards ask the same."""
    objects = rendered("dev", *GIVEN)

    facts = objects["ConfigMap", "quarterdeck", "quarterdeck-environment"]["data"]
    (container,) = objects["Deployment", "quarterdeck", "grafana"]["spec"]["template"]["spec"]["containers"]
    asked = {each["name"]: each.get("value") for each in container["env"]}
    assert facts["prometheus-url"] == asked["PROMETHEUS_URL"] == "http://prometheus-operated.monitoring.svc:9090"
    assert facts["alertmanager-url"] == "http://alertmanager-operated.monitoring.svc:9093"


def test_no_policy_is_about_a_program_that_is_not_there(rendered: Objects) -> None:
    """And none of those that are lacks one."""
    objects = rendered("dev", *GIVEN)
    pods = {
        (each["metadata"]["namespace"], each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"])
        for each in objects.values()
        if "template" in each.get("spec", {})
    }
    policies = {
        (namespace, each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"])
        for (kind, namespace, _), each in objects.items()
        if kind == "NetworkPolicy" and each["spec"]["podSelector"]
    }

    assert policies == pods


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (("prometheusOperator=true",), "''"),
        (("prometheusUrl=http://elsewhere:9090",), "http://elsewhere:9090"),
        ((*GIVEN, "monitoringScale=ha", "prometheusReplicas=2", "alertmanagerReplicas=2"), "ha"),
    ],
)
def test_half_an_operator_is_refused(
    settings_of: Callable[..., Settings], overrides: tuple[str, ...], found: str
) -> None:
    """Without its address, an address without it, or a number of servers that is not the stack's to say."""
    with pytest.raises(UsageError) as refused:
        settings_of("dev", *overrides)

    assert refused.value.found == found
