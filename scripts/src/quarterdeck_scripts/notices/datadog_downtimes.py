"""Datadog's downtimes: one for each alert, because a downtime is of monitors that have all of its tags."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_dashboards.datadog.downtimes import of_rollout
from quarterdeck_scripts.datadog.store import DOWNTIME
from quarterdeck_scripts.publish.plan import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.datadog.store import DatadogStore
    from quarterdeck_scripts.notices.silences import Quiet
    from quarterdeck_scripts.publish.ports import Found


class DatadogDowntimes:
    """What is ours of one environment in one organisation; see `notices.silences.Silencer`."""

    name = "Datadog"

    def __init__(self, store: DatadogStore, now: Callable[[], float]) -> None:
        """*now* is Datadog's own time, in Unix seconds: it refuses an end that is past for itself."""
        self._store = store
        self._now = now

    def hold(self, quiet: Quiet, seconds: float) -> None:
        """Make the downtimes that are missing, and move the end of the others."""
        present = self._present()
        until = datetime.fromtimestamp(self._now() + seconds, UTC)
        for alert in quiet.alerts:
            wanted = of_rollout(quiet.service, quiet.environment, alert, until)
            found = present.get(wanted.key)
            if found is None:
                self._store.create(wanted, digest(wanted))
            else:
                self._store.change(found, wanted, digest(wanted))

    def release(self, quiet: Quiet) -> None:
        """Cancel them."""
        present = self._present()
        for alert in quiet.alerts:
            found = present.get(of_rollout(quiet.service, quiet.environment, alert, datetime.now(UTC)).key)
            if found is not None:
                self._store.delete(found)

    def _present(self) -> dict[str, Found]:
        """Return our downtimes that are not over, by key."""
        return {found.resource.key: found for found in self._store.of_kind(DOWNTIME)}
