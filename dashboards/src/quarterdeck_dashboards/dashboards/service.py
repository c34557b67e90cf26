"""One service: is it well, what does it promise, who is slow, what is full, whom does it wait for, what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.dashboards import clients, common, measures, promises
from quarterdeck_dashboards.dashboards.description import Dashboard, Draw, Panel, Row, Unit
from quarterdeck_dashboards.dashboards.served import QUANTILES, Served, quantile_name
from quarterdeck_dashboards.promql import matches
from quarterdeck_dashboards.uid import TAG, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.promql import Matcher

WITHOUT_REQUESTS = frozenset({"celery", "batch"})
"""Frameworks of services that nobody sends requests to."""
WITH_EVENT_LOOP = frozenset({"fastapi", "starlette", "litestar", "quart", "asgi", "aiohttp", "tornado"})
"""Frameworks whose requests wait for an event loop."""


def of(catalogue: Catalogue) -> tuple[Dashboard, ...]:
    """Return a dashboard for each service that serves requests."""
    return tuple(_of(catalogue, service) for service in catalogue.services if service.framework not in WITHOUT_REQUESTS)


def uid(service: Service) -> str:
    """Return the uid of *service*'s own dashboard."""
    return uid_of("service", service.name)


def _of(catalogue: Catalogue, service: Service) -> Dashboard:
    served = Served(service)
    return Dashboard(
        uid(service),
        f"Service: {service.name}",
        f"{service.name} in {service.namespace}, of {service.owner}, tier {service.tier}. Read it from the top: is it "
        "well, what does it promise, which route, what is full, whom does it wait for, what is new.",
        (
            Row("Now", tuple(_now(served))),
            *promises.rows(service),
            Row("Requests", tuple(_requests(served))),
            Row("Which route", tuple(_routes(served))),
            Row("What is full", tuple(_saturation(served))),
            Row("What it uses", tuple(panel(*served.own) for panel in (common.cpu, common.memory, common.open_files))),
            *clients.rows(service),
            Row("What is new", tuple(panel.wide(6) for panel in _versions(served))),
        ),
        tags=(TAG, "service", service.owner),
        variables=(common.CLUSTER,),
        annotations=common.marks(service),
        links=common.links(catalogue, service),
    )


def _now(served: Served) -> Iterator[Panel]:
    promised = served.promised
    yield Panel(
        "Requests",
        "Per second, over the last five minutes. None at all: is it asked, and is it up?",
        Draw.STAT,
        Unit.PER_SECOND,
        (served.rate().query("requests"),),
        width=6,
    )
    yield Panel(
        "Failed",
        "Share of requests that ended in a fault of the service's own. Yellow: the error budget shrinks. Red: it is "
        "going fast enough to wake somebody.",
        Draw.STAT,
        Unit.SHARE,
        (served.failed().query("failed"),),
        served.bad_share,
        maximum=1,
        width=6,
    )
    yield Panel(
        f"Time taken, {quantile_name(promised)}",
        f"Of requests that did not fail.{served.promise}",
        Draw.STAT,
        Unit.SECONDS,
        (served.took(promised).query(quantile_name(promised)),),
        served.too_long,
        width=6,
    )
    yield Panel(
        "Workers",
        "Processes that deliver telemetry, over all pods. Fewer than usual: pods are restarting or cannot be reached.",
        Draw.STAT,
        Unit.COUNT,
        (measures.total(metrics.WORKERS, *served.own).query("workers"),),
        width=6,
    )


def _requests(served: Served) -> Iterator[Panel]:
    shares = sorted({*QUANTILES, served.promised})
    yield Panel(
        "Requests by answer",
        "Per second, by status code. A colour that grows is what changed.",
        Draw.BARS,
        Unit.PER_SECOND,
        (served.rate(served.code).query(f"{{{served.code.name}}}"),),
    )
    yield Panel(
        "Failed requests",
        "Share of all requests, with what the objective allows. Above the upper line somebody is woken.",
        Draw.LINES,
        Unit.SHARE,
        (served.failed().query("failed"),),
        served.bad_share,
    )
    yield Panel(
        "Time taken",
        f"Of requests that did not fail; the dots are traces.{served.promise}",
        Draw.LINES,
        Unit.SECONDS,
        tuple(served.took(share).query(quantile_name(share), exemplars=share == shares[-1]) for share in shares),
        served.too_long,
    )


