"""What is before and behind Prometheus: the OpenTelemetry collector, and Alertmanager."""

from __future__ import annotations

import operator
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.alerts.exporters import Exporter
from quarterdeck_dashboards.alerts.kind import AlertKind
from quarterdeck_dashboards.alerts.monitoring import AT_ONCE, PATIENCE, labels_of, own
from quarterdeck_dashboards.promql import Selector, count_by, max_by, min_by, sum_by
from quarterdeck_dashboards.series import external
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity

if TYPE_CHECKING:
    from quarterdeck_dashboards.promql import Vector

ALERTMANAGER = "alertmanager"
"""The label `service` of alerts on Alertmanager."""
COLLECTOR = "otel-collector"
"""The same of the collector."""
FILLED = 0.8
"""Share of a sending queue: at the present pace the rest is not long."""

ALERTMANAGER_PAGE = "alertmanager-unhealthy"
COLLECTOR_PAGE = "collector-unhealthy"

_INTEGRATION, _EXPORTER, _RECEIVER = (Label(name, "") for name in ("integration", "exporter", "receiver"))


ALERTMANAGER_KINDS = (
    AlertKind(
        "AlertmanagerConfigInvalid",
        ALERTMANAGER_PAGE,
        Severity.TICKET,
        lambda _: _of_alertmanager("alertmanager_config_last_reload_successful").is_equal_to(0),
        PATIENCE,
        AT_ONCE,
        "Alertmanager runs on an old configuration: the new one is invalid",
        "Alertmanager runs on an old configuration. It has been so for {lasting}.",
        labels_of(ALERTMANAGER),
    ),
    AlertKind(
        "AlertmanagerNotificationsFailing",
        ALERTMANAGER_PAGE,
        Severity.PAGE,
        lambda _: (
            sum_by(
                [l_.CLUSTER, _INTEGRATION],
                own("alertmanager_notifications_failed_total", Exporter.ALERTMANAGER).increase(RATE_WINDOW),
            )
            > 0
        ),
        timedelta(minutes=5),
        "One that failed is tried again; after five minutes of failures somebody is not told. It pages, since another "
        "way may still work.",
        "Alertmanager cannot deliver by {{ $labels.integration }}",
        "For {lasting} notifications by {{ $labels.integration }} have failed: whoever they are for does not know.",
        labels_of(ALERTMANAGER),
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
        labels_of(ALERTMANAGER),
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
        labels_of(COLLECTOR),
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
        labels_of(COLLECTOR),
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
        labels_of(COLLECTOR),
    ),
)
"""Of the OpenTelemetry collector, by its own telemetry."""


def _of_alertmanager(name: str) -> Vector:
    return min_by([l_.CLUSTER, l_.POD], own(name, Exporter.ALERTMANAGER).now)


def _missing_members() -> Vector:
    members = own("alertmanager_cluster_members", Exporter.ALERTMANAGER).now
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
            own(f"otelcol_exporter_queue_{name}", Exporter.COLLECTOR).now,
        )
        for name in ("size", "capacity")
    )
    return size / capacity
