"""The proof of each alert: a promtool unit test that it fires in time, stays silent just below, and resets.

`timeline` writes traffic as promtool's input series, `burn` the tests of burn-rate alerts by the closed
formula of their detection time, `presence` those of every other alert. Pages and tickets are proved in files
of their own, because promtool evaluates a whole file at one pace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.proof import burn, presence
from quarterdeck_dashboards.rulefile import render
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.proof.timeline import Test

PACE = {Severity.PAGE: 1, Severity.TICKET: 5}
"""Minutes between evaluations: a ticket looks back over days, and its proof costs the square of their number."""


def of_service(settings: AlertSettings, service: Service, rule_file: str) -> dict[Severity, str]:
    """Return the promtool test files of *service*'s alerts; *rule_file* is relative to them."""
    files = {}
    for severity, pace in PACE.items():
        burns = [test for slo in service.slos for test in burn.tests(settings, service, slo, severity, pace)]
        others = presence.of_service(settings, service) if severity is Severity.PAGE else []
        if burns or others:
            files[severity] = _render(rule_file, [*others, *burns], pace)
    return files


def of_monitoring(settings: AlertSettings, rule_file: str) -> str:
    """Return the promtool test file of the alerts on Prometheus itself."""
    return _render(rule_file, presence.of_monitoring(settings), PACE[Severity.PAGE])


def _render(rule_file: str, tests: list[Test], pace: int) -> str:
    return render(
        {
            "rule_files": [rule_file],
            "evaluation_interval": f"{pace}m",
            "tests": [test.to_dict() for test in tests],
        }
    )