def _routes(served: Served) -> Iterator[Panel]:
    name = f"{{{served.route.name}}}"
    yield Panel(
        "Requests by route",
        "Per second. One route that grew alone points at one caller.",
        Draw.LINES,
        Unit.PER_SECOND,
        (served.rate(served.route).query(name),),
        width=6,
    )
    yield Panel(
        "Failed by route",
        "Share of the route's requests. One route alone: its code or what it calls. All: what they share.",
        Draw.LINES,
        Unit.SHARE,
        (served.failed(served.route).query(name),),
        served.bad_share,
        width=6,
    )
    yield Panel(
        "Time taken by route, p95",
        "Of requests that did not fail. One route alone: its code or what it calls. All: see what is full.",
        Draw.LINES,
        Unit.SECONDS,
        (served.took(0.95, served.route).query(name),),
        served.too_long,
        width=6,
    )
    yield Panel(
        "How long requests take",
        "All of them; darker is more. Two bands are two kinds of request, or a cache that is missed.",
        Draw.HEATMAP,
        Unit.SECONDS,
        (measures.distribution(served.duration, *served.own).query("{le}"),),
        width=6,
    )


def _saturation(served: Served) -> Iterator[Panel]:
    own = served.own
    if served.is_rpc:
        yield common.threads(*own)
    else:
        yield _slots_in_use(own)
    if served.is_rpc:
        yield common.processes(*own)
    elif served.service.framework in WITH_EVENT_LOOP:
        yield Panel(
            "Event loop's delay",
            "How long an event waits for its turn. Over 100 ms something blocks the loop: look for calls that do not "
            "await. Stall: how long the slowest loop has not answered, now.",
            Draw.LINES,
            Unit.SECONDS,
            (
                measures.quantile(0.99, metrics.EVENT_LOOP_LAG, *own).query("p99"),
                measures.greatest(metrics.EVENT_LOOP_STALL, *own).query("stall"),
            ),
            common.BLOCKED,
        )
    else:
        yield Panel(
            "Being served",
            "Requests in each pod at this moment.",
            Draw.LINES,
            Unit.COUNT,
            (measures.total(metrics.HTTP_SERVER_ACTIVE, *own, by=[l_.POD]).query("{pod}"),),
        )
    waiting, limit = (
        measures.greatest(metric, *own, by=[l_.POD])
        for metric in (metrics.LISTEN_QUEUE_LENGTH, metrics.LISTEN_QUEUE_LIMIT)
    )
    yield Panel(
        "Listen queue, share of its limit",
        "Connections that wait to be accepted. More than a few: workers do not keep up, and at 100 % clients are "
        "refused. Scale out.",
        Draw.LINES,
        Unit.SHARE,
        ((waiting / limit).query("{pod}"),),
        common.FULL,
        maximum=1,
    )


def _slots_in_use(own: Sequence[Matcher]) -> Panel:
    busy, capacity = (
        measures.total(metric, *own, by=[l_.POOL]) for metric in (metrics.WORKER_BUSY, metrics.WORKER_CAPACITY)
    )
    return Panel(
        "Slots in use",
        "Share of what can be served at once. At 100 % what comes next waits, or is refused: scale out. No line where "
        "the server has no limit.",
        Draw.LINES,
        Unit.SHARE,
        (measures.share(busy, capacity).query("{pool}"),),
        common.FULL,
        maximum=1,
    )


def _versions(served: Served) -> Iterator[Panel]:
    yield common.versions(*served.own)
    yield Panel(
        "Failed by version",
        "Share of each version's requests. The new one alone: roll back.",
        Draw.LINES,
        Unit.SHARE,
        (served.failed(l_.VERSION).query("{version}"),),
        served.bad_share,
    )
    yield Panel(
        "Time taken by version, p95",
        "Of requests that did not fail. The new one alone: roll back.",
        Draw.LINES,
        Unit.SECONDS,
        (served.took(0.95, l_.VERSION).query("{version}"),),
        served.too_long,
    )
    errors = matches(l_.LOG_SEVERITY, "|".join(l_.LOG_ERRORS))
    yield Panel(
        "Errors logged by version",
        "Records of errors, or worse, per second. The new one alone, whatever its requests say: read its log, and a "
        "rollout's guard does.",
        Draw.LINES,
        Unit.PER_SECOND,
        (measures.rate(metrics.LOG_RECORDS, *served.own, errors, by=[l_.VERSION]).query("{version}"),),
    )
