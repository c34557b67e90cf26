"""Whom each alert reaches, and what keeps what quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from quarterdeck_dashboards.alertmanager import config, routes
from quarterdeck_dashboards.alerts import RUNBOOKS
from quarterdeck_dashboards.inhibition import INHIBITIONS

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"service": "checkout", "severity": "page"}, "owner-payments"),
        ({"service": "mailer", "severity": "ticket"}, "owner-letters"),
        ({"service": "prometheus", "severity": "ticket", "area": "monitoring"}, "platform"),
        ({"service": "checkout", "severity": "ticket", "area": "monitoring"}, "owner-payments"),
        ({"service": "checkout", "severity": "ticket", "area": "kubernetes", "namespace": "shop"}, "owner-payments"),
        ({"severity": "page", "area": "kubernetes", "namespace": "post"}, "owner-letters"),
        ({"severity": "page", "area": "kubernetes", "namespace": "kube-system"}, "platform"),
        ({"severity": "ticket", "area": "kubernetes"}, "platform"),
        ({"severity": "page", "area": "backing"}, "platform"),
        ({"alertname": "Watchdog", "severity": "ticket", "area": "monitoring"}, "watchdog"),
        ({"service": "checkout2", "severity": "page"}, "unrouted"),
        ({"severity": "page"}, "unrouted"),
    ],
)
def test_an_alert_reaches_its_services_owner(catalogue: Catalogue, labels: dict[str, str], receiver: str) -> None:
    """Names are matched as a whole; then the namespace's only owner; then the platform, for what has an area."""
    assert routes(catalogue).receiver_of(labels) == receiver


def test_a_namespace_of_two_owners_is_the_platforms(catalogue: Catalogue) -> None:
    """A volume does not say whose it is."""
    first, *others = catalogue.services
    shared = catalogue.model_copy(update={"services": (first.model_copy(update={"owner": "letters"}), *others)})

    volume = {"severity": "page", "area": "kubernetes", "namespace": "shop"}

    assert routes(catalogue).receiver_of(volume) == "owner-payments"
    assert routes(shared).receiver_of(volume) == "platform"


def test_the_platform_is_told_once_of_many_pods(catalogue: Catalogue) -> None:
    """Grouped by the alert, where services' are grouped by the service."""
    tree = yaml.safe_load(config(catalogue))
    (*_, last) = tree["route"]["routes"]

    assert tree["route"]["group_by"] == ["cluster", "namespace", "service"]
    assert (last["receiver"], last["group_by"]) == ("platform", ["cluster", "alertname"])
    assert [route["matchers"] for route in last["routes"]] == [['severity="page"'], ['severity="ticket"']]


def test_tier_two_is_not_paged_at_night(catalogue: Catalogue) -> None:
    """`orders` waits for the morning; `checkout`, of tier one, does not."""
    tree = yaml.safe_load(config(catalogue))
    payments, _ = [route for route in tree["route"]["routes"] if route["receiver"] == "owner-payments"]

    by_day, page, ticket = payments["routes"]
    assert payments["matchers"] == ['service=~"checkout|orders"']
    assert by_day["matchers"] == ['severity="page"', 'service=~"orders"']
    assert by_day["mute_time_intervals"] == ["night"]
    assert (page["matchers"], page["repeat_interval"]) == (['severity="page"'], "1h")
    assert (ticket["matchers"], ticket["repeat_interval"]) == (['severity="ticket"'], "1d")


def test_a_page_silences_the_ticket_of_the_same_alert(catalogue: Catalogue) -> None:
    """For the same objective, or the same certificate."""
    first, *_ = yaml.safe_load(config(catalogue))["inhibit_rules"]

    assert first == {
        "source_matchers": ['severity="page"'],
        "target_matchers": ['severity="ticket"'],
        "equal": ["alertname", "cluster", "namespace", "service", "slo", "instance"],
    }


@pytest.mark.parametrize(
    ("cause", "symptom", "equal"),
    [
        ("ServiceDown", "ErrorBudgetBurn", ["cluster", "namespace", "service"]),
        ("ServiceDown", "TelemetryAbsent", ["cluster", "namespace", "service"]),
        ("ServiceDown", "WorkersSaturated", ["cluster", "namespace", "service"]),
        ("ServiceDown", "TargetDown", ["cluster", "namespace", "service"]),
        ("PrometheusDiscoveryFailing", "TelemetryAbsent", ["cluster"]),
        ("NodeNotReady", "PodNotReady", ["cluster", "node"]),
        ("ContainerCrashLooping", "PodNotReady", ["cluster", "namespace", "service", "pod"]),
        ("ImagePullFailing", "DeploymentReplicasMissing", ["cluster", "namespace", "service"]),
        ("VolumeFull", "VolumeFilling", ["cluster", "namespace", "persistentvolumeclaim"]),
    ],
)
def test_causes_silence_their_symptoms(catalogue: Catalogue, cause: str, symptom: str, equal: list[str]) -> None:
    """By the labels that both have."""
    rules = yaml.safe_load(config(catalogue))["inhibit_rules"]

    def names(matcher: str) -> set[str]:
        return set(matcher.partition("=")[2].removeprefix("~").strip('"').split("|"))

    assert [
        rule["equal"]
        for rule in rules
        if cause in names(rule["source_matchers"][0]) and symptom in names(rule["target_matchers"][0])
    ] == [equal]


def test_every_inhibition_is_of_alerts_that_there_are() -> None:
    """A name that is misspelt silences nothing."""
    named = {name for each in INHIBITIONS for name in (*each.causes, *each.symptoms)}

    assert named - set(RUNBOOKS) == set()
    assert all(not set(each.causes) & set(each.symptoms) for each in INHIBITIONS)


def test_only_a_configured_owner_is_told(catalogue: Catalogue) -> None:
    """A receiver without a webhook is a name: Alertmanager shows the alert and sends nothing."""
    assert yaml.safe_load(config(catalogue))["receivers"] == [
        {"name": "unrouted"},
        {"name": "platform"},
        {"name": "watchdog"},
        {"name": "owner-letters"},
        {"name": "owner-payments", "webhook_configs": [{"url": "https://hooks.example/payments"}]},
    ]


def test_a_secret_webhook_stays_in_its_file(catalogue: Catalogue) -> None:
    """The configuration names the file, never what is in it."""
    secret = catalogue.model_copy(update={"webhooks": {"letters": "/etc/alertmanager/letters"}})

    assert {"name": "owner-letters", "webhook_configs": [{"url_file": "/etc/alertmanager/letters"}]} in yaml.safe_load(
        config(secret)
    )["receivers"]


def test_the_platform_and_the_watchdog_are_told_when_they_have_a_url(catalogue: Catalogue) -> None:
    """The watchdog within a minute and every five, so that its absence shows soon."""
    urls = {"platform": "https://hooks.example/platform", "watchdog": "/etc/alertmanager/watchdog"}
    tree = yaml.safe_load(config(catalogue.model_copy(update={"webhooks": urls})))
    first, *_ = tree["route"]["routes"]

    assert tree["receivers"][1:3] == [
        {"name": "platform", "webhook_configs": [{"url": "https://hooks.example/platform"}]},
        {"name": "watchdog", "webhook_configs": [{"url_file": "/etc/alertmanager/watchdog"}]},
    ]
    assert (first["matchers"], first["repeat_interval"]) == (['alertname="Watchdog"'], "5m")
