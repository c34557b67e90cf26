"""All that Datadog should have of one catalogue in one environment, and what it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards import dashboards
from quarterdeck_dashboards.dashboards.datadog import render
from quarterdeck_dashboards.dashboards.datadog_query import Untranslatable
from quarterdeck_dashboards.datadog import monitors
from quarterdeck_dashboards.datadog.burn import burn_rates
from quarterdeck_dashboards.datadog.objectives import objective
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.dashboards.description import Dashboard


def resources(catalogue: Catalogue, environment: str) -> tuple[Resource, ...]:
    """Return everything: what others refer to comes before them."""
    found = [each for service in catalogue.services for each in _of(catalogue, service, environment)]
    pages = [_page(each, environment) for each in dashboards.of(catalogue)]
    return (*sorted(found, key=lambda each: each.kind != "slo"), *pages)


def left_out(catalogue: Catalogue) -> tuple[str, ...]:
    """Return what Datadog cannot state, or not as the catalogue has it, each with the reason."""
    said = []
    for service in catalogue.services:
        for slo in service.slos:
            try:
                objective(catalogue, service, slo, "")
            except Untranslatable as reason:
                said.append(f"{service.name}/{slo.name}: {reason}")
                continue
            said += [
                f"{service.name}/{slo.name}: a burn rate of {rate.above:g} over {format_duration(rate.long)} stands "
                f"for {rate.instead}, a window that Datadog has not"
                for rate in burn_rates(service, slo)
                if rate.instead
            ]
            if slo.calendar is not None:
                said.append(f"{service.name}/{slo.name}: it rolls over {format_duration(slo.window)}, not {slo.over}")
    return tuple(said)


def _page(dashboard: Dashboard, environment: str) -> Resource:
    title = f"{dashboard.title} ({environment})"
    return Resource("dashboard", f"dashboard/{dashboard.uid}", title, render(dashboard) | {"title": title})


def _of(catalogue: Catalogue, service: Service, environment: str) -> Iterator[Resource]:
    for slo in service.slos:
        try:
            yield objective(catalogue, service, slo, environment)
        except Untranslatable:
            continue
        yield from monitors.burning(catalogue, service, slo, environment)
    yield from monitors.of_service(catalogue, service, environment)
