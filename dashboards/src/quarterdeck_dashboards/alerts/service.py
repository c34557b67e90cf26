"""What every service is alerted on, whatever it promises: down, silent, saturated, or badly measured.

Saturation is a ticket, because the objectives page when users feel it. The listen queue pages: what it turns away is
counted nowhere, so no objective sees it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_contract.metrics import Kind
from quarterdeck_dashboards.alerts.kind import AlertKind
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.over_time import greatest, is_more_than, least, shared
from quarterdeck_dashboards.promql import Selector, lacks, matches, max_by, sum_by
from quarterdeck_dashboards.series import UP, only
from quarterdeck_dashboards.slo import recorded, sli
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity
from quarterdeck_dashboards.uid import uid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.alerts.kind import AlertSettings
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.promql import Matcher, Vector
    from quarterdeck_dashboards.rulefile import AlertingRule
    from quarterdeck_dashboards.series import Series

DOWN = "ServiceDown"
"""No pod of the service answers Prometheus."""
SILENT = "TelemetryAbsent"
"""No pod of the service delivers the contract's metrics, so no other alert of it can fire."""
GROWING = "QueueGrowing"
"""A queue becomes longer and longer."""
QUEUE = "queue"
"""Alert label: which queue."""

LOOPLESS = frozenset({"flask", "pyramid", "wsgi", "celery", "batch"})
"""Frameworks without an event loop."""
SOCKETLESS = frozenset({"celery", "batch"})
"""Frameworks that serve no connections."""

FULL = 0.9
"""Share of a limit that leaves room for no surprise."""
HALF = 0.5
"""Share of the listen queue: a queue that drains is empty nearly always, so half of it is a queue that does not."""
FILES = 0.8
"""Share of the open files: whoever opens files faster than they are closed goes on to the limit."""
STALL = 2.0
"""Seconds: far beyond what any handler should keep the loop for."""

HOUR = timedelta(hours=1)
GROWTH = timedelta(minutes=15)
"""Window in which a queue's shortest is compared with its longest an hour before."""
GROWN = 2
"""How many times as long: a queue that swings through the day does not double its floor over its peak in an hour."""
WORTH = 100
"""Entries below which a queue's growth is nothing to look at."""

GROWING_REASON = (
    f"Not once in {format_duration(GROWTH)} shorter than {GROWN} times its longest an hour before, and at least "
    f"{WORTH} entries: a burst is worked off by then."
)

_BY_POD = (*recorded.SERVICE_LABELS, l_.POD)
_SENDING = "traces|metrics"
"""Components that fail while what they send to is away, and mend by themselves."""


def _gauge(metric: Metric, own: tuple[Matcher, ...]) -> Vector:
    return Selector(only(metric)).where(*own).now


def _workers_busy(own: tuple[Matcher, ...]) -> Vector:
    by = (*recorded.SERVICE_LABELS, l_.POOL)
    return sum_by(by, _gauge(metrics.WORKER_BUSY, own)) / sum_by(by, _gauge(metrics.WORKER_CAPACITY, own)) > FULL


def _loops_busy(own: tuple[Matcher, ...]) -> Vector:
    busy = Selector(only(metrics.EVENT_LOOP_CPU_TIME)).where(*own).rate(RATE_WINDOW)
    by = recorded.SERVICE_LABELS
    return sum_by(by, busy) / sum_by(by, _gauge(metrics.WORKERS, own)) > FULL


def _queueing(own: tuple[Matcher, ...]) -> Vector:
    length, limit = (_gauge(each, own) for each in (metrics.LISTEN_QUEUE_LENGTH, metrics.LISTEN_QUEUE_LIMIT))
    return max_by(_BY_POD, length) / max_by(_BY_POD, limit) > HALF


def _overflowing(own: tuple[Matcher, ...]) -> Vector:
    sets = max_by((*recorded.SERVICE_LABELS, l_.METRIC), _gauge(metrics.LABEL_SETS, own))
    limit = max_by(recorded.SERVICE_LABELS, _gauge(metrics.LABEL_SETS_LIMIT, own))
    return shared(sets, limit, recorded.SERVICE_LABELS) >= 1


