"""The Python runtime of services: workers, garbage, event loops, and the telemetry itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.dashboards import common, measures
from quarterdeck_dashboards.dashboards.description import Dashboard, Draw, Level, Panel, Row, Threshold, Unit
from quarterdeck_dashboards.promql import matches
from quarterdeck_dashboards.uid import TAG, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue

UID = uid_of("python")
_OWN = (common.IN_CLUSTER, matches(l_.SERVICE, f"${common.SERVICE.name}"))
_STOPPED = (Threshold(0.02, Level.WARNING), Threshold(0.1, Level.BAD))
"""Share of the time: garbage that costs more than this is worth a look, and more than that is felt."""


def of(_: Catalogue) -> tuple[Dashboard, ...]:
    """Return the one dashboard, of whichever services are chosen."""
    return (
        Dashboard(
            UID,
            "Python runtime",
            "What the interpreter does beside the service's own work. Choose a service; look here when a service is "
            "slow and nobody it waits for is.",
            (
                Row("Workers", tuple(_workers())),
                Row("Garbage collection", tuple(_garbage())),
                Row("Event loops", tuple(_loops())),
                Row("What it uses", tuple(panel(*_OWN) for panel in (common.cpu, common.memory, common.open_files))),
                Row("The telemetry itself", tuple(_telemetry())),
            ),
            tags=(TAG, "runtime"),
            variables=(common.CLUSTER, common.SERVICE),
            links=common.HOME,
        ),
    )


def _workers() -> Iterator[Panel]:
    yield common.processes(*_OWN)
    yield common.threads(*_OWN)
    switches = measures.rate(metrics.PROCESS_CONTEXT_SWITCHES, *_OWN, by=[l_.CONTEXT_SWITCH_TYPE])
    yield Panel(
        "Context switches",
        "Per second. Many involuntary ones: too few processors for what runs here, or a limit that throttles.",
        Draw.LINES,
        Unit.COUNT,
        (switches.query(f"{{{l_.CONTEXT_SWITCH_TYPE.name}}}"),),
    )


def _garbage() -> Iterator[Panel]:
    stopped = measures.spent(metrics.GC_DURATION, *_OWN, by=[l_.POD])
    workers = measures.total(metrics.WORKERS, *_OWN, by=[l_.POD])
    yield Panel(
        "Time stopped, share",
        "Of each worker's time, on average. Above a few percent: fewer objects, or gc.freeze() after start-up.",
        Draw.LINES,
        Unit.SHARE,
        ((stopped / workers).query("{pod}"),),
        _STOPPED,
    )
    generation = f"{{{l_.GC_GENERATION.name}}}"
    yield Panel(
        "Longest pauses, p99",
        "By generation. While a collection runs its worker does nothing else: a pause is added to some request.",
        Draw.LINES,
        Unit.SECONDS,
        (measures.quantile(0.99, metrics.GC_DURATION, *_OWN, by=[l_.GC_GENERATION]).query(generation),),
    )
    yield Panel(
        "Objects freed and not",
        "Per second. Uncollectable ones are a leak that no collection ends.",
        Draw.LINES,
        Unit.COUNT,
        (
            measures.rate(metrics.GC_COLLECTED, *_OWN).query("freed"),
            measures.rate(metrics.GC_UNCOLLECTABLE, *_OWN).query("uncollectable"),
        ),
    )


def _loops() -> Iterator[Panel]:
    busy = measures.rate(metrics.EVENT_LOOP_CPU_TIME, *_OWN, by=[l_.POD])
    workers = measures.total(metrics.WORKERS, *_OWN, by=[l_.POD])
    yield Panel(
        "Loops busy, share",
        "Processor time of the threads that run event loops, by worker. At 100 % they can do no more: scale out.",
        Draw.LINES,
        Unit.SHARE,
        ((busy / workers).query("{pod}"),),
        common.FULL,
    )
    yield Panel(
        "Delay, p99",
        "How long an event waits for its turn. Over 100 ms something blocks the loop.",
        Draw.LINES,
        Unit.SECONDS,
        (measures.quantile(0.99, metrics.EVENT_LOOP_LAG, *_OWN, by=[l_.POD]).query("{pod}"),),
        common.BLOCKED,
    )
    yield Panel(
        "Stalled, now",
        "How long the slowest loop has not answered. A line that climbs: a call that blocks and does not return.",
        Draw.LINES,
        Unit.SECONDS,
        (measures.greatest(metrics.EVENT_LOOP_STALL, *_OWN, by=[l_.POD]).query("{pod}"),),
        common.BLOCKED,
    )


def _telemetry() -> Iterator[Panel]:
    failures = measures.rate(metrics.FAILURES, *_OWN, by=[l_.SERVICE, l_.FAILED_COMPONENT])
    yield Panel(
        "Instrumentation failures",
        "Per second. The service goes on; what it says of itself is missing something. Its log says what.",
        Draw.LINES,
        Unit.COUNT,
        (failures.query("{service} {component}"),),
        width=12,
    )
    sets = measures.greatest(metrics.LABEL_SETS, *_OWN, by=[l_.SERVICE])
    limit = measures.greatest(metrics.LABEL_SETS_LIMIT, *_OWN, by=[l_.SERVICE])
    yield Panel(
        "Label sets, share of the limit",
        "Of the metric that has most. At 100 % all new ones share one series: a log line names the label.",
        Draw.LINES,
        Unit.SHARE,
        ((sets / limit).query("{service}"),),
        common.FULL,
        maximum=1,
        width=12,
    )
