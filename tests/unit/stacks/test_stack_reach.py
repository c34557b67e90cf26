"""Who may call a service and what it calls, and the NetworkPolicy that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_stacks.reach import Call, Peer, reach_of
from quarterdeck_stacks.settings import check_against

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]

TEXT = """\
version: 1
runbook_base_url: https://example.com/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: registry.example.com/checkout:1
    callers: [ingress-nginx]
    dependencies: [%s]
  - {name: stock, namespace: warehouse, owner: storage, image: registry.example.com/stock:1, port: 9000}
  - name: report
    namespace: office
    owner: storage
    image: registry.example.com/report:1
    dependencies: [{name: checkout}]
"""


def _catalogue(dependencies: str = "") -> Catalogue:
    return parse(TEXT % dependencies, "services.yaml")


def test_callers_are_the_own_namespace_those_named_and_services_that_depend_on_it() -> None:
    """Nobody else: a namespace that is not named does not reach it."""
    catalogue = _catalogue()

    reach = reach_of(catalogue.service("checkout"), catalogue)

    assert reach.callers == (Peer("ingress-nginx"), Peer("shop"), Peer("office", "report"))


@pytest.mark.parametrize(
    ("dependency", "call"),
    [
        ("{name: stock}", Call(9000, peer=Peer("warehouse", "stock"))),
        ("{name: stock, port: 9001}", Call(9001, peer=Peer("warehouse", "stock"))),
        ("{name: orders-db, kind: postgresql}", Call(5432)),
        ("{name: orders-db, kind: postgresql, cidr: 10.0.0.0/8}", Call(5432, cidr="10.0.0.0/8")),
        ("{name: bank, kind: http, port: 8443}", Call(8443)),
        ("{name: bus, kind: other, port: 4222}", Call(4222)),
    ],
    ids=["service", "service's other port", "database", "database at known addresses", "http", "other"],
)
def test_a_dependency_is_reached_on_its_port(dependency: str, call: Call) -> None:
    """A service of the catalogue at its pods, anything else where it is said to be."""
    catalogue = _catalogue(dependency)

    assert reach_of(catalogue.service("checkout"), catalogue).calls == (call,)


@pytest.mark.parametrize("kind", ["other", "service"])
def test_a_port_that_nobody_has_said_is_refused(kind: str, settings_of: Callable[..., Settings]) -> None:
    """Before a resource is registered: a policy that keeps a service from its work is found at night otherwise."""
    catalogue = _catalogue(f"{{name: bus, kind: {kind}}}")

    with pytest.raises(UsageError, match="add `port` to the dependency bus of checkout"):
        check_against(settings_of("prod"), catalogue)


def test_where_nothing_enforces_policies_no_port_is_asked_for(settings_of: Callable[..., Settings]) -> None:
    """The local environment's pods are processes on loopback."""
    check_against(settings_of("local"), _catalogue("{name: bus, kind: other}"))


def test_a_namespace_of_services_has_no_connection_that_no_policy_names(objects_of: Objects) -> None:
    """For every pod in it, also those that the stack does not know."""
    found = objects_of("prod")

    assert found["NetworkPolicy", "shop", "default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_a_services_pods_of_both_tracks_are_called_and_scraped_and_look_names_up(objects_of: Objects) -> None:
    """That is all that the repository's own service needs where it sends no spans."""
    spec = objects_of("dev", "collector=false")["NetworkPolicy", "shop", "checkout"]["spec"]

    names = "kubernetes.io/metadata.name"
    assert spec == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": {names: "shop"}}}],
                "ports": [{"port": 8080, "protocol": "TCP"}],
            },
            {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {names: "quarterdeck"}},
                        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
                    }
                ],
                "ports": [{"port": 9464, "protocol": "TCP"}],
            },
        ],
        "egress": [
            {
                "to": [
                    {"namespaceSelector": {"matchLabels": {names: "kube-system"}}},
                    {"ipBlock": {"cidr": "169.254.20.10/32"}},
                ],
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
            }
        ],
    }


def test_an_operators_prometheus_may_scrape_from_wherever_it_is(objects_of: Objects) -> None:
    """The stack knows its label, not its namespace."""
    given = (
        "prometheusOperator=true",
        "prometheusUrl=http://p.monitoring.svc:9090",
        "alertmanagerUrl=http://a.svc:9093",
    )
    spec = objects_of("dev", *given)["NetworkPolicy", "shop", "checkout"]["spec"]

    assert spec["ingress"][1]["from"] == [
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    ]


def test_local_has_no_policies(objects_of: Objects) -> None:
    """Nothing would enforce them, and whoever reads them would believe it."""
    assert not [kind for kind, _, _ in objects_of("local") if kind == "NetworkPolicy"]
