"""Proofs of all alerts but those of error budgets: each fires after its patience, not before nor just below; resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import BUILD_INFO
from quarterdeck_dashboards.alerts import DOWN, GROWING, SEVERITY, SILENT, cluster_alerts, groups, service_alerts
from quarterdeck_dashboards.alerts.service import queues
from quarterdeck_dashboards.proof import cluster_evidence, evidence
from quarterdeck_dashboards.proof.timeline import CLUSTER, Check, Phase, Test, counter, minutes, selector
from quarterdeck_dashboards.series import UP, only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.proof.evidence import Evidence, Signal
    from quarterdeck_dashboards.rulefile import AlertingRule

BREAKS = 10
"""Minute at which things go wrong."""
AFTER = 5
"""Minutes that samples go on for after the last check."""


def of_service(settings: AlertSettings, service: Service) -> list[Test]:
    """Return the proofs of the alerts *service* has whatever it promises."""
    rules = service_alerts(settings, service)
    named = {rule.alert: rule for rule in rules}
    lengths = iter(queues(service))
    tests = [_down(named[DOWN], service), _silent(named[SILENT], service)]
    for rule in rules:
        if rule.alert in {DOWN, SILENT}:
            continue
        shown = (
            evidence.queue_of_service(next(lengths).name) if rule.alert == GROWING else evidence.OF_SERVICE[rule.alert]
        )
        tests += _proofs(rule, shown, _target(service, 0), shown.labels.get(l_.POD.prometheus))
    return tests


def of_cluster(settings: AlertSettings, file: str) -> list[Test]:
    """Return the proofs of the cluster's alerts in the rule file *file*."""
    return [
        test
        for group in groups()
        if group.file == file
        for rule in cluster_alerts(settings, group)
        for test in _proofs(
            rule,
            cluster_evidence.of_cluster(rule.alert, rule.labels[SEVERITY], group.name),
            {l_.CLUSTER.prometheus: CLUSTER},
        )
    ]


def _proofs(rule: AlertingRule, shown: Evidence, target: Mapping[str, str], pod: str | None = None) -> Iterator[Test]:
    labels = {**shown.labels, l_.CLUSTER.prometheus: CLUSTER} if shown.signals else {}
    target = {**target, l_.POD.prometheus: pod} if pod else target
    fires = shown.breaks + shown.takes + _patience(rule)
    mended = fires + 1
    reset = mended + shown.holds + 1

    def test(claim: str, values: Mapping[str, str], *checks: tuple[int, bool]) -> Test:
        return Test(
            f"{rule.alert} ({rule.labels[SEVERITY]}) {claim}",
            values,
            tuple(Check(minute, rule, labels, fires) for minute, fires in checks),
        )

    if not shown.signals:
        yield test("always fires", {}, (fires - 1, False), (fires, True), (10 * fires, True))
        return
    yield test(
        f"fires after {fires - shown.breaks} min and resets",
        {
            _series(signal, target): _samples(
                signal,
                (shown.breaks, signal.ok),
                (mended - shown.breaks, signal.bad),
                (reset - mended + AFTER, signal.ok),
            )
            for signal in shown.signals
        },
        (fires - 1, False),
        (fires, True),
        (reset, False),
    )
    if shown.has_edge:
        yield test(
            "is silent just below",
            {
                _series(signal, target): _samples(
                    signal, (shown.breaks, signal.ok if shown.comes_up else _edge(signal)), (2 * fires, _edge(signal))
                )
                for signal in shown.signals
            },
            (fires, False),
            (shown.breaks + 2 * fires - 1, False),
        )


def _edge(signal: Signal) -> float:
    return signal.ok if signal.below is None else signal.below


def _series(signal: Signal, target: Mapping[str, str]) -> str:
    return selector(signal.name, {**target, **signal.labels})


def _samples(signal: Signal, *stretches: tuple[int, float]) -> str:
    """Return samples: a value for each of so many minutes, or a growth in each."""
    if not signal.is_counter:
        return " ".join(f"{value:.10g}x{length - 1}" for length, value in stretches)
    (first, growth), *others = stretches
    return counter([Phase(first - 1, growth), *(Phase(length, each) for length, each in others)])


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
