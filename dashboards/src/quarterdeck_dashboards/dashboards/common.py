"""What dashboards share: where they look, what they mark, how bad which number is, and panels of any service."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.alerts import WATCHDOG
from quarterdeck_dashboards.dashboards import measures
from quarterdeck_dashboards.dashboards.description import (
    ROLLOUT,
    Annotation,
    Draw,
    Level,
    Link,
    Panel,
    Threshold,
    Unit,
    Variable,
)
from quarterdeck_dashboards.promql import Selector, equals, lacks, matches, max_by
from quarterdeck_dashboards.series import ALERTNAME, ALERTSTATE, SYNTHETIC, by_name, only
from quarterdeck_dashboards.slo import sli
from quarterdeck_dashboards.slo.objective import error_budget, factor, threshold
from quarterdeck_dashboards.slo.windows import rows_for
from quarterdeck_dashboards.uid import uid_of

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue, Service, Slo
    from quarterdeck_dashboards.promql import Matcher

CLUSTER = Variable(l_.CLUSTER, Selector(only(metrics.BUILD_INFO)), "Cluster")
SERVICE = Variable(l_.SERVICE, Selector(only(metrics.BUILD_INFO)), "Service")
IN_CLUSTER = matches(l_.CLUSTER, f"${CLUSTER.name}")
"""The condition on everything a dashboard shows."""

ALERTS = by_name(SYNTHETIC)["ALERTS"]
FIRING = equals(ALERTSTATE, "firing")

LONGEST_TITLE = 40
"""Characters of a panel's title that are read at a quarter of a screen."""

_NEW_FOR = timedelta(minutes=5)
"""For how long a version counts as new: marks are asked for once a minute."""

FULL = (Threshold(0.8, Level.WARNING), Threshold(0.95, Level.BAD))
"""Of a share of something that ends: time to look, and hardly any left."""


BLOCKED = (Threshold(0.1, Level.WARNING), Threshold(1, Level.BAD))
"""Of an event loop's delay, in seconds: noticed, and felt by every request."""

HOME_UID = uid_of("on-call")
"""The dashboard of whoever is on call."""
HOME = (Link("On call", dashboard=HOME_UID),)


def of_service(service: Service) -> tuple[Matcher, ...]:
    """Return the conditions that pick out *service* in the chosen cluster."""
    return (IN_CLUSTER, *sli.of_service(service))


def burns(slo: Slo) -> tuple[Threshold, ...]:
    """Return at which share of bad events *slo*'s budget shrinks, and at which somebody is woken."""
    fastest = rows_for(slo.window)[0]
    return (
        Threshold(error_budget(slo.objective), Level.WARNING),
        Threshold(threshold(fastest, slo.objective, slo.window), Level.BAD),
    )


def burn_rates(slo: Slo) -> tuple[Threshold, ...]:
    """Return the burn rates at which *slo*'s budget will not last, and at which somebody is woken."""
    return Threshold(1, Level.WARNING), Threshold(factor(rows_for(slo.window)[0], slo.window), Level.BAD)


BUDGET_LEFT = (Threshold(0, Level.WARNING), Threshold(0.25, Level.GOOD))
"""Of what is left of a budget, BAD below: spent, and a quarter left."""


def marks(service: Service) -> tuple[Annotation, ...]:
    """Return what is marked on the pictures of *service*: new versions, rollouts, alerts."""
    info = Selector(only(metrics.BUILD_INFO)).where(*of_service(service))
    versions = [l_.CLUSTER, l_.VERSION]
    return (
        Annotation(
            "New versions",
            max_by(versions, info.now).unless(max_by(versions, info.ago(_NEW_FOR))),
            f"{service.name} {{version}} appeared",
            datadog=f"tags:(deployment AND service:{service.name})",
        ),
        Annotation(
            "Rollouts",
            max_by(versions, info.where(equals(l_.TRACK, "canary")).now),
            f"{service.name} {{version}} is a canary",
            Level.WARNING,
            told=(ROLLOUT, f"service:{service.name}"),
        ),
        Annotation(
            "Alerts",
            Selector(ALERTS).where(FIRING, *of_service(service)).now,
            "{alertname} ({severity})",
            Level.BAD,
            datadog=f"source:alert tags:(service:{service.name})",
        ),
    )


