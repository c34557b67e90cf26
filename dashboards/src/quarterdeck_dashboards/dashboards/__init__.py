"""Dashboards: what they show, stated once, and drawn for Grafana, for Datadog and as a page to look at.

`description` says what a dashboard is and `measures` what it measures; a module for each kind of dashboard; `grafana`
and `datadog` render, without a network; `preview` draws a page from what a Prometheus answers.

Does not belong here: sending anything to Grafana or Datadog, and asking a Prometheus (`adapters`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.dashboards.description import Dashboard


def of(catalogue: Catalogue) -> tuple[Dashboard, ...]:
    """Return every dashboard of *catalogue*, the first to be looked at first."""
    from quarterdeck_dashboards.dashboards import (  # noqa: PLC0415 -- every --help imports this package
        fleet,
        kubernetes,
        on_call,
        runtime,
        service,
        slo_report,
        worker,
    )

    kinds = (on_call, fleet, service, worker, kubernetes, runtime, slo_report)
    return tuple(dashboard for kind in kinds for dashboard in kind.of(catalogue))


def queries(catalogue: Catalogue) -> dict[str, str]:
    """Return the PromQL of every panel and mark, by `dashboard/panel/legend`."""
    found: dict[str, str] = {}
    for dashboard in of(catalogue):
        for row in dashboard.rows:
            for panel in row.panels:
                for query in panel.queries:
                    found[f"{dashboard.uid}/{row.title}/{panel.title}/{query.legend}"] = str(query.promql)
        for mark in dashboard.annotations:
            found[f"{dashboard.uid}/{mark.title}"] = str(mark.promql)
    return found
