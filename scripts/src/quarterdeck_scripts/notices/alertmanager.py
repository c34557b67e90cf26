"""Alertmanager's silences, by its API version 2. One is found again by who made it and what it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import SEVERITY
from quarterdeck_dashboards.slo.windows import Severity
from quarterdeck_scripts.publish.ports import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.notices.silences import Quiet
    from quarterdeck_scripts.publish.ports import Api

CREATED_BY = "quarterdeck rollout"
_SILENCES = "/api/v2/silences"
_GONE = 404


class AlertmanagerSilences:
    """One Alertmanager, or several that gossip; see `notices.silences.Silencer`."""

    name = "Alertmanager"

    def __init__(self, api: Api, now: Callable[[], float]) -> None:
        """*now* is Alertmanager's own time, in Unix seconds: it refuses an end that is past for itself."""
        self._api = api
        self._now = now

    def hold(self, quiet: Quiet, seconds: float) -> None:
        """Make the silence, or move the end of the one that is there."""
        present = self._present(quiet)
        now = self._now()
        wanted = {
            "matchers": _matchers(quiet),
            "startsAt": present[0]["startsAt"] if present else _time(now),
            "endsAt": _time(now + seconds),
            "createdBy": CREATED_BY,
            "comment": _comment(quiet),
        }
        if present:
            wanted["id"] = present[0]["id"]
        self._api.request("POST", _SILENCES, body=wanted)

    def release(self, quiet: Quiet) -> None:
        """Expire it."""
        for each in self._present(quiet):
            try:
                self._api.request("DELETE", f"/api/v2/silence/{each['id']}")
            except RejectedError as error:
                if error.status != _GONE:
                    raise

    def _present(self, quiet: Quiet) -> list[Json]:
        """Return the silences for *quiet* that have not expired."""
        listed: list[Json] = self._api.request("GET", _SILENCES)
        return [
            each
            for each in listed
            if each["createdBy"] == CREATED_BY
            and each["comment"] == _comment(quiet)
            and each["status"]["state"] != "expired"
        ]


def _comment(quiet: Quiet) -> str:
    return f"Rollout of {quiet.namespace}/{quiet.service} in {quiet.environment}; it lapses when the rollout's run dies"


def _matchers(quiet: Quiet) -> list[Json]:
    names = "|".join(map(re.escape, quiet.alerts))
    return [
        _matcher("alertname", names, is_pattern=True),
        _matcher(l_.CLUSTER.prometheus, quiet.environment),
        _matcher(l_.NAMESPACE.prometheus, quiet.namespace),
        _matcher(l_.SERVICE.prometheus, quiet.service),
        _matcher(SEVERITY, Severity.PAGE.value, is_equal=False),
    ]


def _matcher(name: str, value: str, *, is_pattern: bool = False, is_equal: bool = True) -> Json:
    return {"name": name, "value": value, "isRegex": is_pattern, "isEqual": is_equal}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
