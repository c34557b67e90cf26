"""The PromQL that runbook pages advise to look at, built from the contract and checked against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import labels
from quarterdeck_contract.metrics import (
    BUILD_INFO,
    EVENT_LOOP_CPU_TIME,
    EVENT_LOOP_STALL,
    FAILURES,
    HTTP_SERVER_DURATION,
    LABEL_SETS,
    LISTEN_QUEUE_LENGTH,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    WORKER_BUSY,
    WORKERS,
)
from quarterdeck_contract.naming import prometheus_name, series_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_dashboards.catalogue import Catalogue

PLACEHOLDER = "SERVICE"
"""Stands for the service's name in a page's queries."""

_COUNT = series_names(HTTP_SERVER_DURATION)[2]
_SELECTOR = f'{{{labels.SERVICE.prometheus}="{PLACEHOLDER}"}}'
_BAD = f'{{{labels.SERVICE.prometheus}="{PLACEHOLDER}",{labels.HTTP_STATUS_CODE.prometheus}=~"5.."}}'


@dataclass(frozen=True, slots=True)
class Query:
    """Something to ask Prometheus."""

    question: str
    """What it answers, as a question."""
    promql: str
    """With PLACEHOLDER for the service."""

    def of(self, service: str) -> str:
        """Return the query for *service*."""
        return self.promql.replace(PLACEHOLDER, service.replace("\\", "\\\\").replace('"', '\\"'))


ERRORS_BY_VERSION = Query(
    "Is one version the cause?", f"sum by ({labels.VERSION.prometheus}) (rate({_COUNT}{_BAD}[5m]))"
)
ERRORS_BY_ROUTE = Query(
    "Is one route the cause?", f"sum by ({labels.HTTP_ROUTE.prometheus}) (rate({_COUNT}{_BAD}[5m]))"
)
TRAFFIC_BY_VERSION = Query(
    "Is there more traffic than before?", f"sum by ({labels.VERSION.prometheus}) (rate({_COUNT}{_SELECTOR}[5m]))"
)
SCRAPED = Query("Which pods answer Prometheus?", f"up{_SELECTOR}")
SPEAKING = Query("Which pods speak the contract?", f"{prometheus_name(BUILD_INFO)}{_SELECTOR}")

_LOOPS = f"sum by ({labels.POD.prometheus}) (rate({prometheus_name(EVENT_LOOP_CPU_TIME)}{_SELECTOR}[5m]))"
BUSY = Query(
    "Which pods have no worker to spare?",
    f"sum by ({labels.POD.prometheus}, {labels.POOL.prometheus}) ({prometheus_name(WORKER_BUSY)}{_SELECTOR})",
)
LOOPS_BUSY = Query(
    "How busy are the event loops of each pod? At 1 they can do no more.",
    f"{_LOOPS} / sum by ({labels.POD.prometheus}) ({prometheus_name(WORKERS)}{_SELECTOR})",
)
STALLED = Query("Which loops do not answer, and for how long?", f"{prometheus_name(EVENT_LOOP_STALL)}{_SELECTOR} > 0")
QUEUED = Query("How many connections wait?", f"{prometheus_name(LISTEN_QUEUE_LENGTH)}{_SELECTOR}")
OPEN_FILES = Query("How many files does each pod have open?", f"{prometheus_name(PROCESS_OPEN_FILES)}{_SELECTOR}")
MEMORY = Query("How much memory do the workers hold?", f"{prometheus_name(PROCESS_MEMORY_USAGE)}{_SELECTOR}")
SETS = Query(
    "Which metrics have most label sets?",
    f"topk(5, max by ({labels.METRIC.prometheus}) ({prometheus_name(LABEL_SETS)}{_SELECTOR}))",
)
FAILED = Query(
    "What has failed, and how often in the last hour?",
    f"sum by ({labels.FAILED_COMPONENT.prometheus}) (increase({prometheus_name(FAILURES)}{_SELECTOR}[1h])) > 0",
)

EVERY = (
    ERRORS_BY_VERSION,
    ERRORS_BY_ROUTE,
    TRAFFIC_BY_VERSION,
    SCRAPED,
    SPEAKING,
    BUSY,
    LOOPS_BUSY,
    STALLED,
    QUEUED,
    OPEN_FILES,
    MEMORY,
    SETS,
    FAILED,
)
"""All of them."""


def examples(catalogue: Catalogue) -> Mapping[str, str]:
    """Return each query with its question, as asked for a service `checkout`, whatever the *catalogue* has.

    Registered as an entry point in the group `quarterdeck.queries`, for `quarterdeck contract check`.
    """
    del catalogue
    return {query.question: query.of("checkout") for query in EVERY}
