"""What alerts ask for, and what they carry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import promql_parser

from quarterdeck_dashboards.alerts import RUNBOOKS, AlertSettings, burn_alerts, cluster_alerts, groups, service_alerts
from quarterdeck_dashboards.alerts.kind import MIN_SCRAPES
from quarterdeck_dashboards.catalogue import parse

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
    down, silent, *_ = service_alerts(settings, catalogue.service("orders"))

    assert down.expr == 'max by (cluster, namespace, service) (up{namespace="shop",service="orders"}) == 0'
    assert (down.lasting, down.labels["severity"]) == (timedelta(minutes=1), "page")
    assert silent.expr == 'absent(quarterdeck_build_info{namespace="shop",service="orders"})'
    assert (silent.lasting, silent.labels["severity"]) == (timedelta(minutes=5), "ticket")


def test_slow_scrapes_lengthen_the_patience(catalogue: Catalogue) -> None:
    """Four scrapes at least, so that one lost scrape wakes nobody."""
    settings = AlertSettings(catalogue.runbook_base_url, timedelta(minutes=1))

    down, silent, *_ = service_alerts(settings, catalogue.service("orders"))

    assert (down.lasting, silent.lasting) == (timedelta(minutes=4), timedelta(minutes=5))
    assert "has answered Prometheus for 4m." in down.annotations["description"]


WORKER = """\
version: 1
runbook_base_url: https://example.org/runbooks/
dashboard_base_url: https://grafana.example/
services:
  - name: mailer
    owner: letters
    tier: 1
    framework: celery
    image: a/b:v1
    runbooks:
      ServiceDown: https://wiki.example/mailer
      ErrorBudgetBurn: https://wiki.example/slow
    metrics:
      - {name: mails.wait, kind: histogram, unit: s, buckets: [1, 60]}
      - {name: mails.length, kind: gauge}
      - {name: letters.length, kind: gauge}
    slos: [{name: soon, kind: queue-wait, metric: mails.wait, threshold: 60s, objective: 99}]
"""


def test_every_alert_has_a_page_and_valid_promql(catalogue: Catalogue, settings: AlertSettings) -> None:
    """No alert without a runbook, and no runbook for an alert that is gone."""
    service = catalogue.service("checkout")
    worker = parse(WORKER, "services.yaml").services[0]
    alerts = [
        *burn_alerts(settings, service, service.slos[0]),
        *service_alerts(settings, service),
        *service_alerts(settings, worker),
        *(alert for group in groups() for alert in cluster_alerts(settings, group)),
    ]

    assert {alert.alert for alert in alerts} == set(RUNBOOKS)
    assert all(promql_parser.parse(alert.expr) for alert in alerts)
    assert {alert.annotations["runbook_url"] for alert in alerts if "wiki" not in alert.annotations["runbook_url"]} == {
        f"https://example.org/runbooks/{page}/" for page in RUNBOOKS.values()
    }


def test_every_alert_says_what_is_wrong_and_waits_for_four_scrapes(catalogue: Catalogue) -> None:
    """Summary and description, no placeholder left in them; patience even where scrapes are a minute apart."""
    settings = AlertSettings(catalogue.runbook_base_url, timedelta(minutes=1))
    alerts = [
        *service_alerts(settings, catalogue.service("checkout")),
        *(alert for group in groups() for alert in cluster_alerts(settings, group)),
    ]

    for alert in alerts:
        assert alert.lasting is not None
        assert alert.lasting >= MIN_SCRAPES * settings.scrape_interval
        assert alert.annotations["summary"]
        assert "{lasting}" not in alert.annotations["description"]
        assert alert.labels["severity"] in {"page", "ticket"}
        assert "dashboard" not in alert.annotations


def test_saturation_is_asked_for_where_it_can_be() -> None:
    """A Celery worker has no event loop and listens at no socket; files it opens like any other."""
    worker = parse(WORKER, "services.yaml").services[0]
    settings = AlertSettings("https://example.org/runbooks/", timedelta(seconds=15))

    assert [alert.alert for alert in service_alerts(settings, worker)] == [
        "ServiceDown",
        "TelemetryAbsent",
        "OpenFilesNearLimit",
        "TelemetryOverflow",
        "InstrumentationFailing",
        "TelemetryNotSent",
        "QueueGrowing",
    ]


def test_a_service_without_an_event_loop_still_has_a_listen_queue(
    catalogue: Catalogue, settings: AlertSettings
) -> None:
    """As any WSGI server does."""
    flask = catalogue.service("checkout").model_copy(update={"framework": "flask"})

    names = {alert.alert for alert in service_alerts(settings, flask)}

    assert {"WorkersSaturated", "ListenQueueFilling"} <= names
    assert names & {"EventLoopStalled", "EventLoopBusy"} == set()


def test_a_queue_is_watched_whose_wait_is_promised() -> None:
    """Its length is the gauge that has the wait's name but for the last word; `letters` are promised nothing."""
    worker = parse(WORKER, "services.yaml").services[0]
    *_, growing = service_alerts(AlertSettings("https://example.org/runbooks/", timedelta(seconds=15)), worker)

    by = "max by (cluster, namespace, service)"
    own = 'mails_length{namespace="default",service="mailer"}'
    assert growing.expr == (
        f"({by} (min_over_time({own}[15m])) > ({by} (max_over_time({own}[15m] offset 1h)) * 2)) and "
        f"({by} (min_over_time({own}[15m])) >= 100)"
    )
    assert dict(growing.labels)["queue"] == "mails.length"


def test_a_services_own_page_is_where_its_alert_leads() -> None:
    """For the alerts it names; all others go to the general one."""
    worker = parse(WORKER, "services.yaml").services[0]
    settings = AlertSettings("https://example.org/runbooks/", timedelta(seconds=15))
    alerts = [*service_alerts(settings, worker), *burn_alerts(settings, worker, worker.slos[0])]

    urls = {alert.alert: alert.annotations["runbook_url"] for alert in alerts}

    assert urls["ServiceDown"] == "https://wiki.example/mailer"
    assert urls["ErrorBudgetBurn"] == "https://wiki.example/slow"
    assert urls["TelemetryAbsent"] == "https://example.org/runbooks/telemetry-absent/"


def test_alerts_lead_to_dashboards_where_there_are_some() -> None:
    """A service's to its own, a pod's to Kubernetes', what watches to that of whoever is on call."""
    catalogue = parse(WORKER, "services.yaml")
    settings = AlertSettings("https://e.org/", timedelta(seconds=15), catalogue.dashboard_base_url)
    worker = catalogue.services[0]

    shown = {alert.annotations["dashboard"] for alert in service_alerts(settings, worker)}
    shown |= {alert.annotations["dashboard"] for alert in burn_alerts(settings, worker, worker.slos[0])}
    cluster = {group.name: cluster_alerts(settings, group)[0].annotations["dashboard"] for group in groups()}

    assert shown == {"https://grafana.example/d/quarterdeck-service-mailer"}
    assert cluster["state"] == "https://grafana.example/d/quarterdeck-kubernetes"
    assert cluster["monitoring"] == "https://grafana.example/d/quarterdeck-on-call"
