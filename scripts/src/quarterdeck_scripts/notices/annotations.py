"""Grafana: one annotation for a run, from its beginning to its end (https://grafana.com/docs/grafana/latest/developers/http_api/annotations/).

It is found again by its tag, so whoever takes a run up, or ends it, closes the one that was opened. Our dashboards of
services ask for it.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards.description import ROLLOUT

if TYPE_CHECKING:
    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.notices.notice import Notice
    from quarterdeck_scripts.publish.ports import Api

_PATH = "/api/annotations"


class GrafanaAnnotations:
    """One Grafana; see `notices.ports.Listener`."""

    name = "Grafana"

    def __init__(self, api: Api) -> None:
        self._api = api
        self._ids: dict[str, int] = {}
        """Run to its annotation."""

    def hear(self, notice: Notice) -> None:
        """Open the run's annotation, or say in it where the run stands; close it with the last notice."""
        number = self._ids.get(notice.run) or self._found(notice)
        end = {"timeEnd": _milliseconds(notice.at)} if notice.occasion.is_last else {}
        if number is None:
            opened = {"time": _milliseconds(notice.began), "tags": _tags(notice), "text": _text(notice), **end}
            number = self._api.request("POST", _PATH, body=opened)["id"]
        else:
            self._api.request("PATCH", f"{_PATH}/{number}", body={"text": _text(notice), **end})
        self._ids[notice.run] = number

    def _found(self, notice: Notice) -> int | None:
        """Return the annotation that an earlier process, or a call whose answer was lost, opened for this run."""
        listed: list[Json] = self._api.request(
            "GET", _PATH, query={"tags": _run_tag(notice), "type": "annotation", "limit": "1"}
        )
        return int(listed[0]["id"]) if listed else None


def _tags(notice: Notice) -> list[str]:
    return [ROLLOUT, _run_tag(notice), f"service:{notice.service}", f"env:{notice.environment}"]


def _run_tag(notice: Notice) -> str:
    return f"run:{notice.run}"


def _text(notice: Notice) -> str:
    """Return what the annotation says, which Grafana reads as HTML."""
    return "<br>".join(escape(line) for line in (notice.title, notice.text) if line)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
