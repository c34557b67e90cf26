"""What a service measures of what it is asked, and what it promises of it: HTTP requests, or remote procedure calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.dashboards import common, measures
from quarterdeck_dashboards.dashboards.description import Level, Threshold
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.promql import lacks, matches
from quarterdeck_dashboards.slo import sli

if TYPE_CHECKING:
    from quarterdeck_contract.labels import Label
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.dashboards.measures import Measure
    from quarterdeck_dashboards.promql import Matcher

QUANTILES = (0.5, 0.95, 0.99)


class Served:
    """What a service measures of what it is asked: HTTP requests, or remote procedure calls."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.own: tuple[Matcher, ...] = common.of_service(service)
        served = sli.served(service)
        self.is_rpc = served is sli.RPC
        self.duration = served.duration
        self.route = served.route
        self.code = served.status
        self.fault = matches(served.status, served.errors)
        self.fine = lacks(served.status, served.errors)

    def rate(self, *by: Label) -> Measure:
        """Return requests per second."""
        return measures.rate(self.duration, *self.own, by=by)

    def failed(self, *by: Label) -> Measure:
        """Return the share of requests that failed by the service's fault."""
        return measures.share(measures.rate(self.duration, *self.own, self.fault, by=by), self.rate(*by))

    def took(self, share: float, *by: Label) -> Measure:
        """Return how long requests took that did not fail."""
        return measures.quantile(share, self.duration, *self.own, self.fine, by=by)

    def slo(self, kind: SloKind) -> Slo | None:
        """Return the strictest objective of *kind* on all of the service's requests."""
        whole = [
            slo
            for slo in self.service.slos
            if slo.kind is kind and not any((slo.route, slo.method, slo.module, slo.operation, slo.each))
        ]
        return max(whole, key=lambda slo: slo.objective, default=None)

    @property
    def bad_share(self) -> tuple[Threshold, ...]:
        """How bad which share of failed requests is, where something is promised."""
        slo = self.slo(SloKind.AVAILABILITY)
        return common.burns(slo) if slo else ()

    @property
    def too_long(self) -> tuple[Threshold, ...]:
        """From which duration on the objective's quantile breaks it."""
        slo = self.slo(SloKind.LATENCY)
        return (Threshold(slo.threshold.total_seconds(), Level.BAD),) if slo and slo.threshold else ()

    @property
    def promised(self) -> float:
        """The quantile that the latency objective speaks of."""
        slo = self.slo(SloKind.LATENCY)
        return slo.objective / 100 if slo else max(QUANTILES)

    @property
    def promise(self) -> str:
        """The latency objective in words, or nothing."""
        slo = self.slo(SloKind.LATENCY)
        if slo is None or slo.threshold is None:
            return ""
        within = format_duration(slo.threshold)
        return f" {slo.objective:g} % are promised within {within}: keep {quantile_name(self.promised)} below it."


def quantile_name(share: float) -> str:
    """Return what people call the quantile *share*.

    >>> quantile_name(0.95), quantile_name(0.999)
    ('p95', 'p99.9')
    """
    return f"p{share * 100:g}"
