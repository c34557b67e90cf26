"""All services at once: which is worst, and is anything missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.dashboards import common, measures, promises
from quarterdeck_dashboards.dashboards.description import Dashboard, Draw, Level, Panel, Row, Threshold, Unit
from quarterdeck_dashboards.dashboards.measures import Measure
from quarterdeck_dashboards.promql import Selector, count_by, lacks, matches, max_by, min_by
from quarterdeck_dashboards.series import UP, only
from quarterdeck_dashboards.slo import sli
from quarterdeck_dashboards.uid import TAG, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue

UID = uid_of("fleet")
_BY = [l_.SERVICE]
_ALL = (common.IN_CLUSTER,)
_KINDS = (sli.HTTP, sli.RPC)
"""In which ways services are asked."""


def of(catalogue: Catalogue) -> tuple[Dashboard, ...]:
    """Return the one dashboard."""
    return (
        Dashboard(
            UID,
            "Fleet",
            "All services at once. Find the one that differs, then open its own dashboard.",
            (
                Row("Services", (_table(),)),
                Row("Which is worst", tuple(_worst(catalogue))),
                Row("Who is asked, who works", tuple(_load())),
                Row("Is anything missing", tuple(_missing())),
            ),
            tags=(TAG, "fleet"),
            variables=(common.CLUSTER,),
            links=common.HOME,
        ),
    )


def requests() -> Measure:
    """Return each service's requests per second, of either kind."""
    return measures.either(*(measures.rate(each.duration, *_ALL, by=_BY) for each in _KINDS))


def _failed() -> Measure:
    http, rpc = (measures.rate(each.duration, *_ALL, matches(each.status, each.errors), by=_BY) for each in _KINDS)
    return measures.share(measures.either(http, rpc), requests())


def _took() -> Measure:
    http, rpc = (
        measures.quantile(0.95, each.duration, *_ALL, lacks(each.status, each.errors), by=_BY) for each in _KINDS
    )
    return measures.either(http, rpc)


def _table() -> Panel:
    return Panel(
        "Services now",
        "Requests a second, workers, versions that run beside each other. Two versions for long: a rollout that has "
        "stopped half-way.",
        Draw.TABLE,
        Unit.COUNT,
        (
            requests().query("requests/s"),
            measures.total(metrics.WORKERS, *_ALL, by=_BY).query("workers"),
            _versions().query("versions"),
        ),
        width=24,
    )


def _versions() -> Measure:
    info = Selector(only(metrics.BUILD_INFO)).where(*_ALL)
    return Measure(count_by(_BY, max_by([l_.SERVICE, l_.VERSION], info.now)))


def _worst(catalogue: Catalogue) -> Iterator[Panel]:
    promised = promises.are_made(catalogue)
    width = 8 if promised else 12
    yield Panel(
        "Failed",
        "Share of each service's requests. One alone: open it. Several at once: what do they all wait for?",
        Draw.LINES,
        Unit.SHARE,
        (_failed().query("{service}"),),
        width=width,
    )
    yield Panel(
        "Time taken, p95",
        "Of requests that did not fail. One alone: open it. Several at once: what do they all wait for?",
        Draw.LINES,
        Unit.SECONDS,
        (_took().query("{service}"),),
        width=width,
    )
    if promised:
        yield promises.fastest(*_ALL)


def _load() -> Iterator[Panel]:
    yield Panel(
        "Requests",
        "Per second and service. All fell at once: look before them, at what sends requests in.",
        Draw.BARS,
        Unit.PER_SECOND,
        (requests().query("{service}"),),
        width=12,
    )
    yield Panel(
        "Processor time",
        "Cores in use by each service.",
        Draw.BARS,
        Unit.CORES,
        (measures.rate(metrics.PROCESS_CPU_TIME, *_ALL, by=_BY).query("{service}"),),
        width=12,
    )


def _missing() -> Iterator[Panel]:
    up = Selector(UP).where(*_ALL)
    yield Panel(
        "All pods answer",
        "1: every pod of the service is scraped; 0: at least one is not, so that part of what it does is unseen.",
        Draw.GAUGE,
        Unit.COUNT,
        (Measure(min_by(_BY, up.now)).query("{service}"),),
        (Threshold(1, Level.GOOD),),
        base=Level.BAD,
        maximum=1,
        width=12,
    )
    failures = measures.rate(metrics.FAILURES, *_ALL, by=_BY)
    yield Panel(
        "Instrumentation failures",
        "Per second. The service goes on; what it says of itself is missing something. Its log says what.",
        Draw.LINES,
        Unit.COUNT,
        (failures.query("{service}"),),
        width=12,
    )