def _failing(own: tuple[Matcher, ...], which: Matcher, window: timedelta) -> Vector:
    failures = Selector(only(metrics.FAILURES)).where(*own, which).increase(window)
    return sum_by((*recorded.SERVICE_LABELS, l_.FAILED_COMPONENT), failures) > 0


DOWN_KIND = AlertKind(
    DOWN,
    "service-down",
    Severity.PAGE,
    lambda own: max_by(recorded.SERVICE_LABELS, Selector(UP).where(*own).now).is_equal_to(0),
    timedelta(minutes=1),
    "Longer than one failed scrape or a pod's restart; one pod of many is not the service.",
    "{{ $labels.service }} is down",
    "Not one pod of {{ $labels.service }} in {{ $labels.namespace }} has answered Prometheus for {lasting}.",
)
SILENT_KIND = AlertKind(
    SILENT,
    "telemetry-absent",
    Severity.TICKET,
    lambda own: Selector(only(metrics.BUILD_INFO)).where(*own).absent(),
    timedelta(minutes=5),
    "Past any rollout or restart.",
    "{{ $labels.service }} sends no telemetry",
    "For {lasting} no pod of {{ $labels.service }} in {{ $labels.namespace }} has delivered the contract's metrics: "
    "none of its other alerts can fire.",
)


def growing(lengths: Selector, by: Sequence[Label]) -> Vector:
    """Return a condition on the length of queues, each known by the labels *by*: it grows, and not just now."""
    short, long = max_by(by, least(lengths, GROWTH)), max_by(by, greatest(lengths, GROWTH, HOUR))
    return is_more_than(short, long * GROWN) & (short >= WORTH)


