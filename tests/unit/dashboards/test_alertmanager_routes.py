"""Whom each alert reaches, and what keeps what quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from quarterdeck_dashboards.alertmanager import config, routes

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"service": "checkout", "severity": "page"}, "owner-payments"),
        ({"service": "mailer", "severity": "ticket"}, "owner-letters"),
        ({"service": "prometheus", "severity": "ticket"}, "platform"),
        ({"service": "checkout2", "severity": "page"}, "unrouted"),
        ({"severity": "page"}, "unrouted"),
    ],
)
def test_an_alert_reaches_its_services_owner(catalogue: Catalogue, labels: dict[str, str], receiver: str) -> None:
    """Names are matched as a whole, and what nobody owns reaches nobody."""
    assert routes(catalogue).receiver_of(labels) == receiver


def test_tier_two_is_not_paged_at_night(catalogue: Catalogue) -> None:
    """`orders` waits for the morning; `checkout`, of tier one, does not."""
    tree = yaml.safe_load(config(catalogue))
    (payments,) = [route for route in tree["route"]["routes"] if route["receiver"] == "owner-payments"]

    by_day, page, ticket = payments["routes"]
    assert payments["matchers"] == ['service=~"checkout|orders"']
    assert by_day["matchers"] == ['severity="page"', 'service=~"orders"']
    assert by_day["mute_time_intervals"] == ["night"]
    assert (page["matchers"], page["repeat_interval"]) == (['severity="page"'], "1h")
    assert (ticket["matchers"], ticket["repeat_interval"]) == (['severity="ticket"'], "1d")


def test_causes_silence_their_symptoms(catalogue: Catalogue) -> None:
    """A page its ticket, for the same objective; a service that is down its burning budget and its silence."""
    rules = yaml.safe_load(config(catalogue))["inhibit_rules"]

    assert [(rule["source_matchers"], rule["target_matchers"], rule["equal"]) for rule in rules] == [
        (
            ['alertname="ErrorBudgetBurn"', 'severity="page"'],
            ['alertname="ErrorBudgetBurn"', 'severity="ticket"'],
            ["cluster", "namespace", "service", "slo"],
        ),
        (
            ['alertname="ServiceDown"'],
            ['alertname="ErrorBudgetBurn"'],
            ["cluster", "namespace", "service"],
        ),
        (
            ['alertname="ServiceDown"'],
            ['alertname="TelemetryAbsent"'],
            ["cluster", "namespace", "service"],
        ),
    ]


def test_only_a_configured_owner_is_told(catalogue: Catalogue) -> None:
    """A receiver without a webhook is a name: Alertmanager shows the alert and sends nothing."""
    assert yaml.safe_load(config(catalogue))["receivers"] == [
        {"name": "unrouted"},
        {"name": "platform"},
        {"name": "owner-letters"},
        {"name": "owner-payments", "webhook_configs": [{"url": "https://hooks.example/payments"}]},
    ]


def test_a_secret_webhook_stays_in_its_file(catalogue: Catalogue) -> None:
    """The configuration names the file, never what is in it."""
    secret = catalogue.model_copy(update={"webhooks": {"letters": "/etc/alertmanager/letters"}})

    assert {"name": "owner-letters", "webhook_configs": [{"url_file": "/etc/alertmanager/letters"}]} in yaml.safe_load(
        config(secret)
    )["receivers"]
