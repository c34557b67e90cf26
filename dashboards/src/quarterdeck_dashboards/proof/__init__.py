"""The proof of each alert: a promtool unit test that it fires in time, stays silent just below, and resets.

`timeline` writes traffic as promtool's input series, `burn` the tests of burn-rate alerts by the closed
formula of their detection time from `traffic`, `seconds` those of promises about time, `presence` those of every
other alert by the `evidence` for each, `rollout` those of silence. Pages and tickets are proved in files
of their own, because promtool evaluates a whole file at one pace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.proof import burn, presence, rollout, seconds, traffic
from quarterdeck_dashboards.rulefile import render
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.proof.timeline import Test

PACE = {Severity.PAGE: 1, Severity.TICKET: 5}
"""Minutes between evaluations: a ticket looks back over days, and its proof costs the square of their number."""
QUIET = "quiet"
"""Prefix of the file of proofs at so little traffic that numbers of events decide."""


def of_service(settings: AlertSettings, service: Service, rule_file: str) -> dict[str, str]:
    """Return the promtool test files of *service*'s alerts, by prefix; *rule_file* is relative to them."""
    files = {}
    for severity, pace in PACE.items():
        burns = list(_burns(settings, service, severity, pace))
        others = (
            [*presence.of_service(settings, service), rollout.of_service(service)] if severity is Severity.PAGE else []
        )
        if burns or others:
            files[severity.value] = _render(rule_file, [*others, *burns], f"{pace}m")
    quiet = [
        test
        for slo in service.slos
        if slo.kind in traffic.COUNTED and traffic.can_be_made(slo) and slo.minimum_errors > 1
        for test in burn.quiet_tests(settings, service, slo)
    ]
    if quiet:
        files[QUIET] = _render(rule_file, quiet, format_duration(settings.scrape_interval))
    return files


def of_cluster(settings: AlertSettings, file: str, rule_file: str) -> str:
    """Return the promtool test file of the cluster's alerts in *file*, which is *rule_file* relative to it."""
    return _render(
        rule_file, [*presence.of_cluster(settings, file), *rollout.of_cluster(file)], f"{PACE[Severity.PAGE]}m"
    )


def _burns(settings: AlertSettings, service: Service, severity: Severity, pace: int) -> Iterator[Test]:
    for slo in service.slos:
        if slo.kind in seconds.KINDS:
            yield from seconds.tests(settings, service, slo, severity, pace)
        elif traffic.can_be_made(slo):
            yield from burn.tests(settings, service, slo, severity, pace)


def _render(rule_file: str, tests: list[Test], interval: str) -> str:
    return render(
        {
            "rule_files": [rule_file],
            "evaluation_interval": interval,
            "tests": [test.to_dict() for test in tests],
        }
    )
