"""How long a crashing container waits for its next start: the kubelet's doubling delay. Pure.

Source: k8s.io/client-go/util/flowcontrol/backoff.go and `doBackOff` in the kubelet. The first restart is at
once; from the second on the wait is counted from the moment the container ended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LIMIT = 300.0
"""Seconds: the longest delay, the kubelet's `MaxContainerBackOff`."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay of one container. Times are monotonic seconds."""

    base: float = 10.0
    """Seconds: the first delay."""
    limit: float = LIMIT
    delay: float = 0.0
    """Seconds: the present delay; 0 before the first restart."""
    updated: float = 0.0
    """When the delay was set: at the last restart."""

    def until(self, ended: float) -> float:
        """Return when a container that ended at *ended* may be started again; *ended* itself: at once."""
        return ended if self._forgotten(ended) else ended + self.delay

    def restarted(self, ended: float, now: float) -> Backoff:
        """Return the delay after a restart at *now* of what ended at *ended*."""
        delay = self.base if self._forgotten(ended) else min(2 * self.delay, self.limit)
        return replace(self, delay=delay, updated=now)

    def _forgotten(self, ended: float) -> bool:
        """Say whether it ran for so long after its last restart that it counts as well: twice the limit."""
        return self.delay == 0.0 or ended - self.updated > 2 * self.limit


def go_duration(seconds: float) -> str:
    """Return a duration as Go prints it, which is how the kubelet's messages spell it.

    >>> go_duration(10), go_duration(80), go_duration(300), go_duration(0.2)
    ('10s', '1m20s', '5m0s', '200ms')
    """
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"
