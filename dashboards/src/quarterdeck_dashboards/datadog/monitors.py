"""Monitors: error budgets that burn, services that are down, and what is nearly full.

Nothing in Datadog asks the pods: what does not report is down, or cannot send, and one monitor says both. Saturation
is as `alerts.service` has it. A monitor names nobody; Datadog's notification rules route it by its tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_options import MonitorOptions
from datadog_api_client.v1.model.monitor_thresholds import MonitorThresholds
from datadog_api_client.v1.model.monitor_type import MonitorType

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.alerts import BURN, DOWN, SILENT, severity_for
from quarterdeck_dashboards.alerts.service import FILES, FULL, HALF, LOOPLESS, SOCKETLESS, STALL
from quarterdeck_dashboards.dashboards.datadog_query import MetricQuery, tag
from quarterdeck_dashboards.datadog.burn import burn_rates
from quarterdeck_dashboards.datadog.common import json_of, page_url, scoped, tags_of
from quarterdeck_dashboards.datadog.objectives import key_of
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.resource import Resource, reference
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue, Service, Slo

KIND = "monitor"
WINDOW_MINUTES = 5
"""How long what is nearly full must be so: five of the SDK's exports, one a minute."""
SILENCE_MINUTES = 10
"""Without data for so long a service counts as down: twice the monitor's window, as Datadog advises, and ten of the
SDK's exports."""


@dataclass(frozen=True, slots=True)
class _Full:
    """A metric, or its share of another one, that must not stay above a limit."""

    alert: str
    severity: Severity
    aggregation: str
    metric: Metric
    of: Metric | None
    by: Label
    above: float
    says: str
    without: frozenset[str] = frozenset()
    """Frameworks whose services cannot have it."""


@dataclass(frozen=True, slots=True)
class _Watch:
    """One monitor, before its service is put in."""

    alert: str
    name: str
    says: str
    severity: Severity
    query: str
    above: float
    """The threshold, as the query has it."""
    about: str = ""
    """What tells it from other monitors of the same alert."""
    tags: tuple[str, ...] = ()
    silent: bool = False
    """Whether to have no data is to be told as well."""


_FULL = (
    _Full(
        *("WorkersSaturated", Severity.TICKET, "sum", metrics.WORKER_BUSY, metrics.WORKER_CAPACITY, l_.POOL, FULL),
        "more than nine of ten slots have been taken, over all pods: what comes next waits.",
        SOCKETLESS,
    ),
    _Full(
        *("EventLoopStalled", Severity.TICKET, "max", metrics.EVENT_LOOP_STALL, None, l_.POD, STALL),
        "an event loop has not answered for seconds at a time: everything that this worker serves waits.",
        LOOPLESS,
    ),
    _Full(
        "ListenQueueFilling",
        Severity.PAGE,
        "max",
        metrics.LISTEN_QUEUE_LENGTH,
        metrics.LISTEN_QUEUE_LIMIT,
        l_.POD,
        HALF,
        "a listen queue has been more than half full: when it is full, connections are refused, uncounted.",
        SOCKETLESS,
    ),
    _Full(
        *("OpenFilesNearLimit", Severity.TICKET, "max", metrics.PROCESS_OPEN_FILES_UTILIZATION, None, l_.POD, FILES),
        "a worker has had more than four fifths of the files open that it may: at the limit it accepts no connection.",
    ),
)


def burning(catalogue: Catalogue, service: Service, slo: Slo, environment: str) -> Iterator[Resource]:
    """Yield a monitor for each of *slo*'s burn rates: Datadog has one pair of windows in each."""
    for rate in burn_rates(service, slo):
        long, severity = _in("h", rate.long), rate.severity.value
        over = f'burn_rate("{reference(key_of(service, slo))}").over("{format_duration(slo.window)}")'
        windows = f'.long_window("{long}").short_window("{_in("m", rate.short)}")'
        instead = f" The catalogue's table has {rate.instead}, a window that Datadog has not." if rate.instead else ""
        watch = _Watch(
            BURN,
            f"{service.name} burns {slo.name}, {severity} by {long} ({environment})",
            f"{service.name} spends the error budget of {slo.name}, {slo.objective:g} % over {slo.over}, more than "
            f"{rate.above:g} times as fast as allowed, in the last {long} and still now.{instead}",
            rate.severity,
            f"{over}{windows} > {rate.above:g}",
            rate.above,
            about=f"{slo.name}/{severity}-{long}",
            tags=(f"slo:{slo.name}",),
        )
        yield _monitor(catalogue, service, environment, watch)


def of_service(catalogue: Catalogue, service: Service, environment: str) -> Iterator[Resource]:
    """Yield the monitors that *service* has whatever it promises."""
    yield _monitor(catalogue, service, environment, _down(catalogue, service, environment))
    for full in _FULL:
        if service.framework not in full.without:
            yield _monitor(catalogue, service, environment, _filling(service, environment, full))


def _down(catalogue: Catalogue, service: Service, environment: str) -> _Watch:
    workers = MetricQuery("sum", metrics.WORKERS.name, scoped(service, environment))
    return _Watch(
        DOWN,
        f"{service.name} is down ({environment})",
        f"No worker of {service.name} in {service.namespace} reports, or none has for {SILENCE_MINUTES} minutes: it is "
        f"down, or its telemetry does not arrive; for that see {page_url(catalogue, service, SILENT)}",
        severity_for(service, Severity.PAGE),
        f"max(last_{WINDOW_MINUTES}m):{workers} < 1",
        1.0,
        silent=True,
    )


def _filling(service: Service, environment: str, full: _Full) -> _Watch:
    own, by = scoped(service, environment), (tag(full.by),)
    parts = [MetricQuery(full.aggregation, each.name, own, by) for each in (full.metric, full.of) if each]
    return _Watch(
        full.alert,
        f"{service.name}: {full.alert} ({environment})",
        f"For {WINDOW_MINUTES} minutes {full.says}",
        severity_for(service, full.severity),
        f"min(last_{WINDOW_MINUTES}m):{' / '.join(map(str, parts))} > {full.above:g}",
        full.above,
    )


def _monitor(catalogue: Catalogue, service: Service, environment: str, watch: _Watch) -> Resource:
    alert, severity = watch.alert.lower(), watch.severity
    options = MonitorOptions(
        thresholds=MonitorThresholds(critical=float(watch.above)),
        notify_no_data=watch.silent,
        include_tags=True,
        require_full_window=False,
    )
    if watch.silent:
        options.no_data_timeframe = SILENCE_MINUTES
    body = Monitor(
        name=watch.name,
        type=MonitorType.SLO_ALERT if watch.alert == BURN else MonitorType.QUERY_ALERT,
        query=watch.query,
        message=f"{watch.says}\n\nRunbook: {page_url(catalogue, service, watch.alert)}",
        tags=tags_of(service, environment, f"alert:{alert}", f"severity:{severity.value}", *watch.tags),
        priority=_priority(service, severity),
        options=options,
    )
    key = "/".join(part for part in (KIND, service.name, alert, watch.about) if part)
    return Resource(KIND, key, watch.name, json_of(body))


def _priority(service: Service, severity: Severity) -> int:
    """Return Datadog's priority: 1 for what wakes somebody of a service of tier 1, 4 for what waits for the day."""
    return min(service.tier, 2) if severity is Severity.PAGE else 4


_SECONDS = {"h": 3600, "m": 60}


def _in(unit: str, window: timedelta) -> str:
    return f"{window.total_seconds() / _SECONDS[unit]:.0f}{unit}"
