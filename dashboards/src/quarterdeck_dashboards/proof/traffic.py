"""Traffic as an objective sees it: the series that a service would expose, for every kind that counts events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.promql import SELECTOR
from quarterdeck_dashboards.proof.timeline import CLUSTER, Phase, counter, selector
from quarterdeck_dashboards.series import LE, bucket_bound, buckets, count
from quarterdeck_dashboards.slo.sli import RPC, metric_of, served

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service, Slo

TRAFFIC = 6_000_000
"""Requests per minute, so many that every error ratio of interest is a whole number of them."""

COUNTED = frozenset({SloKind.AVAILABILITY, SloKind.LATENCY, SloKind.QUEUE_WAIT, SloKind.CUSTOM})
"""Kinds whose events are counted, and not seconds."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of traffic."""

    length: int
    """Minutes."""
    error_ratio: float = 0.0
    traffic: int = TRAFFIC
    resets: bool = False
    """Whether every counter begins anew with it, as when all pods are replaced."""
    lost: bool = False
    """Whether its scrapes fail."""

    @property
    def bad(self) -> int:
        """Bad requests per minute."""
        return round(self.error_ratio * self.traffic)


def series(service: Service, slo: Slo, spans: tuple[Span, ...], *, born: int = 0) -> dict[str, str]:
    """Return what a pod of *service* exposes, series to samples; those of failures exist from minute *born*."""
    good = counter([_phase(span, span.traffic - span.bad) for span in spans])
    bad = counter([_phase(span, span.bad) for span in spans], born=born)
    everything = counter([_phase(span, span.traffic) for span in spans])
    if slo.kind is SloKind.CUSTOM:
        return _custom(service, slo, good, bad, everything)
    if slo.kind is SloKind.QUEUE_WAIT:
        metric = metric_of(service, slo)
        return {
            selector(count(metric).name, of_target(service)): everything,
            selector(buckets(metric).name, of_target(service) | _bound(slo)): good,
        }
    how = served(service)
    name = count(how.duration).name
    good_status, bad_status = ("OK", "INTERNAL") if how is RPC else ("200", "500")
    succeeded, failed = _request(service, slo, good_status), _request(service, slo, bad_status)
    if slo.kind is SloKind.AVAILABILITY:
        return {selector(name, succeeded): good, selector(name, failed): bad}
    return {
        selector(name, succeeded): everything,
        selector(buckets(how.duration).name, succeeded | _bound(slo)): good,
        # Failures are the availability objective's: half of all requests fail, and latency does not care.
        selector(name, failed): counter([_phase(span, span.traffic) for span in spans], born=born),
    }


def can_be_made(slo: Slo) -> bool:
    """Say whether traffic for *slo* can be made: of a selector that somebody wrote, only if its labels can be told."""
    if slo.kind is not SloKind.CUSTOM:
        return slo.kind in COUNTED
    return _written(slo.errors or "") is not None and _written(slo.events or "") is not None


def _custom(service: Service, slo: Slo, good: str, bad: str, everything: str) -> dict[str, str]:
    errors, events = _written(slo.errors or ""), _written(slo.events or "")
    if errors is None or events is None:
        raise ValueError(f"{service.name}/{slo.name}: no labels can be told for {slo.errors} and {slo.events}")
    bad_labels = {**of_target(service), **errors[1]}
    if errors[0] == events[0]:  # then the bad are among all, as a series of their own
        other = {**of_target(service), **events[1], l_.POD.prometheus: f"{service.name}-1"}
        return {selector(errors[0], {**events[1], **bad_labels}): bad, selector(events[0], other): good}
    return {
        selector(errors[0], bad_labels): bad,
        selector(events[0], {**of_target(service), **events[1]}): everything,
    }


_CONDITION = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_PLAIN = re.compile(r"[\w /-]+")


def _written(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the name and labels of a series that the selector *text* picks out; None when they cannot be told."""
    match = SELECTOR.fullmatch(text.strip())
    if match is None:
        return None
    labels = {}
    rest = (match[2] or "").strip()
    while rest:
        condition = _CONDITION.match(rest)
        if condition is None:
            return None
        name, operator, value = condition.groups()
        rest = rest[condition.end() :]
        wanted = value.split("|")[0] if operator == "=~" else value
        if operator in ("=", "=~"):
            if not _PLAIN.fullmatch(wanted):
                return None
            labels[name] = wanted
    return match[1], labels


def _phase(span: Span, growth: int) -> Phase:
    return Phase(span.length, growth, resets=span.resets, lost=span.lost)


def _bound(slo: Slo) -> dict[str, str]:
    return {LE.prometheus: bucket_bound(slo.threshold.total_seconds())} if slo.threshold else {}


def of_target(service: Service) -> dict[str, str]:
    """Return the labels that a pod of *service* is scraped with."""
    return {
        label.prometheus: value
        for label, value in (
            (l_.CLUSTER, CLUSTER),
            (l_.NAMESPACE, service.namespace),
            (l_.SERVICE, service.name),
            (l_.POD, f"{service.name}-0"),
            (l_.VERSION, service.version),
            (l_.TRACK, "stable"),
        )
    }


def _request(service: Service, slo: Slo, status: str) -> dict[str, str]:
    how = served(service)
    own = {how.route.prometheus: slo.route or "/", how.status.prometheus: status}
    if how is not RPC:
        own[l_.HTTP_METHOD.prometheus] = slo.method or "GET"
    if slo.module:
        own[l_.MODULE.prometheus] = slo.module
    return of_target(service) | own
