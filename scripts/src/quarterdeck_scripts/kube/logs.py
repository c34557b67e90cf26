"""The seam to containers' logs: bytes, because nobody promises that they are text. A fake ships beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from quarterdeck_scripts.kube.client import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

LINES = 2000
"""Lines from a log's end that are asked for: what led to a crash, not the day before."""


@runtime_checkable
class PodLogs(Protocol):
    """Somebody who has the logs of a cluster's containers."""

    def log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, most: int, timeout: float = 10.0
    ) -> bytes:
        """Return the end of a container's log: at most `LINES` lines and *most* bytes.

        Args:
            namespace: the pod's.
            pod: its name.
            container: its name, an init container's too.
            previous: of the run before the present one.
            most: bytes; what is older is left out.
            timeout: seconds for all of it.

        Raises:
            ApiError: there is none, or it may not be read.
            UnreachableError: no answer came.
        """
        ...


class FakeLogs:
    """Logs in memory. For tests of ours and of users."""

    def __init__(self, logs: Mapping[tuple[str, str, bool], bytes]) -> None:
        """*logs* are by pod, container, and whether it is the run before."""
        self._logs = logs

    def log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, most: int, timeout: float = 10.0
    ) -> bytes:
        """Return a log's end; see `PodLogs.log`."""
        del namespace, timeout
        found = self._logs.get((pod, container, previous))
        if found is None:
            raise ApiError(400, "BadRequest", f"no log of container {container} in pod {pod}")
        return end_of(found, most)


def end_of(log: bytes, most: int) -> bytes:
    r"""Return the last `LINES` lines of *log*, at most *most* bytes, from the beginning of a line where one is near.

    >>> end_of(b"one\ntwo\nthree\n", 9)
    b'three\n'
    """
    kept = b"".join(log[-most:].splitlines(keepends=True)[-LINES:]) if most else b""
    cut = len(log) > most and not log[: len(log) - most].endswith(b"\n")
    _, newline, rest = kept.partition(b"\n")
    return rest if cut and newline and rest else kept
