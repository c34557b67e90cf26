"""The first page of whoever is woken: what fires, whose budget goes, what changed, which runbook."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.alerts import RUNBOOKS
from quarterdeck_dashboards.dashboards import common, fleet, kubernetes, promises, runtime, slo_report
from quarterdeck_dashboards.dashboards.description import Dashboard, Draw, Link, Panel, Row, Unit
from quarterdeck_dashboards.dashboards.measures import Measure
from quarterdeck_dashboards.promql import Selector, equals, max_by
from quarterdeck_dashboards.series import only
from quarterdeck_dashboards.uid import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue

_ALL = (common.IN_CLUSTER,)
_RECENT = timedelta(hours=1)
"""What counts as just changed: most faults follow a change by less."""


def of(catalogue: Catalogue) -> tuple[Dashboard, ...]:
    """Return the one dashboard."""
    promised = promises.are_made(catalogue)
    others = (
        ("Fleet", fleet.UID),
        ("Kubernetes", kubernetes.UID),
        *((("SLO report", slo_report.UID),) if promised else ()),
        ("Python runtime", runtime.UID),
    )
    budgets = (Row("Whose budget", (promises.worst(*_ALL), promises.fastest(*_ALL, width=12))),) if promised else ()
    return (
        Dashboard(
            common.HOME_UID,
            "On call",
            "Start here: what is firing, whose budget goes, what changed in the last hour, and which runbook to open.",
            (
                Row("What is firing", (common.firing(*_ALL, width=16), _runbooks(catalogue))),
                *budgets,
                Row("What changed in the last hour", tuple(_changed())),
            ),
            tags=(TAG, "on-call"),
            variables=(common.CLUSTER,),
            links=tuple(Link(title, dashboard=uid) for title, uid in others),
            span="3h",
        ),
    )


def _runbooks(catalogue: Catalogue) -> Panel:
    pages = sorted(set(RUNBOOKS.values()))
    return Panel(
        "Runbooks",
        "An alert's own runbook_url leads to its page. All of them:",
        Draw.TEXT,
        links=tuple(
            Link(page.replace("-", " ").capitalize(), f"{catalogue.runbook_base_url}{page}/") for page in pages
        ),
    )


def _words(page: str) -> str:
    return page.replace("-", " ").capitalize()


def _changed() -> Iterator[Panel]:
    info = Selector(only(metrics.BUILD_INFO)).where(*_ALL)
    which = [l_.SERVICE, l_.VERSION]
    yield Panel(
        "New versions",
        "Versions that did not run an hour ago. Was it well before? Roll back first, and understand later.",
        Draw.TABLE,
        Unit.COUNT,
        (Measure(max_by(which, info.now).unless(max_by(which, info.ago(_RECENT)))).query("new"),),
        quiet=True,
    )
    yield Panel(
        "Rollouts now",
        "Canaries that run at this moment.",
        Draw.TABLE,
        Unit.COUNT,
        (Measure(max_by(which, info.where(equals(l_.TRACK, "canary")).now)).query("canary"),),
        quiet=True,
    )
    yield Panel(
        "Requests",
        "Per second and service. All fell at once: look before them, at what sends requests in.",
        Draw.LINES,
        Unit.PER_SECOND,
        (fleet.requests().query("{service}"),),
    )
