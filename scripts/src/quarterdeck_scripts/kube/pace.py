"""How often a run asks an API server: a request a second in the long run, however long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import Around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Cluster, Json


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one run may ask."""

    rate: float = 1.0
    """Requests a second in the long run: a hundred runs are then nothing to a server that answers thousands."""
    burst: float = 60.0
    """Requests that may come at once: beginning and ending take some forty, and nobody should wait for those."""


class Paced(Around):
    """`Cluster` that counts what it is asked. It delays nothing: who waits anyway asks `pause` how long at least."""

    def __init__(self, cluster: Cluster, monotonic: Callable[[], float], allowance: Allowance = Allowance()) -> None:
        """*monotonic* gives seconds that never go back."""
        super().__init__(cluster)
        self._monotonic = monotonic
        self._allowance = allowance
        self._left = allowance.burst
        self._counted = monotonic()

    def pause(self) -> float:
        """Return the seconds to wait before more is asked."""
        self._earn()
        return max(0.0, -self._left / self._allowance.rate)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Json:
        """Send one request; see `Cluster.request`."""
        self._spend()
        return self._cluster.request(method, path, query=query, body=body, content_type=content_type, timeout=timeout)

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Yield watch events; see `Cluster.watch`. A watch is one request."""
        self._spend()
        return self._cluster.watch(path, query=query, timeout=timeout)

    def _spend(self) -> None:
        self._earn()
        self._left -= 1

    def _earn(self) -> None:
        now = self._monotonic()
        earned = (now - self._counted) * self._allowance.rate
        self._left, self._counted = min(self._left + earned, self._allowance.burst), now
