"""What counts as an event, and what as a bad one: the one definition behind rules, dashboards and reports.

An event is a request, something taken from a queue, or, where the promise is about time, a second: then there is one
a second, and it is bad or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.catalogue.own import known_metrics
from quarterdeck_dashboards.promql import (
    Selector,
    Vector,
    at_least,
    equals,
    is_below,
    lacks,
    matches,
    max_by,
    older_than,
    selecting,
    sum_by,
)
from quarterdeck_dashboards.series import LE, bucket_bound, buckets, count, only
from quarterdeck_dashboards.slo.recorded import SERVICE_LABELS
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.promql import Matcher
    from quarterdeck_dashboards.series import Series

    Ask = Callable[[Selector], Vector]
    """How counters are asked: over which time, and by which labels they are summed."""
    _Of = Callable[[Service, Slo, Ask], Vector]

SERVER_ERROR = "5.."
"""Status codes that are the service's fault. 4xx are the caller's."""
RPC_ERRORS = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
"""Status codes of gRPC that are the service's fault, by the conventions
(https://opentelemetry.io/docs/specs/semconv/rpc/grpc/)."""


@dataclass(frozen=True, slots=True)
class Served:
    """How requests are measured, by what serves them."""

    duration: Metric
    route: Label
    status: Label
    errors: str
    """Regular expression of the status codes that are the service's fault."""


HTTP = Served(metrics.HTTP_SERVER_DURATION, l_.HTTP_ROUTE, l_.HTTP_STATUS_CODE, SERVER_ERROR)
RPC = Served(metrics.RPC_SERVER_DURATION, l_.RPC_METHOD, l_.RPC_STATUS_CODE, RPC_ERRORS)


def served(service: Service) -> Served:
    """Return how *service*'s requests are measured."""
    return RPC if service.framework == "grpc" else HTTP


def of_service(service: Service) -> tuple[Matcher, Matcher]:
    """Return the conditions that pick out *service*'s own series."""
    return equals(l_.NAMESPACE, service.namespace), equals(l_.SERVICE, service.name)


def per_second(selector: Selector) -> Vector:
    """Ask counters for what rules record: their growth per second, of the whole service."""
    return sum_by(SERVICE_LABELS, selector.rate(RATE_WINDOW))


def events(service: Service, slo: Slo, ask: Ask = per_second) -> Vector:
    """Return how many events *slo* judges, by what *ask* makes of counters."""
    return _KINDS[slo.kind][0](service, slo, ask)


def errors(service: Service, slo: Slo, ask: Ask = per_second) -> Vector:
    """Return how many of those events are bad: 0, not absent, when there are events and none is bad.

    An absent numerator would leave the ratio without data and hide that all is well, so the zero comes from the
    events' own labels.
    """
    return _KINDS[slo.kind][1](service, slo, ask)


def counted(service: Service, slo: Slo) -> tuple[Selector, Selector] | None:
    """Return the counters of all events and of the good ones among them; None where no counter of ours has both.

    For whoever is not asked in PromQL: Datadog's objectives are good events of all.
    """
    how = served(service)
    fine = lacks(how.status, how.errors)
    match slo.kind:
        case SloKind.AVAILABILITY:
            requests = _of_requests(service, slo, count(how.duration))
            return requests, requests.where(fine)
        case SloKind.LATENCY:
            within = _of_requests(service, slo, buckets(how.duration)).where(equals(LE, _bound(service, slo)))
            return _of_requests(service, slo, count(how.duration)).where(fine), within.where(fine)
        case SloKind.QUEUE_WAIT:
            metric, own = metric_of(service, slo), of_service(service)
            within = Selector(buckets(metric)).where(*own, equals(LE, _bound(service, slo)))
            return Selector(count(metric)).where(*own), within
        case _:
            return None


def _requests(service: Service, slo: Slo, ask: Ask) -> Vector:
    return ask(_of_requests(service, slo, count(served(service).duration)))


def _failed(service: Service, slo: Slo, ask: Ask) -> Vector:
    """A service that never failed has no series with a 5xx status."""
    how = served(service)
    failed = _of_requests(service, slo, count(how.duration)).where(matches(how.status, how.errors))
    return ask(failed) | _requests(service, slo, ask) * 0


def _successful(service: Service, slo: Slo, ask: Ask) -> Vector:
    how = served(service)
    return ask(_of_requests(service, slo, count(how.duration)).where(lacks(how.status, how.errors)))


def _slow(service: Service, slo: Slo, ask: Ask) -> Vector:
    """A slow request has no series of its own: it is one that the threshold's bucket does not hold.

    The bucket is on the same page as the count, so the difference is never negative but by rounding.
    """
    how = served(service)
    within = _of_requests(service, slo, buckets(how.duration)).where(lacks(how.status, how.errors))
    return at_least(_successful(service, slo, ask) - ask(within.where(equals(LE, _bound(service, slo)))), 0)


def _taken(service: Service, slo: Slo, ask: Ask) -> Vector:
    return ask(Selector(count(metric_of(service, slo))).where(*of_service(service)))


def _taken_late(service: Service, slo: Slo, ask: Ask) -> Vector:
    bound = equals(LE, _bound(service, slo))
    within = ask(Selector(buckets(metric_of(service, slo))).where(*of_service(service), bound))
    return at_least(_taken(service, slo, ask) - within, 0)


def _newest(service: Service, slo: Slo, ask: Ask) -> Vector:
    del ask  # a time is not counted
    return max_by(SERVICE_LABELS, Selector(only(metric_of(service, slo))).where(*of_service(service)).now)


def _one_a_second_by_newest(service: Service, slo: Slo, ask: Ask) -> Vector:
    return _newest(service, slo, ask) * 0 + 1


def _stale(service: Service, slo: Slo, ask: Ask) -> Vector:
    return older_than(_newest(service, slo, ask), slo.threshold.total_seconds() if slo.threshold else 0)


def _growth(service: Service, slo: Slo, ask: Ask) -> Vector:
    return ask(Selector(only(metric_of(service, slo))).where(*of_service(service)))


def _one_a_second_by_growth(service: Service, slo: Slo, ask: Ask) -> Vector:
    return _growth(service, slo, ask) * 0 + 1


def _too_slow(service: Service, slo: Slo, ask: Ask) -> Vector:
    return is_below(_growth(service, slo, ask), slo.minimum or 0)


def _custom_events(service: Service, slo: Slo, ask: Ask) -> Vector:
    return ask(selecting(slo.events or "").where(*of_service(service)))


def _custom_errors(service: Service, slo: Slo, ask: Ask) -> Vector:
    return ask(selecting(slo.errors or "").where(*of_service(service))) | _custom_events(service, slo, ask) * 0


_KINDS: dict[SloKind, tuple[_Of, _Of]] = {
    SloKind.AVAILABILITY: (_requests, _failed),
    SloKind.LATENCY: (_successful, _slow),
    SloKind.FRESHNESS: (_one_a_second_by_newest, _stale),
    SloKind.THROUGHPUT: (_one_a_second_by_growth, _too_slow),
    SloKind.QUEUE_WAIT: (_taken, _taken_late),
    SloKind.CUSTOM: (_custom_events, _custom_errors),
}
"""All events, and the bad ones among them, of each kind of objective."""


def _of_requests(service: Service, slo: Slo, series: Series) -> Selector:
    """Return those of *service*'s requests that *slo* is about."""
    return Selector(series).where(*of_service(service), *requests_of(service, slo))


def requests_of(service: Service, slo: Slo) -> tuple[Matcher, ...]:
    """Return the conditions that pick out, among *service*'s requests, those that *slo* is about."""
    found = []
    if slo.route is not None:
        found.append(_of_route(served(service).route, slo.route))
    if slo.method is not None:
        found.append(equals(l_.HTTP_METHOD, slo.method))
    if slo.module is not None:
        found.append(equals(l_.MODULE, slo.module))
    return tuple(found)


_PARAMETER = re.compile(r"\{[^/{}]*\}")


def _of_route(label: Label, path: str) -> Matcher:
    """Match the route *path*; with parameters, as any framework writes them.

    >>> print(_of_route(l_.HTTP_ROUTE, "/users/{id}/orders"))
    http_route=~"/?users/[{<][^/]*[}>]/orders/?"
    >>> print(_of_route(l_.HTTP_ROUTE, "/users"))
    http_route="/users"
    """
    if not _PARAMETER.search(path):
        return equals(label, path)
    literals = [re.sub(r"([.+*?()|\[\]^$\\])", r"\\\1", part) for part in _PARAMETER.split(path.strip("/"))]
    return matches(label, f"/?{'[{<][^/]*[}>]'.join(literals)}/?")


def metric_of(service: Service, slo: Slo) -> Metric:
    """Return the metric that *slo* names."""
    known = known_metrics(service.metrics)
    if slo.metric not in known:  # the catalogue refuses it
        raise ValueError(f"{service.name}/{slo.name}: the metric {slo.metric} is not known")
    return known[slo.metric]


def _bound(service: Service, slo: Slo) -> str:
    if slo.threshold is None:  # the catalogue refuses it
        raise ValueError(f"{service.name}/{slo.name}: an SLO of the kind {slo.kind.value} needs a threshold")
    return bucket_bound(slo.threshold.total_seconds())
