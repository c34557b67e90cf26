"""What watches, watched: Prometheus and its remote write; what is behind and before it is in `relays`.

Each of these makes other alerts untrustworthy, or keeps them from reaching anyone. Prometheus says them of itself, as
it scrapes its own pod; WATCHDOG always fires, so that somebody outside notices when it does not.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.alerts.exporters import Exporter
from quarterdeck_dashboards.alerts.kind import AREA, AlertKind, Area
from quarterdeck_dashboards.over_time import always
from quarterdeck_dashboards.promql import Selector, max_by, sum_by
from quarterdeck_dashboards.series import UP, external
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.promql import Matcher, Vector

MONITORING = "prometheus"
"""The label `service` of alerts on Prometheus itself, which is its `app.kubernetes.io/name`."""

WATCHDOG = "Watchdog"
"""Always fires: the dead man's switch."""
UNSEEING = ("PrometheusConfigInvalid", "PrometheusDiscoveryFailing", "PrometheusStorageFailing")
"""Alerts that say that what Prometheus does not see may still be there."""

PATIENCE = timedelta(minutes=5)
"""Past a restart of what is watched, and no later than needed: until it is mended silence says nothing."""
BEHIND = 120
"""Seconds that remote write may be behind: twice what its own retries take to smooth out."""

PROMETHEUS_PAGE = "prometheus-unhealthy"

AT_ONCE = "It never is so in good order, so five minutes only wait out a restart."
"""The reason for PATIENCE, where nothing else is."""
_REMOTE = Label("remote_name", "")


def labels_of(service: str) -> dict[str, str]:
    """Return what alerts on *service* are routed by, which is ours and in no catalogue."""
    return {
        l_.NAMESPACE.prometheus: SYSTEM_NAMESPACE,
        l_.SERVICE.prometheus: service,
        AREA: Area.MONITORING.value,
    }


def own(name: str, exporter: Exporter = Exporter.PROMETHEUS) -> Selector:
    """Return a selector of the series *name* of *exporter*."""
    return Selector(external(exporter)[name])


def _growing(*names: str) -> Callable[[tuple[Matcher, ...]], Vector]:
    """Return a condition: any of the counters *names* of Prometheus grew."""

    def condition(_: tuple[Matcher, ...]) -> Vector:
        first, *others = (sum_by([l_.CLUSTER], own(name).increase(RATE_WINDOW)) for name in names)
        for other in others:
            first = first + other
        return first > 0

    return condition


def _itself(name: str, condition: Callable[[tuple[Matcher, ...]], Vector], summary: str) -> AlertKind:
    return AlertKind(
        name,
        PROMETHEUS_PAGE,
        Severity.TICKET,
        condition,
        PATIENCE,
        AT_ONCE,
        summary,
        f"{summary}. It has been so for {{lasting}}.",
        labels_of(MONITORING),
    )


PROMETHEUS_KINDS = (
    AlertKind(
        WATCHDOG,
        "watchdog",
        Severity.TICKET,
        lambda _: always(),
        timedelta(0),
        "It always fires: whoever expects it hears nothing when Prometheus or Alertmanager is gone.",
        "Alerts are evaluated and delivered",
        "This alert always fires. Nothing is wrong while it does.",
        labels_of(MONITORING),
    ),
    _itself(
        "PrometheusConfigInvalid",
        lambda _: own("prometheus_config_last_reload_successful").now.is_equal_to(0),
        "Prometheus runs on an old configuration: the new one is invalid",
    ),
    _itself(
        "PrometheusRulesFailing",
        _growing("prometheus_rule_evaluation_failures_total"),
        "Prometheus cannot evaluate some of its rules",
    ),
    _itself(
        "PrometheusRulesLate",
        _growing("prometheus_rule_group_iterations_missed_total"),
        "Prometheus evaluates its rules more slowly than it should",
    ),
    _itself(
        "PrometheusWithoutAlertmanager",
        lambda _: own("prometheus_notifications_alertmanagers_discovered").now < 1,
        "Prometheus has found no Alertmanager, so no alert reaches anyone",
    ),
    _itself(
        "PrometheusNotificationsLost",
        _growing("prometheus_notifications_dropped_total"),
        "Prometheus drops alerts that it could not deliver to Alertmanager",
    ),
    _itself(
        "PrometheusDiscoveryFailing",
        _growing("prometheus_sd_kubernetes_failures_total"),
        "Prometheus cannot ask the API server what there is to scrape",
    ),
    _itself(
        "PrometheusStorageFailing",
        _growing(
            "prometheus_tsdb_compactions_failed_total",
            "prometheus_tsdb_head_truncations_failed_total",
            "prometheus_tsdb_reloads_failures_total",
            "prometheus_tsdb_wal_corruptions_total",
            "prometheus_tsdb_wal_truncations_failed_total",
            "prometheus_tsdb_wal_writes_failed_total",
        ),
        "Prometheus cannot write, compact or read what it stores",
    ),
    _itself(
        "PrometheusScrapesRefused",
        _growing(
            "prometheus_target_scrapes_exceeded_sample_limit_total",
            "prometheus_target_scrapes_exceeded_body_size_limit_total",
            "prometheus_target_scrape_pool_exceeded_label_limits_total",
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
        ),
        "Prometheus refuses whole scrapes, because they are beyond a limit",
    ),
    _itself(
        "PrometheusSamplesRefused",
        _growing(
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "prometheus_target_scrapes_sample_out_of_order_total",
            "prometheus_target_scrapes_sample_out_of_bounds_total",
        ),
        "Prometheus refuses samples: two targets have the same labels, or a clock is wrong",
    ),
    AlertKind(
        "TargetDown",
        "target-down",
        Severity.TICKET,
        lambda _: max_by([l_.CLUSTER, l_.NAMESPACE, l_.SERVICE, l_.POD], Selector(UP).now).is_equal_to(0),
        timedelta(minutes=10),
        "A pod that ends or starts is no target, or answers, long before.",
        "{{ $labels.pod }} does not answer Prometheus",
        "For {lasting} {{ $labels.pod }} of {{ $labels.service }} could not be scraped: it is in no metric.",
        {AREA: Area.MONITORING.value},
    ),
)
"""Of Prometheus, by itself."""

REMOTE_WRITE_KINDS = (
    AlertKind(
        "PrometheusRemoteWriteBehind",
        PROMETHEUS_PAGE,
        Severity.TICKET,
        lambda _: _behind() > BEHIND,
        timedelta(minutes=15),
        "Remote write catches up by itself after a short failure; samples are lost when it is behind by two hours.",
        "Prometheus' remote write is behind",
        "For {lasting} what is sent to {{ $labels.remote_name }} has been {{ $value | humanizeDuration }} old.",
        labels_of(MONITORING),
    ),
)
"""Of Prometheus' remote write, where it has one."""


def _behind() -> Vector:
    newest, sent = (
        max_by([l_.CLUSTER, _REMOTE], own(f"prometheus_remote_storage_queue_{name}", Exporter.REMOTE_WRITE).now)
        for name in ("highest_timestamp_seconds", "highest_sent_timestamp_seconds")
    )
    return newest - sent
