"""What alerts ask for, and what they carry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import promql_parser

from quarterdeck_dashboards.alerts import (
    RUNBOOKS,
    AlertSettings,
    burn_alerts,
    monitoring_alerts,
    service_alerts,
)

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue


def test_a_page_fires_on_either_fast_row_with_both_of_its_windows_and_enough_errors(
    catalogue: Catalogue, settings: AlertSettings
) -> None:
    """14.4 times 0.5 % is 7.2 %, 6 times is 3 %; fewer than five bad requests wake nobody."""
    service = catalogue.service("checkout")
    page, ticket = burn_alerts(settings, service, service.slos[0])

    def ratio(window: str) -> str:
        return f'slo:error_ratio:{window}{{namespace="shop",service="checkout",slo="availability"}}'

    def enough(window: str) -> str:
        own = '{namespace="shop",service="checkout",slo="availability"}'
        return f"((slo:errors:sum{window}{own} >= 5)\nor\n((slo:errors:rate5m{own} * 300) >= 5))"

    assert page.expr == (
        f"((({ratio('1h')} > 0.072) and ({ratio('5m')} > 0.072)) and {enough('1h')})\nor\n"
        f"((({ratio('6h')} > 0.03) and ({ratio('30m')} > 0.03)) and {enough('6h')})"
    )
    assert ticket.expr == f"(({ratio('3d')} > 0.005) and ({ratio('6h')} > 0.005)) and {enough('3d')}"
    assert (page.alert, page.lasting, dict(page.labels)) == (
        "ErrorBudgetBurn",
        None,
        {"severity": "page", "namespace": "shop", "service": "checkout", "slo": "availability"},
    )
    assert dict(page.annotations) == {
        "summary": "checkout spends the error budget of availability too fast",
        "description": "checkout promises 99.5% good events over 30d, so 0.5% may be bad. "
        "Now {{ $value | humanizePercentage }} are.",
        "runbook_url": "https://example.org/runbooks/error-budget-burn/",
    }


def test_the_lowest_tier_has_tickets_only(catalogue: Catalogue, settings: AlertSettings) -> None:
    """One ticket for all rows, because two alerts with the same labels would be one."""
    service = catalogue.service("mailer")

    (ticket,) = burn_alerts(settings, service, service.slos[0])

    assert ticket.labels["severity"] == "ticket"
    assert ticket.expr.count(" and ") == 6
    assert {alert.labels["severity"] for alert in service_alerts(settings, service)} == {"ticket"}


def test_a_service_is_down_when_no_pod_answers_for_a_minute(catalogue: Catalogue, settings: AlertSettings) -> None:
    """One pod of many is not the service."""
    down, silent = service_alerts(settings, catalogue.service("orders"))

    assert down.expr == 'max by (cluster, namespace, service) (up{namespace="shop",service="orders"}) == 0'
    assert (down.lasting, down.labels["severity"]) == (timedelta(minutes=1), "page")
    assert silent.expr == 'absent(quarterdeck_build_info{namespace="shop",service="orders"})'
    assert (silent.lasting, silent.labels["severity"]) == (timedelta(minutes=5), "ticket")


def test_slow_scrapes_lengthen_the_patience(catalogue: Catalogue) -> None:
    """Four scrapes at least, so that one lost scrape wakes nobody."""
    settings = AlertSettings(catalogue.runbook_base_url, timedelta(minutes=1))

    down, silent = service_alerts(settings, catalogue.service("orders"))

    assert (down.lasting, silent.lasting) == (timedelta(minutes=4), timedelta(minutes=5))
    assert "has answered Prometheus for 4m." in down.annotations["description"]


def test_every_alert_has_a_page_and_valid_promql(catalogue: Catalogue, settings: AlertSettings) -> None:
    """No alert without a runbook, and no runbook for an alert that is gone."""
    service = catalogue.service("checkout")
    alerts = [
        *burn_alerts(settings, service, service.slos[0]),
        *service_alerts(settings, service),
        *monitoring_alerts(settings),
    ]

    assert {alert.alert for alert in alerts} == set(RUNBOOKS)
    assert all(promql_parser.parse(alert.expr) for alert in alerts)
    assert {alert.annotations["runbook_url"] for alert in alerts} == {
        f"https://example.org/runbooks/{page}/" for page in RUNBOOKS.values()
    }
