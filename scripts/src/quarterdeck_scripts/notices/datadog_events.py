"""Datadog: an event for each notice, those of one run together (https://docs.datadoghq.com/api/v1/events/)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards.description import ROLLOUT

if TYPE_CHECKING:
    from quarterdeck_scripts.notices.notice import Notice
    from quarterdeck_scripts.publish.ports import Api

_TEXT = 4000
"""Characters of an event's text that Datadog takes."""
_KEY = 100
"""Characters of the key by which it puts events together."""


class DatadogEvents:
    """One Datadog organisation; see `notices.ports.Listener`."""

    name = "Datadog"

    def __init__(self, api: Api) -> None:
        self._api = api

    def hear(self, notice: Notice) -> None:
        """Post it; the tags are those by which dashboards and monitors find the service."""
        body = {
            "title": notice.title,
            "text": (notice.text or notice.title)[:_TEXT],
            "alert_type": notice.tone.value,
            "aggregation_key": notice.run[:_KEY],
            "date_happened": int(notice.at),
            "source_type_name": "quarterdeck",
            "tags": [
                ROLLOUT,
                f"service:{notice.service}",
                f"env:{notice.environment}",
                f"kube_namespace:{notice.namespace}",
                *([f"version:{notice.version}"] if notice.version else ()),
            ],
        }
        self._api.request("POST", "/api/v1/events", body=body)