KINDS = (
    DOWN_KIND,
    SILENT_KIND,
    AlertKind(
        "WorkersSaturated",
        "service-saturated",
        Severity.TICKET,
        _workers_busy,
        timedelta(minutes=5),
        "Over all pods, so that one busy pod is none; a peak of a minute or two is what the spare tenth is for.",
        "{{ $labels.service }} has hardly a worker to spare",
        "For {lasting} more than nine of ten slots of the pool {{ $labels.pool }} have been taken, over all pods: now "
        "{{ $value | humanizePercentage }}. What comes next waits.",
        without=SOCKETLESS,
    ),
    AlertKind(
        "EventLoopStalled",
        "event-loop-stalled",
        Severity.TICKET,
        lambda own: max_by(_BY_POD, _gauge(metrics.EVENT_LOOP_STALL, own)) > STALL,
        timedelta(minutes=1),
        "In every scrape of a minute: something blocks the loop again and again, or for good.",
        "An event loop of {{ $labels.service }} is blocked",
        "For {lasting} an event loop in {{ $labels.pod }} has not answered for seconds at a time: now "
        "{{ $value | humanizeDuration }}. Everything that this worker serves waits meanwhile.",
        without=LOOPLESS,
    ),
    AlertKind(
        "EventLoopBusy",
        "service-saturated",
        Severity.TICKET,
        _loops_busy,
        timedelta(minutes=10),
        "A loop that computes nine tenths of the time lets everything wait; a start takes a minute or two, not ten.",
        "The event loops of {{ $labels.service }} can hardly do more",
        "For {lasting} its event loops have computed {{ $value | humanizePercentage }} of the time, over all workers.",
        without=LOOPLESS,
    ),
    AlertKind(
        "ListenQueueFilling",
        "service-saturated",
        Severity.PAGE,
        _queueing,
        timedelta(minutes=2),
        "A queue that drains is empty nearly always. It pages, because what is refused is in no metric and so in no "
        "objective.",
        "Connections to {{ $labels.service }} wait to be accepted",
        "For {lasting} the listen queue of {{ $labels.pod }} has been more than half full: now "
        "{{ $value | humanizePercentage }}. When it is full, connections are refused, and no metric counts them.",
        without=SOCKETLESS,
    ),
    AlertKind(
        "OpenFilesNearLimit",
        "open-files-near-limit",
        Severity.TICKET,
        lambda own: max_by(_BY_POD, _gauge(metrics.PROCESS_OPEN_FILES_UTILIZATION, own)) > FILES,
        timedelta(minutes=5),
        "A leak goes on to the limit; a burst of connections is over in five minutes.",
        "A worker of {{ $labels.service }} runs out of file descriptors",
        "For {lasting} a worker in {{ $labels.pod }} has had more than four fifths of the files open that it may: now "
        "{{ $value | humanizePercentage }}. At the limit it accepts no connection and opens no file.",
    ),
    AlertKind(
        "TelemetryOverflow",
        "telemetry-incomplete",
        Severity.TICKET,
        _overflowing,
        timedelta(minutes=15),
        "At the limit all further label sets share one series. Nothing but a restart undoes it, so there is no hurry.",
        "A metric of {{ $labels.service }} has too many label sets",
        "For {lasting} {{ $labels.metric }} has had all the label sets it may: further ones share one series, and what "
        "is asked of the metric by label is wrong.",
    ),
    AlertKind(
        "InstrumentationFailing",
        "telemetry-incomplete",
        Severity.TICKET,
        lambda own: _failing(own, lacks(l_.FAILED_COMPONENT, _SENDING), HOUR),
        timedelta(minutes=1),
        "One failure is enough, because it may have been the only attempt; it is shown for an hour.",
        "Telemetry of {{ $labels.service }} fails in part",
        "In the last hour {{ $labels.component }} has failed {{ $value | humanize }} times. The service goes on; what "
        "its metrics and traces say may be incomplete.",
    ),
    AlertKind(
        "TelemetryNotSent",
        "telemetry-incomplete",
        Severity.TICKET,
        lambda own: _failing(own, matches(l_.FAILED_COMPONENT, _SENDING), RATE_WINDOW),
        timedelta(minutes=15),
        "A collector's restart or a short failure of the network mends by itself in less.",
        "{{ $labels.service }} cannot send its telemetry",
        "For {lasting} sending {{ $labels.component }} has failed again and again.",
    ),
)
"""All that are the same for every service."""


def service_alerts(settings: AlertSettings, service: Service) -> tuple[AlertingRule, ...]:
    """Return the alerts that *service* has, whatever it promises."""
    own, dashboard = sli.of_service(service), uid_of("service", service.name)
    kinds = [kind for kind in KINDS if service.framework not in kind.without]
    return tuple(
        kind.rule_of(settings, service, own, dashboard) for kind in [*kinds, *map(_of_queue, _lengths(service))]
    )


def queues(service: Service) -> list[Series]:
    """Return the lengths of *service*'s queues that it measures and whose wait it promises.

    A length is a gauge beside the histogram of the wait, under one name: `jobs.length` beside `jobs.wait`.
    """
    return [only(metric) for metric in _lengths(service)]


def _lengths(service: Service) -> list[Metric]:
    kind = SloKind.QUEUE_WAIT
    names = {slo.metric.rpartition(".")[0] for slo in service.slos if slo.kind is kind and slo.metric} - {""}
    return [
        metric.stated()
        for metric in service.metrics
        if metric.kind in {Kind.GAUGE, Kind.UP_DOWN_COUNTER} and metric.name.rpartition(".")[0] in names
    ]


def _of_queue(metric: Metric) -> AlertKind:
    return AlertKind(
        GROWING,
        "queue-growing",
        Severity.TICKET,
        lambda own: growing(Selector(only(metric)).where(*own), recorded.SERVICE_LABELS),
        RATE_WINDOW,
        GROWING_REASON,
        "A queue of {{ $labels.service }} becomes longer and longer",
        f"{metric.name} is twice as long as an hour ago at least: now {{{{ $value }}}}. Whatever takes from it is too "
        "slow, or gone.",
        labels={QUEUE: metric.name},
    )
