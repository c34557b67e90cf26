"""Proofs of alerts that say that something is missing or broken: fires after its patience, not before, resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.metrics import BUILD_INFO
from quarterdeck_dashboards.alerts import DOWN, MONITORING, SILENT, monitoring_alerts, service_alerts
from quarterdeck_dashboards.proof.timeline import CLUSTER, Check, Test, minutes, selector
from quarterdeck_dashboards.series import UP, only
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.rulefile import AlertingRule

BREAKS = 10
"""Minute at which things go wrong."""


def of_service(settings: AlertSettings, service: Service) -> list[Test]:
    """Return the proofs of the alerts every service has."""
    rules = {rule.alert: rule for rule in service_alerts(settings, service)}
    return [_down(rules[DOWN], service), _silent(rules[SILENT], service)]


def _down(rule: AlertingRule, service: Service) -> Test:
    fires = BREAKS + _patience(rule)
    first, second = (selector(UP.name, _target(service, pod)) for pod in (0, 1))
    return Test(
        f"{DOWN} waits for the last pod, fires after {_patience(rule)} min and resets",
        {first: f"1x4 0x{fires - 5} 1x5", second: f"1x{BREAKS - 1} 0x{fires + 5 - BREAKS}"},
        (
            _check(rule, BREAKS - 1, fires=False),
            _check(rule, fires - 1, fires=False),
            _check(rule, fires, fires=True),
            _check(rule, fires + 1, fires=False),
        ),
    )


def _silent(rule: AlertingRule, service: Service) -> Test:
    fires = BREAKS + _patience(rule)
    series = selector(only(BUILD_INFO).name, _target(service, 0))
    return Test(
        f"{SILENT} fires after {_patience(rule)} min without telemetry and resets",
        {series: f"1x{BREAKS - 1} stale _x{fires - BREAKS} 1x5"},
        (
            _check(rule, fires - 1, fires=False, cluster=False),
            _check(rule, fires, fires=True, cluster=False),
            _check(rule, fires + 1, fires=False, cluster=False),
        ),
    )


def of_monitoring(settings: AlertSettings) -> list[Test]:
    """Return the proofs of the alerts on Prometheus itself."""
    return [_itself(rule, *_SYMPTOMS[rule.alert]) for rule in monitoring_alerts(settings)]


_SYMPTOMS = {
    "PrometheusConfigInvalid": ("prometheus_config_last_reload_successful", "1x{ok} 0x{bad} 1x{after}", False),
    "PrometheusRulesFailing": ("prometheus_rule_evaluation_failures_total", "0x{ok} 1+1x{bad} {end}x{after}", True),
    "PrometheusRulesLate": ("prometheus_rule_group_iterations_missed_total", "0x{ok} 1+1x{bad} {end}x{after}", True),
    "PrometheusWithoutAlertmanager": (
        "prometheus_notifications_alertmanagers_discovered",
        "1x{ok} 0x{bad} 1x{after}",
        False,
    ),
}
"""Alert to the series that shows the fault, its samples, and whether it is a counter whose growth is watched.
`ok`, `bad` and `after` are samples less one, as promtool counts them."""


def _itself(rule: AlertingRule, name: str, samples: str, is_growth: bool) -> Test:  # noqa: FBT001 -- a row of the table
    patience = _patience(rule)
    fires = BREAKS + patience
    forgotten = fires + (minutes(RATE_WINDOW) if is_growth else 0) + 1
    labels = {
        l_.CLUSTER.prometheus: CLUSTER,
        l_.NAMESPACE.prometheus: SYSTEM_NAMESPACE,
        l_.SERVICE.prometheus: MONITORING,
    }
    values = samples.format(ok=BREAKS - 1, bad=patience, after=forgotten - fires, end=patience + 1)
    return Test(
        f"{rule.alert} fires after {patience} min and resets",
        {selector(name, labels): values},
        (
            _check(rule, fires - 1, fires=False),
            _check(rule, fires, fires=True),
            _check(rule, forgotten, fires=False),
        ),
    )


def _patience(rule: AlertingRule) -> int:
    if rule.lasting is None:  # every alert here waits
        raise ValueError(rule.alert)
    return minutes(rule.lasting)


def _check(rule: AlertingRule, minute: int, *, fires: bool, cluster: bool = True) -> Check:
    return Check(minute, rule, {l_.CLUSTER.prometheus: CLUSTER} if cluster else {}, fires)


def _target(service: Service, pod: int) -> Mapping[str, str]:
    return {
        label.prometheus: value
        for label, value in (
            (l_.CLUSTER, CLUSTER),
            (l_.NAMESPACE, service.namespace),
            (l_.SERVICE, service.name),
            (l_.POD, f"{service.name}-{pod}"),
        )
    }
