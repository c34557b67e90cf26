"""What everything in Datadog has that is about one service: the conditions that pick it out, its tags, its pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datadog_api_client.model_utils import model_to_dict

from quarterdeck_dashboards.alerts import RUNBOOKS
from quarterdeck_dashboards.dashboards.datadog_query import condition
from quarterdeck_dashboards.slo import sli

if TYPE_CHECKING:
    from datadog_api_client.model_utils import ModelNormal

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.resource import Json

ENVIRONMENT = "env"
"""Datadog's tag for the resource attribute `deployment.environment.name`, which the stack sets on every pod."""


def scoped(service: Service, environment: str) -> tuple[str, ...]:
    """Return the conditions that pick out *service*'s own metrics in *environment*."""
    return (f"{ENVIRONMENT}:{environment}", *map(condition, sli.of_service(service)))


def tags_of(service: Service, environment: str, *more: str) -> list[str]:
    """Return the tags that people look for it by, and that Datadog's notification rules route it by."""
    own = (f"{ENVIRONMENT}:{environment}", f"service:{service.name}", f"team:{tag_value(service.owner)}")
    return sorted({*own, f"tier:{service.tier}", *more})


def tag_value(text: str) -> str:
    """Return *text* as Datadog writes a tag's value (https://docs.datadoghq.com/getting_started/tagging/).

    >>> tag_value("Payments & Billing")
    'payments_billing'
    """
    return re.sub(r"[^a-z0-9:./-]+", "_", text.lower()).strip("_")[:150]


def page_url(catalogue: Catalogue, service: Service, alert: str) -> str:
    """Return where the runbook page on *alert* is: *service*'s own, where it has one."""
    return service.runbooks.get(alert) or f"{catalogue.runbook_base_url}{RUNBOOKS[alert]}/"


def json_of(model: ModelNormal) -> Json:
    """Return *model* as it is sent."""
    return model_to_dict(model)  # type: ignore[no-untyped-call]  # the client's helper has no annotations
