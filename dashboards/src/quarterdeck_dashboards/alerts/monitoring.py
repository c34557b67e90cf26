"""What watches, watched: Prometheus, its remote write, Alertmanager, the OpenTelemetry collector.

Each of these makes other alerts untrustworthy, or keeps them from reaching anyone. Prometheus says them of itself, as
it scrapes its own pod; WATCHDOG always fires, so that somebody outside notices when it does not.
"""

from __future__ import annotations

import operator
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.alerts.exporters import Exporter
from quarterdeck_dashboards.alerts.kind import AREA, AlertKind, Area
from quarterdeck_dashboards.over_time import always
from quarterdeck_dashboards.promql import Selector, count_by, max_by, min_by, sum_by
from quarterdeck_dashboards.series import UP, external
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.promql import Matcher, Vector

MONITORING = "prometheus"
"""The label `service` of alerts on Prometheus itself, which is its `app.kubernetes.io/name`."""
ALERTMANAGER = "alertmanager"
"""The same of Alertmanager."""
COLLECTOR = "otel-collector"
"""The same of the collector."""

WATCHDOG = "Watchdog"
"""Always fires: the dead man's switch."""
UNSEEING = ("PrometheusConfigInvalid", "PrometheusDiscoveryFailing", "PrometheusStorageFailing")
"""Alerts that say that what Prometheus does not see may still be there."""

PATIENCE = timedelta(minutes=5)
"""Past a restart of what is watched, and no later than needed: until it is mended silence says nothing."""
BEHIND = 120
"""Seconds that remote write may be behind: twice what its own retries take to smooth out."""
FILLED = 0.8
"""Share of a sending queue: at the present pace the rest is not long."""

PROMETHEUS_PAGE = "prometheus-unhealthy"
ALERTMANAGER_PAGE = "alertmanager-unhealthy"
COLLECTOR_PAGE = "collector-unhealthy"

_AT_ONCE = "It never is so in good order, so five minutes only wait out a restart."
_INTEGRATION, _REMOTE, _EXPORTER, _RECEIVER = (
    Label(name, "") for name in ("integration", "remote_name", "exporter", "receiver")
)


def _labels(service: str) -> dict[str, str]:
    return {
        l_.NAMESPACE.prometheus: SYSTEM_NAMESPACE,
        l_.SERVICE.prometheus: service,
        AREA: Area.MONITORING.value,
    }


def _own(name: str, exporter: Exporter = Exporter.PROMETHEUS) -> Selector:
    return Selector(external(exporter)[name])


def _growing(*names: str) -> Callable[[tuple[Matcher, ...]], Vector]:
    """Return a condition: any of the counters *names* of Prometheus grew."""

    def condition(_: tuple[Matcher, ...]) -> Vector:
        first, *others = (sum_by([l_.CLUSTER], _own(name).increase(RATE_WINDOW)) for name in names)
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
        _AT_ONCE,
        summary,
        f"{summary}. It has been so for {{lasting}}.",
        _labels(MONITORING),
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
        _labels(MONITORING),
    ),
    _itself(
        "PrometheusConfigInvalid",
        lambda _: _own("prometheus_config_last_reload_successful").now.is_equal_to(0),
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
        lambda _: _own("prometheus_notifications_alertmanagers_discovered").now < 1,
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
        _labels(MONITORING),
    ),
)
"""Of Prometheus' remote write, where it has one."""

