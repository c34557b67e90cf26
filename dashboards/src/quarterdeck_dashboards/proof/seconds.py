"""Proofs of objectives about time, whose events are seconds: silent while all is well, fired by a stop, reset."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import SEVERITY, burn_alerts, rows_by_severity
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.proof.timeline import CLUSTER, Check, Phase, Test, counter, minutes, selector
from quarterdeck_dashboards.proof.traffic import of_target
from quarterdeck_dashboards.series import only
from quarterdeck_dashboards.slo.objective import threshold
from quarterdeck_dashboards.slo.sli import metric_of
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.slo.windows import Severity

SLACK = 2
"""Evaluations that sampling and evaluating at intervals may add or take."""
KINDS = frozenset({SloKind.FRESHNESS, SloKind.THROUGHPUT})
"""Kinds whose events are seconds."""


def tests(settings: AlertSettings, service: Service, slo: Slo, severity: Severity, pace: int) -> Iterator[Test]:
    """Yield the test of *slo*'s alert of *severity*, if there is one; *pace* is minutes between two evaluations.

    All is well for as long as the alert looks back. Then nothing more is done, and every second is bad once the
    threshold has passed, or the rate has fallen; then work goes on.
    """
    rows = rows_by_severity(service, slo).get(severity, ())
    for rule in burn_alerts(settings, service, slo):
        if rule.labels[SEVERITY] != severity.value:
            continue
        stops = minutes(max(row.long for row in rows) + RATE_WINDOW)
        turns_bad = stops + minutes((slo.threshold or timedelta()) if slo.kind is SloKind.FRESHNESS else RATE_WINDOW)
        takes = min(row.long * threshold(row, slo.objective, slo.window) for row in rows)
        goes_on = turns_bad + minutes(takes) + SLACK * pace
        reset = goes_on + minutes(max(row.short for row in rows) + RATE_WINDOW) + SLACK * pace
        labels = {l_.CLUSTER.prometheus: CLUSTER}
        series = selector(only(metric_of(service, slo)).name, of_target(service))
        yield Test(
            f"{severity.value} for {slo.name} is silent while all is well, fires when nothing is done, and resets",
            {series: _samples(slo, stops, goes_on, reset)},
            (
                Check(stops, rule, labels, fires=False),
                Check(goes_on, rule, labels, fires=True),
                Check(reset, rule, labels, fires=False),
            ),
        )


def _samples(slo: Slo, stops: int, goes_on: int, reset: int) -> str:
    """Return the metric's samples, one a minute: work is done until *stops*, and again from *goes_on*."""
    if slo.kind is SloKind.THROUGHPUT:
        growth = math.ceil((slo.minimum or 0) * 60) + 60
        return counter([Phase(stops, growth), Phase(goes_on - stops, 0), Phase(reset - goes_on, growth)])
    # A Unix time; promtool's clock begins at 0.
    return f"0+60x{stops} {60 * stops}+0x{goes_on - stops - 1} {60 * (goes_on + 1)}+60x{reset - goes_on - 1}"
