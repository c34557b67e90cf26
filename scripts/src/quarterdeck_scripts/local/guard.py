"""A cluster that says which part of its environment died, where it would only say that nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import ApiError, Around, UnreachableError
from quarterdeck_scripts.kube.logs import PodLogs
from quarterdeck_scripts.local.lifecycle import require_running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

_NOT_FOUND = 404


class GuardedCluster(Around):
    """`Cluster` over a local environment: a dead part fails the next request, whichever part it is.

    With the controller manager or the scheduler dead the API server still answers, and whoever waits for a
    rollout would wait for ever; with etcd dead it takes half a minute to say nothing useful. One look at the
    environment costs a third of a millisecond.
    """

    def __init__(self, cluster: Cluster, state: Path) -> None:
        super().__init__(cluster)
        self._state = state

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
        """Send one request; see `Cluster.request`.

        Raises:
            EnvironmentFailedError: a part of the environment is dead.
        """
        require_running(self._state)
        try:
            return self._cluster.request(
                method, path, query=query, body=body, content_type=content_type, timeout=timeout
            )
        except UnreachableError:
            require_running(self._state)
            raise

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Yield watch events; see `Cluster.watch`.

        Raises:
            EnvironmentFailedError: a part of the environment is dead.
        """
        require_running(self._state)
        try:
            for event in self._cluster.watch(path, query=query, timeout=timeout):
                yield event
                require_running(self._state)
        except UnreachableError:
            require_running(self._state)
            raise

    def log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, most: int, timeout: float = 10.0
    ) -> bytes:
        """Return the end of a container's log; see `kube.logs.PodLogs`.

        Raises:
            EnvironmentFailedError: a part of the environment is dead.
        """
        require_running(self._state)
        if not isinstance(self._cluster, PodLogs):
            raise ApiError(_NOT_FOUND, "NotFound", "nobody has this cluster's logs")
        return self._cluster.log(namespace, pod, container, previous=previous, most=most, timeout=timeout)
