"""Every PromQL text that a rollout sends, built from the contract's metrics and labels."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels
from quarterdeck_contract.metrics import BUILD_INFO, LOG_RECORDS
from quarterdeck_contract.naming import prometheus_name, series_names
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.rollout.judge import guards

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.slo.sli import Served

BUCKET_BOUND = "le"
"""Prometheus' own label of a histogram's series: the bucket's upper bound."""

CLOCK = "time()"
"""Prometheus' own time: all other queries are asked for that moment, whatever this machine's clock says."""


def requests(namespace: str, service: str, thresholds: Iterable[float], window: float, how: Served = sli.HTTP) -> str:
    """Return the query for raw request counters: every pod's histogram buckets +Inf and *thresholds*.

    The bucket +Inf counts all requests; one selector for all makes them samples of the same scrapes.

    Args:
        namespace: the service's.
        service: its name in the catalogue.
        thresholds: seconds, bucket bounds.
        window: seconds of samples to return.
        how: how its requests are measured.
    """
    (bucket, _, _) = series_names(how.duration)
    return _select(bucket, namespace, service, window, of_buckets(math.inf, *thresholds))


def durations(namespace: str, service: str, window: float, how: Served = sli.HTTP) -> str:
    """Return the query for how many successful requests of the stable version were within each bucket's bound.

    Args:
        namespace: the service's.
        service: its name in the catalogue.
        window: seconds that are looked back.
        how: how its requests are measured.
    """
    (bucket, _, _) = series_names(how.duration)
    matchers = (
        f"{labels.NAMESPACE.prometheus}={_quote(namespace)}",
        f"{labels.SERVICE.prometheus}={_quote(service)}",
        f"{labels.TRACK.prometheus}={_quote(kubernetes.TRACK_STABLE)}",
        f"{how.status.prometheus}!~{_quote(how.errors)}",
    )
    return f"sum by ({BUCKET_BOUND}) (increase({bucket}{{{','.join(matchers)}}}[{math.ceil(window)}s]))"


def gauge(metric: Metric, namespace: str, service: str, window: float) -> str:
    """Return the query for what each pod said of *metric* within *window* seconds: how full something is."""
    return _select(prometheus_name(metric), namespace, service, window)


def logged(namespace: str, service: str, window: float) -> str:
    """Return the query for raw counters of each pod's logged errors, within *window* seconds."""
    errors = f"{labels.LOG_SEVERITY.prometheus}=~{_quote('|'.join(labels.LOG_ERRORS))}"
    return _select(prometheus_name(LOG_RECORDS), namespace, service, window, errors)


def scrapes(namespace: str, service: str, window: float) -> str:
    """Return the query for the series that every scrape of a pod brings, traffic or not: when was it scraped?"""
    return _select(prometheus_name(BUILD_INFO), namespace, service, window)


def served(namespace: str, service: str, version: str, how: Served = sli.HTTP) -> str:
    """Return the selector of all requests that pods of *version* served, whose exemplars name traces."""
    (bucket, _, _) = series_names(how.duration)
    version_is = f"{labels.VERSION.prometheus}={_quote(version)}"
    return _select(bucket, namespace, service, None, version_is)


def examples(catalogue: Catalogue) -> Mapping[str, str]:
    """Return each kind of query with its name, as sent for a service `checkout` with a latency SLO.

    They are the same for every service, whatever the *catalogue* has.

    Registered as an entry point in the group `quarterdeck.queries`, for `quarterdeck contract check`.
    """
    del catalogue
    return {
        "rollout-requests": requests("shop", "checkout", (0.25,), 60),
        "rollout-calls": requests("shop", "checkout", (0.25,), 60, sli.RPC),
        "rollout-durations": durations("shop", "checkout", 600),
        "rollout-scrapes": scrapes("shop", "checkout", 60),
        **{f"rollout-{metric.name}": gauge(metric, "shop", "checkout", 60) for metric in guards.METRICS},
        "rollout-logged": logged("shop", "checkout", 60),
        "rollout-served": served("shop", "checkout", "v2"),
    }


def _select(metric: str, namespace: str, service: str, window: float | None, *matchers: str) -> str:
    tracks = f"{kubernetes.TRACK_STABLE}|{kubernetes.TRACK_CANARY}"
    selectors = (
        f"{labels.NAMESPACE.prometheus}={_quote(namespace)}",
        f"{labels.SERVICE.prometheus}={_quote(service)}",
        f"{labels.TRACK.prometheus}=~{_quote(tracks)}",
        *matchers,
    )
    return f"{metric}{{{','.join(selectors)}}}" + ("" if window is None else f"[{math.ceil(window)}s]")


def of_buckets(*bounds: float) -> str:
    """Return the condition on a histogram's series that they are of the buckets with these *bounds*."""
    return f"{BUCKET_BOUND}=~{_quote('|'.join(re.escape(text) for bound in bounds for text in _spellings(bound)))}"


def _spellings(bound: float) -> tuple[str, ...]:
    """Return how a bucket's bound may be written: Prometheus 3 writes 1.0, older ones what the service said."""
    if math.isinf(bound):
        return ("+Inf",)
    return (str(float(bound)), f"{bound:g}") if float(bound).is_integer() else (str(bound),)


def _quote(value: str) -> str:
    return json.dumps(value)
