"""Who has the numbers that a canary is judged by: a Prometheus, what speaks as one (Thanos, Mimir), or Datadog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.ports import Answer, Clock, Prometheus

DATADOG = "datadog"
_EXPORT = 60.0
"""Seconds between two exports of OpenTelemetry's SDK by default: how often Datadog hears of a pod."""


def provider_of(environment: Environment, service: Service, environ: Mapping[str, str], clock: Clock) -> Prometheus:
    """Return whom the catalogue names for *service*. Asks nothing.

    Whose address or keys are wrong answers nothing, and says so when it is asked: to put everything back needs nobody.
    """
    make = _datadog if service.rollout.provider == DATADOG else _prometheus
    try:
        return make(environment, service, environ, clock)
    except UsageError as error:
        return Unreachable(error)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody, for a reason; see `ports.Prometheus`."""

    reason: UsageError

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Say why there is no answer."""
        del promql, at
        raise self.reason


def interval_of(environment: Environment, service: Service) -> float:
    """Return the seconds after which there is something new to see."""
    if service.rollout.provider == DATADOG:
        return _EXPORT
    return parse_duration(environment.facts.scrape_interval).total_seconds()


def _prometheus(environment: Environment, service: Service, environ: Mapping[str, str], clock: Clock) -> Prometheus:
    from quarterdeck_scripts.adapters.prometheus import connect  # noqa: PLC0415 -- the network, when it is needed

    del service, clock
    return connect(environment.facts.prometheus_url, environ)


def _datadog(environment: Environment, service: Service, environ: Mapping[str, str], clock: Clock) -> Prometheus:
    from quarterdeck_scripts.adapters.json_api import JsonApi, checked_url  # noqa: PLC0415 -- the network
    from quarterdeck_scripts.datadog.connection import DEFAULT_SITE, SITE, headers_of, url_of  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.datadog.metrics import DatadogMetrics, PodsOf  # noqa: PLC0415 -- likewise

    url = checked_url(url_of(environ.get(SITE) or DEFAULT_SITE))
    api = JsonApi(url, headers_of(environ), called="Datadog", clock=clock, timeout=10.0, within=20.0)
    return DatadogMetrics(
        api,
        environment=environment.name,
        pods=PodsOf(environment.cluster, service.namespace, service.name),
        now=lambda: clock.now() + api.ahead,
        routes=[slo.route for slo in service.slos if slo.route],
    )
