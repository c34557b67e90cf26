"""What holds every rollout of a service at a time: the catalogue's freezes, and a line that somebody stopped. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP, STOP_THE_LINE, SYSTEM_NAMESPACE
from quarterdeck_scripts.rollout.checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_dashboards.catalogue import Freeze
    from quarterdeck_scripts.kube.client import Json

GUARD = "freeze"

ALL = "*"
"""Stands for every service of the environment."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A line that somebody stopped."""

    by: str
    """A person and a machine."""
    since: str
    """When, RFC 3339."""
    why: str
    until: str = ""
    """When it runs again by itself, RFC 3339; empty: when somebody says so."""

    def holds(self, now: datetime) -> bool:
        """Return whether it holds at *now* (aware)."""
        return not self.until or now < datetime.fromisoformat(self.until)

    def __str__(self) -> str:
        until = f" until {self.until}" if self.until else ""
        return f"the line was stopped by {self.by} at {self.since}{until}: {self.why}"


def read_stops(facts: Json) -> dict[str, Stop]:
    """Return the stops that the ConfigMap of the environment's *facts* has, by service, or ALL.

    Raises:
        RefusedError: the annotation cannot be read: somebody wanted something stopped.
    """
    text = (facts["metadata"].get("annotations") or {}).get(STOP_THE_LINE)
    try:
        stops = {service: Stop(**fields) for service, fields in json.loads(text or "{}").items()}
        for stop in stops.values():
            stop.holds(datetime.now(UTC))  # an end without a zone cannot be compared
    except (ValueError, TypeError, AttributeError) as error:
        raise RefusedError(
            f"stops in the annotation {STOP_THE_LINE} of the ConfigMap {SYSTEM_NAMESPACE}/{ENVIRONMENT_CONFIGMAP}",
            f"{(text or '')[:120]!r} ({error})",
            f"once you know who wrote it, `kubectl -n {SYSTEM_NAMESPACE} annotate configmap {ENVIRONMENT_CONFIGMAP} "
            f"{STOP_THE_LINE}-`; then stop the line again with `quarterdeck rollout freeze`",
        ) from error
    return stops


def written(stops: Mapping[str, Stop]) -> str | None:
    """Return the annotation's text; None when nothing is stopped."""
    if not stops:
        return None
    plain = {service: asdict(stop) for service, stop in stops.items()}
    return json.dumps(plain, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def findings(service: str, freezes: Iterable[Freeze], stops: Mapping[str, Stop], now: datetime) -> Iterator[Finding]:
    """Yield what holds a rollout of *service* at *now* (aware)."""
    for scope in (ALL, service):
        stop = stops.get(scope)
        if stop and stop.holds(now):
            which = f" {service}" if scope == service else ""
            yield Finding(
                GUARD,
                str(stop),
                f"wait for it, or run `quarterdeck rollout thaw{which}` when that is over",
                refuses=True,
            )
    for freeze in freezes:
        until = freeze.until(now) if freeze.concerns(service) else None
        if until:
            why = f" ({freeze.why})" if freeze.why else ""
            when = f"{until:%a %Y-%m-%d %H:%M} {freeze.time_zone}"
            yield Finding(GUARD, f"the freeze {freeze.name!r}{why} holds until {when}", "wait for that", refuses=True)
