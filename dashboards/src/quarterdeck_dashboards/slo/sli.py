"""What counts as an event, and what as a bad one: the one definition behind rules, dashboards and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_dashboards.catalogue.model import SloKind
from quarterdeck_dashboards.promql import Selector, at_least, equals, lacks, matches, sum_by
from quarterdeck_dashboards.series import LE, bucket_bound, buckets, count
from quarterdeck_dashboards.slo.recorded import SERVICE_LABELS
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.promql import Matcher, Vector

SERVER_ERROR = "5.."
"""Status codes that are the service's fault. 4xx are the caller's."""


def of_service(service: Service) -> tuple[Matcher, Matcher]:
    """Return the conditions that pick out *service*'s own series."""
    return equals(l_.NAMESPACE, service.namespace), equals(l_.SERVICE, service.name)


def events(service: Service, slo: Slo) -> Vector:
    """Return how many events per second *slo* judges."""
    requests = Selector(count(HTTP_SERVER_DURATION)).where(*of_service(service))
    if slo.kind is SloKind.LATENCY:
        requests = requests.where(lacks(l_.HTTP_STATUS_CODE, SERVER_ERROR))
    return sum_by(SERVICE_LABELS, requests.rate(RATE_WINDOW))


def errors(service: Service, slo: Slo) -> Vector:
    """Return how many of those events per second are bad.

    A service that never failed has no series with a 5xx status: then the answer is 0, from the events' own
    labels, because an absent numerator would leave the ratio without data and hide that all is well. A slow
    request has no series of its own either: it is one that the threshold's bucket does not hold.
    """
    all_events = events(service, slo)
    if slo.kind is SloKind.LATENCY:
        return at_least(all_events - _fast(service, slo), 0)
    failed = Selector(count(HTTP_SERVER_DURATION)).where(
        *of_service(service), matches(l_.HTTP_STATUS_CODE, SERVER_ERROR)
    )
    return sum_by(SERVICE_LABELS, failed.rate(RATE_WINDOW)) | all_events * 0


def _fast(service: Service, slo: Slo) -> Vector:
    """Return the successful requests per second that took no longer than the threshold.

    Their bucket is on the same page as their count, so the difference of the two is never negative but by
    rounding.
    """
    if slo.threshold is None:  # the catalogue refuses it
        raise ValueError(f"{service.name}/{slo.name}: a latency SLO needs a threshold")
    bound = bucket_bound(slo.threshold.total_seconds())
    fast = Selector(buckets(HTTP_SERVER_DURATION)).where(
        *of_service(service), lacks(l_.HTTP_STATUS_CODE, SERVER_ERROR), equals(LE, bound)
    )
    return sum_by(SERVICE_LABELS, fast.rate(RATE_WINDOW))
