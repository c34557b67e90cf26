"""What runbooks need from the outside besides a cluster: somebody who tells which alerts fire, and a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]
"""An alert as Alertmanager's API v2 gives it: `labels`, `annotations`, `status`."""


class Alertmanager(Protocol):
    """Somebody who tells which alerts fire."""

    def alerts(self) -> list[Json]:
        """Return every alert that fires, silenced and inhibited ones too.

        Raises:
            UnreachableError: no answer came in time (`quarterdeck_scripts.kube.client`).
            QuarterdeckError: what came is not a list of alerts.
        """
        ...


class Lock(Protocol):
    """One run at a time on one subject: `rollout.acting.lock.LeaseLock`."""

    def acquire(self) -> None:
        """Take it.

        Raises:
            RefusedError: somebody else has it.
        """
        ...

    def holds(self) -> None:
        """Make sure that it is still ours.

        Raises:
            RefusedError: it is not.
        """
        ...

    def keep(self) -> None:
        """Renew it when it is time.

        Raises:
            RefusedError: somebody else has it now.
        """
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class FakeAlertmanager:
    """Tells the alerts it was given. For tests of ours and of users."""

    def __init__(self, alerts: Sequence[Json]) -> None:
        self._alerts = list(alerts)

    def alerts(self) -> list[Json]:
        """Return them."""
        return list(self._alerts)
