"""Downtimes: monitors of one service that tell nobody for a while, such as during a rollout.

A downtime is a lease: it always has an end, so that whoever forgets it, or dies, silences nothing for good. To prolong
it is to apply the same one with a later end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datadog_api_client.v1.model.downtime import Downtime

from quarterdeck_dashboards.datadog.common import json_of
from quarterdeck_dashboards.resource import Resource

if TYPE_CHECKING:
    from datetime import datetime

    from quarterdeck_dashboards.catalogue import Service

KIND = "downtime"


def of_rollout(service: Service, environment: str, until: datetime) -> Resource:
    """Return the downtime of *service*'s monitors while it is rolled out.

    Args:
        service: whose monitors are silent.
        environment: where.
        until: when it ends, whatever happens; aware.
    """
    name = f"Rollout of {service.name} ({environment})"
    body = Downtime(
        message=name,
        scope=["*"],
        monitor_tags=[f"service:{service.name}", f"env:{environment}"],
        end=int(until.timestamp()),
    )
    return Resource(KIND, f"{KIND}/{service.name}/rollout", name, json_of(body))
