"""What telemetry costs, before it is spent: time series, samples, Prometheus' memory, Datadog's custom metrics.

Arithmetic alone: label values times pods times buckets, from the contract and the catalogue. What neither says is
assumed, and each assumption is a field with its reason. `tests/contract/test_cost_measured.py` compares with a real
Prometheus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_contract.metrics import Kind
from quarterdeck_dashboards.catalogue.own import known_metrics
from quarterdeck_dashboards.slo.calendar import start_rules
from quarterdeck_dashboards.slo.rules import recording_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue, Service

TARGET_SERIES = 5
"""What Prometheus makes of each target itself: `up` and four `scrape_…`
(https://prometheus.io/docs/concepts/jobs_instances/)."""

PROMETHEUS_SERIES = 650
"""Series on the page of a Prometheus 3.16 with one scrape job and without rules."""
GROUP_SERIES = 11
"""Series that Prometheus has of itself for each group of rules."""

BYTES_PER_SERIES = 4_200
"""Resident memory of Prometheus for each series in its head block. Measured: 210 MB, and 71 MB without targets, of
Prometheus 3.16 that scraped 200 pods (33,400 series) for eight minutes, 240 samples each. Queries come on top."""

BASE_BYTES = 71_000_000
"""Resident memory of that Prometheus without targets."""

DISTRIBUTION_POINTS = 5
"""Custom metrics of a distribution for each combination of tags: count, sum, minimum, maximum, average
(https://docs.datadoghq.com/account_management/billing/custom_metrics/)."""
PERCENTILE_POINTS = 5
"""Further ones where percentiles are kept: p50, p75, p90, p95, p99."""

_HTTP = (metrics.HTTP_SERVER_DURATION, metrics.HTTP_SERVER_ACTIVE)
_RPC = (metrics.RPC_SERVER_DURATION,)
_WITHOUT_REQUESTS = frozenset({"celery", "batch"})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What neither the contract nor the catalogue says."""

    scrape_interval: timedelta = timedelta(seconds=15)
    """Between two scrapes, and between two evaluations of rules: what the stack configures."""
    statuses: int = 2
    """Status codes that a route, or a remote procedure, ends with: success, and one way to fail."""
    routes: int = 20
    """Routes of a service that has neither `routes` nor `openapi`."""
    methods: int = 2
    """Methods that a service is asked with: they matter for the gauge of active requests alone."""
    values: int = 10
    """Values of each label of a service's own metrics, whose sets nobody declares."""
    percentiles: bool = True
    """Whether Datadog keeps percentiles of distributions: dashboards and monitors ask for them."""
    watches_itself: bool = True
    """Whether Prometheus scrapes itself too: the stack's does."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one service costs, or all together."""

    name: str
    pods: int
    scraped: int
    """Series on the pages of all pods: samples of a scrape of each."""
    recorded: int
    """Series that rules make."""
    samples: float
    """Per second, appended to Prometheus."""
    datadog: int
    """Custom metrics of Datadog, when all is sent there."""

    @property
    def series(self) -> int:
        """All series in Prometheus, its own on each target included."""
        return self.scraped + self.pods * TARGET_SERIES + self.recorded

    @property
    def memory(self) -> int:
        """Bytes of Prometheus' memory for these series."""
        return self.series * BYTES_PER_SERIES


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a catalogue costs in one environment."""

    services: tuple[Cost, ...]
    others: Cost
    """Prometheus itself, and rules that are no service's."""
    assumptions: Assumptions = field(default_factory=Assumptions)

    @property
    def total(self) -> Cost:
        """Everything together."""
        every = (*self.services, self.others)
        return Cost(
            "total",
            sum(each.pods for each in every),
            sum(each.scraped for each in every),
            sum(each.recorded for each in every),
            sum(each.samples for each in every),
            sum(each.datadog for each in every),
        )

    @property
    def memory(self) -> int:
        """Bytes that Prometheus needs while nothing changes."""
        return BASE_BYTES + self.total.memory

    @property
    def rollout_memory(self) -> int:
        """Bytes that Prometheus needs after all pods were replaced: the old ones' series stay for up to three hours."""
        return self.memory + sum(each.memory for each in self.services)


def predict(catalogue: Catalogue, assumptions: Assumptions, pods: Mapping[str, int] | None = None) -> Prediction:
    """Return what *catalogue* costs.

    Args:
        catalogue: the services.
        assumptions: what it does not say.
        pods: service to its number of pods in this environment, where that is not `replicas`.
    """
    counts = pods or {}
    services = tuple(
        _of_service(each, counts.get(each.name, each.replicas), assumptions) for each in catalogue.services
    )
    calendars = {slo.calendar for service in catalogue.services for slo in service.slos if slo.calendar}
    groups = sum(1 + len(service.slos) for service in catalogue.services) + 1
    own = PROMETHEUS_SERIES + groups * GROUP_SERIES if assumptions.watches_itself else 0
    targets = 1 if assumptions.watches_itself else 0
    recorded = len(start_rules(calendars)) if calendars else 0
    rate = (own + targets * TARGET_SERIES + recorded) / assumptions.scrape_interval.total_seconds()
    return Prediction(services, Cost("prometheus", targets, own, recorded, rate, 0), assumptions)


def label_sets(metric: Metric, service: Service, assumptions: Assumptions) -> int:
    """Return how many combinations of label values one pod of *service* has of *metric*; 0 when it has none of it."""
    if metric in _HTTP or metric in _RPC:
        return _requests(metric, service, assumptions)
    if metric is metrics.LABEL_SETS:
        others = (each for each in metrics.ALL if each is not metrics.LABEL_SETS)
        own = (each.stated() for each in service.metrics)
        return sum(label_sets(each, service, assumptions) > 1 for each in (*others, *own))
    if metric in {metrics.WORKER_BUSY, metrics.WORKER_CAPACITY}:
        return 1  # of either pool: threads are used, or requests limited, rarely both
    return math.prod(_values(label, metric, assumptions) for label in metric.labels)


def _requests(metric: Metric, service: Service, assumptions: Assumptions) -> int:
    is_rpc = service.framework == "grpc"
    if service.framework in _WITHOUT_REQUESTS or (metric in _RPC) != is_rpc:
        return 0
    if metric is metrics.HTTP_SERVER_ACTIVE:
        return assumptions.methods
    return (service.routes or assumptions.routes) * assumptions.statuses + 1  # and what no route matches


def _values(label: l_.Label, metric: Metric, assumptions: Assumptions) -> int:
    if label is l_.CONTRACT_VERSION:
        return 1
    return len(label.values) or (1 if metric in metrics.ALL else assumptions.values)


def series_each(metric: Metric) -> int:
    """Return how many series a combination of label values has.

    >>> series_each(metrics.WORKERS), series_each(metrics.HTTP_SERVER_DURATION)
    (1, 17)
    """
    return len(metric.buckets) + 3 if metric.kind is Kind.HISTOGRAM else 1  # +Inf, sum and count


def _of_service(service: Service, pods: int, assumptions: Assumptions) -> Cost:
    every = known_metrics(service.metrics)
    sets = {metric: label_sets(metric, service, assumptions) for metric in every.values()}
    scraped = pods * sum(count * series_each(metric) for metric, count in sets.items())
    recorded = sum(len(recording_rules(service, slo, assumptions.scrape_interval)) for slo in service.slos)
    appended = (scraped + pods * TARGET_SERIES + recorded) / assumptions.scrape_interval.total_seconds()
    datadog = pods * sum(count * _points(metric, assumptions) for metric, count in sets.items())
    return Cost(service.name, pods, scraped, recorded, appended, datadog)


def _points(metric: Metric, assumptions: Assumptions) -> int:
    if metric.kind is not Kind.HISTOGRAM:
        return 1
    return DISTRIBUTION_POINTS + (PERCENTILE_POINTS if assumptions.percentiles else 0)
