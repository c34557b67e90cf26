"""What services lean on: certificates, and queues that others measure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.alerts.exporters import Exporter
from quarterdeck_dashboards.alerts.kind import AREA, AlertKind, Area
from quarterdeck_dashboards.alerts.service import GROWING, GROWING_REASON, growing
from quarterdeck_dashboards.over_time import until
from quarterdeck_dashboards.promql import Selector, has, max_by, min_by
from quarterdeck_dashboards.series import INSTANCE, external
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_dashboards.promql import Vector

SYSTEM = "system"
"""Alert label: what has the queue."""
CERTIFICATE = "CertificateExpiring"
RENEWAL, LAST_CALL = timedelta(days=14), timedelta(days=3)
"""Left when a ticket is due, since whatever renews by itself does so 30 days before; and when somebody is woken, so
that a weekend is not too long."""

_VHOST, _QUEUE, _QUEUE_NAME = (Label(name, "") for name in ("vhost", "queue", "queue_name"))
_LABELS = {AREA: Area.BACKING.value}
_RABBITMQ, _CELERY = (l_.CLUSTER, l_.NAMESPACE, _VHOST, _QUEUE), (l_.CLUSTER, l_.NAMESPACE, _QUEUE_NAME)
_PAGE = "queue-growing"


def _left() -> Vector:
    return until(
        min_by([l_.CLUSTER, INSTANCE], _external(Exporter.BLACKBOX_EXPORTER, "probe_ssl_earliest_cert_expiry").now)
    )


def _external(exporter: Exporter, name: str) -> Selector:
    return Selector(external(exporter)[name])


def _of_queue(exporter: Exporter, name: str, queue: Label) -> Selector:
    """Return the series of single queues: RabbitMQ's page with its alarms has the sum of all under the same name."""
    return _external(exporter, name).where(has(queue))


def _certificate(severity: Severity, left: timedelta, reason: str) -> AlertKind:
    return AlertKind(
        CERTIFICATE,
        "certificate-expiring",
        severity,
        lambda _: _left() < left.total_seconds(),
        timedelta(hours=1) if severity is Severity.TICKET else timedelta(minutes=10),
        reason,
        "A certificate of {{ $labels.instance }} ends soon",
        "It is valid for another {{ $value | humanizeDuration }}. After that nobody gets a connection.",
        _LABELS,
    )


CERTIFICATE_KINDS = (
    _certificate(Severity.PAGE, LAST_CALL, "Three days are a weekend: later may be too late."),
    _certificate(
        Severity.TICKET,
        RENEWAL,
        "Whatever renews by itself does so 30 days before the end, and has failed for two weeks.",
    ),
)
"""From blackbox_exporter, which is shown the certificate."""


def _unconsumed(length: Selector, consumers: Selector, by: Sequence[Label]) -> Vector:
    return (max_by(by, length.now) > 0) & max_by(by, consumers.now).is_equal_to(0)


def _queue_kinds(
    system: str, queue: str, by: Sequence[Label], length: tuple[Exporter, str], consumers: tuple[Exporter, str]
) -> tuple[AlertKind, ...]:
    labels = {**_LABELS, SYSTEM: system}
    return (
        AlertKind(
            GROWING,
            _PAGE,
            Severity.TICKET,
            lambda _: growing(_of_queue(*length, by[-1]), by),
            RATE_WINDOW,
            GROWING_REASON,
            f"The queue {queue} becomes longer and longer",
            f"{queue} is twice as long as an hour ago at least: now {{{{ $value }}}}. Whatever takes from it is too "
            "slow, or gone.",
            labels,
        ),
        AlertKind(
            "QueueUnconsumed",
            _PAGE,
            Severity.TICKET,
            lambda _: _unconsumed(_of_queue(*length, by[-1]), _of_queue(*consumers, by[-1]), by),
            timedelta(minutes=10),
            "Consumers come back within a rollout or a reconnection.",
            f"Nobody takes from the queue {queue}",
            f"For {{lasting}} {queue} has had entries and no consumer: now {{{{ $value }}}} wait.",
            labels,
        ),
    )


RABBITMQ_KINDS = (
    *_queue_kinds(
        "rabbitmq",
        "{{ $labels.queue }}",
        _RABBITMQ,
        (Exporter.RABBITMQ, "rabbitmq_queue_messages_ready"),
        (Exporter.RABBITMQ, "rabbitmq_queue_consumers"),
    ),
    AlertKind(
        "RabbitmqBlocksPublishers",
        _PAGE,
        Severity.PAGE,
        lambda _: (
            max_by(
                [l_.CLUSTER, l_.NAMESPACE],
                _external(Exporter.RABBITMQ, "rabbitmq_alarms_memory_used_watermark").now
                + _external(Exporter.RABBITMQ, "rabbitmq_alarms_free_disk_space_watermark").now,
            )
            > 0
        ),
        timedelta(minutes=2),
        "While it holds, every publisher on every node waits: services that publish stand still.",
        "RabbitMQ accepts no more messages",
        "For {lasting} RabbitMQ has blocked publishers, because memory or disk is beyond its watermark.",
        _LABELS,
    ),
)
"""From RabbitMQ itself."""

CELERY_KINDS = _queue_kinds(
    "celery",
    "{{ $labels.queue_name }}",
    _CELERY,
    (Exporter.CELERY_EXPORTER, "celery_queue_length"),
    (Exporter.CELERY_EXPORTER, "celery_active_worker_count"),
)
"""From celery-exporter, whichever broker Celery has."""