def links(catalogue: Catalogue, service: Service) -> tuple[Link, ...]:
    """Return where to go on from *service*: the catalogue's links, its runbooks, the other dashboards."""
    own = service.runbooks | service.links
    return (
        Link("Runbooks", catalogue.runbook_base_url),
        *(Link(title, url) for title, url in sorted(own.items())),
        Link("Python runtime", dashboard=uid_of("python")),
        *HOME,
    )


def firing(*conditions: Matcher, service: str = "", width: int = 8) -> Panel:
    """Return the list of what is firing."""
    told = Selector(ALERTS).where(FIRING, lacks(ALERTNAME, WATCHDOG), *conditions).now
    query = measures.Measure(told).query("{alertname}", instant=True)
    return Panel(
        "Firing alerts",
        "What is firing now, but the watchdog that always does. Each alert's runbook_url says what to do.",
        Draw.ALERTS,
        queries=(query,),
        width=width,
        service=service,
        quiet=True,
    )


def processes(*conditions: Matcher) -> Panel:
    """Return how many workers each pod has."""
    return Panel(
        "Workers by pod",
        "Processes behind each page. A line that dips and comes back is a worker that was killed: see memory.",
        Draw.LINES,
        Unit.COUNT,
        (measures.total(metrics.WORKERS, *conditions, by=[l_.POD]).query("{pod}"),),
    )


def threads(*conditions: Matcher) -> Panel:
    """Return how many threads each pod has."""
    return Panel(
        "Threads by pod",
        "All of them, those that Python does not know included. A line that only climbs: threads that never end.",
        Draw.LINES,
        Unit.COUNT,
        (measures.total(metrics.PROCESS_THREADS, *conditions, by=[l_.POD]).query("{pod}"),),
    )


def versions(*conditions: Matcher) -> Panel:
    """Return which versions run."""
    return Panel(
        "Workers by version",
        "A rollout moves them from one colour to the next. Two colours for long: it has stopped half-way.",
        Draw.BARS,
        Unit.COUNT,
        (measures.total(metrics.WORKERS, *conditions, by=[l_.VERSION]).query("{version}"),),
    )


def cpu(*conditions: Matcher) -> Panel:
    """Return the processor time that pods use."""
    return Panel(
        "Processor time by pod",
        "Cores in use. Level with the pod's limit, requests wait for a processor: scale out.",
        Draw.LINES,
        Unit.CORES,
        (measures.rate(metrics.PROCESS_CPU_TIME, *conditions, by=[l_.POD]).query("{pod}"),),
    )


def memory(*conditions: Matcher) -> Panel:
    """Return the memory that pods use."""
    return Panel(
        "Memory by pod",
        "Resident memory of all workers. A line that only climbs is a leak: it ends when the kernel kills the pod.",
        Draw.LINES,
        Unit.BYTES,
        (measures.total(metrics.PROCESS_MEMORY_USAGE, *conditions, by=[l_.POD]).query("{pod}"),),
    )


def open_files(*conditions: Matcher) -> Panel:
    """Return how near workers are to their limit of open files."""
    return Panel(
        "Open files, share of the limit",
        "In each pod's worst worker. At 100 % no connection is accepted any more: look for connections that are never "
        "closed, and restart the pod meanwhile.",
        Draw.LINES,
        Unit.SHARE,
        (measures.greatest(metrics.PROCESS_OPEN_FILES_UTILIZATION, *conditions, by=[l_.POD]).query("{pod}"),),
        FULL,
        maximum=1,
    )
