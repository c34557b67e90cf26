"""Downtimes: a monitor of one service that tells nobody for a while, such as during a rollout.

A downtime is a lease: it always has an end, so that whoever forgets it, or dies, silences nothing for good. To prolong
it is to apply the same one with a later end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datadog_api_client.v1.model.downtime import Downtime

from quarterdeck_dashboards.datadog.common import ENVIRONMENT, json_of
from quarterdeck_dashboards.resource import Resource
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from datetime import datetime

KIND = "downtime"


def of_rollout(service: str, environment: str, alert: str, until: datetime) -> Resource:
    """Return the downtime of one of *service*'s monitors while it is rolled out; never of one that pages.

    Args:
        service: whose monitor is silent.
        environment: where.
        alert: name of the alert that the monitor stands for.
        until: when it ends, whatever happens; aware.
    """
    name = f"Rollout of {service} ({environment}): {alert}"
    alert = alert.lower()
    tags = (f"service:{service}", f"{ENVIRONMENT}:{environment}", f"alert:{alert}", f"severity:{Severity.TICKET.value}")
    body = Downtime(message=name, scope=["*"], monitor_tags=list(tags), end=int(until.timestamp()))
    return Resource(KIND, f"{KIND}/{service}/rollout/{alert}", name, json_of(body))