ALERTMANAGER_KINDS = (
    AlertKind(
        "AlertmanagerConfigInvalid",
        ALERTMANAGER_PAGE,
        Severity.TICKET,
        lambda _: _of_alertmanager("alertmanager_config_last_reload_successful").is_equal_to(0),
        PATIENCE,
        _AT_ONCE,
        "Alertmanager runs on an old configuration: the new one is invalid",
        "Alertmanager runs on an old configuration. It has been so for {lasting}.",
        _labels(ALERTMANAGER),
    ),
    AlertKind(
        "AlertmanagerNotificationsFailing",
        ALERTMANAGER_PAGE,
        Severity.PAGE,
        lambda _: (
            sum_by(
                [l_.CLUSTER, _INTEGRATION],
                _own("alertmanager_notifications_failed_total", Exporter.ALERTMANAGER).increase(RATE_WINDOW),
            )
            > 0
        ),
        timedelta(minutes=5),
        "One that failed is tried again; after five minutes of failures somebody is not told. It pages, since another "
        "way may still work.",
        "Alertmanager cannot deliver by {{ $labels.integration }}",
        "For {lasting} notifications by {{ $labels.integration }} have failed: whoever they are for does not know.",
        _labels(ALERTMANAGER),
    ),
    AlertKind(
        "AlertmanagerMembersDisagree",
        ALERTMANAGER_PAGE,
        Severity.TICKET,
        lambda _: _missing_members() > 0,
        timedelta(minutes=10),
        "Members find each other within a minute; until they do, each notifies for itself.",
        "Alertmanagers do not find each other",
        "For {lasting} an Alertmanager has known {{ $value }} members fewer than there are: what one is told the "
        "others do not know, so somebody is told twice, or in spite of a silence.",
        _labels(ALERTMANAGER),
    ),
)
"""Of Alertmanager, by Prometheus."""

COLLECTOR_KINDS = (
    AlertKind(
        "CollectorSendingFails",
        COLLECTOR_PAGE,
        Severity.TICKET,
        lambda _: _signals(_EXPORTER, "exporter_send_failed", "exporter_enqueue_failed"),
        timedelta(minutes=10),
        "Batches that fail are tried again; after ten minutes more are lost than kept.",
        "The collector cannot send to {{ $labels.exporter }}",
        "For {lasting} the collector's exporter {{ $labels.exporter }} has failed to send, or had no room to try: "
        "telemetry is lost.",
        _labels(COLLECTOR),
    ),
    AlertKind(
        "CollectorQueueFilling",
        COLLECTOR_PAGE,
        Severity.TICKET,
        lambda _: _share_of_queue() > FILLED,
        PATIENCE,
        "A queue that drains is near empty; a burst is over in five minutes.",
        "A queue of the collector fills up",
        "For {lasting} the sending queue of {{ $labels.exporter }} in {{ $labels.pod }} has been more than four fifths "
        "full: now {{ $value | humanizePercentage }}. When it is full, telemetry is lost.",
        _labels(COLLECTOR),
    ),
    AlertKind(
        "CollectorRefuses",
        COLLECTOR_PAGE,
        Severity.TICKET,
        lambda _: _signals(_RECEIVER, "receiver_refused"),
        timedelta(minutes=10),
        "A receiver refuses while memory is short; senders try again for a few minutes.",
        "The collector refuses telemetry",
        "For {lasting} the collector's receiver {{ $labels.receiver }} has refused what was sent to it.",
        _labels(COLLECTOR),
    ),
)
"""Of the OpenTelemetry collector, by its own telemetry."""


def _behind() -> Vector:
    newest, sent = (
        max_by([l_.CLUSTER, _REMOTE], _own(f"prometheus_remote_storage_queue_{name}", Exporter.REMOTE_WRITE).now)
        for name in ("highest_timestamp_seconds", "highest_sent_timestamp_seconds")
    )
    return newest - sent


def _of_alertmanager(name: str) -> Vector:
    return min_by([l_.CLUSTER, l_.POD], _own(name, Exporter.ALERTMANAGER).now)


def _missing_members() -> Vector:
    members = _own("alertmanager_cluster_members", Exporter.ALERTMANAGER).now
    return count_by([l_.CLUSTER], members) - min_by([l_.CLUSTER], members)


def _signals(by: Label, *kinds: str) -> Vector:
    """Return the growth of the collector's counters of *kinds*, of whichever signal and however it spells them.

    Each by itself: a function over several names at once loses the names, and with them what tells its samples apart.
    """
    known = external(Exporter.COLLECTOR)
    wanted = [known[name] for name in sorted(known) if name.startswith(tuple(f"otelcol_{kind}" for kind in kinds))]
    grown = (sum_by([l_.CLUSTER, by], Selector(each).increase(RATE_WINDOW)) > 0 for each in wanted)
    return reduce(operator.or_, grown)


def _share_of_queue() -> Vector:
    size, capacity = (
        max_by(
            [l_.CLUSTER, l_.NAMESPACE, l_.POD, _EXPORTER],
            _own(f"otelcol_exporter_queue_{name}", Exporter.COLLECTOR).now,
        )
        for name in ("size", "capacity")
    )
    return size / capacity
