"""The service's own request log, read beside it: the truth that a verdict's inputs are compared with."""

from __future__ import annotations

import bisect
import contextlib
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from quarterdeck_scripts.demo.traffic import SERVER_ERROR

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_ACCESS = re.compile(rb'"[A-Z]+ (\S+) HTTP/[0-9.]+" (\d{3})')
"""An access line of uvicorn: `INFO:  127.0.0.1:4711 - "POST /carts/7/pay HTTP/1.1" 200 OK`."""

POLL_SECONDS = 0.05
"""How often the logs are read: the resolution of the comparison, far below a scrape interval."""


@dataclass(frozen=True)
class Logged:
    """What the log said until some moment."""

    requests: int
    errors: int
    """Requests answered with a 5xx status."""


def count(lines: bytes, health: str) -> Logged:
    r"""Count the requests in *lines*, without those for the path *health*.

    >>> count(b'"GET /healthz HTTP/1.1" 200 OK\n"POST /carts/1/pay HTTP/1.1" 500 Oops\n', "/healthz")
    Logged(requests=1, errors=1)
    """
    statuses = [int(status) for url, status in _ACCESS.findall(lines) if url.decode() != health]
    return Logged(len(statuses), sum(status >= SERVER_ERROR for status in statuses))


class ServiceLog:
    """Follows the logs of the pods whose folder matches *pattern* and that come while it follows.

    Files may go while they are read. Those that were there before are another version's: the folder of the
    canary before may still be going.
    """

    def __init__(self, pods: Path, pattern: str, *, health: str) -> None:
        """*pods* is the pod runner's folder, one folder a pod with one file a container."""
        self._pods = pods
        self._pattern = pattern
        self._health = health
        self._others: frozenset[Path] = frozenset()
        self._files: dict[Path, BinaryIO] = {}
        self._rest: dict[Path, bytes] = {}
        self._times: list[float] = []
        self._history: list[Logged] = []
        self._total = Logged(0, 0)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="service-log", daemon=True)

    def __enter__(self) -> Self:
        self._others = frozenset(self._pods.glob(self._pattern))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)
        for file in self._files.values():
            file.close()

    def at(self, moment: float) -> Logged:
        """Return what the log said at *moment*, seconds since the epoch."""
        index = bisect.bisect_right(self._times, moment)
        return self._history[index - 1] if index else Logged(0, 0)

    def _follow(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            for file in self._pods.glob(self._pattern):
                # A pod that ends between the listing and the opening has no more to say.
                if file not in self._files and file not in self._others:
                    with contextlib.suppress(OSError):
                        self._files[file] = file.open("rb")
            for file, handle in self._files.items():
                self._read(file, handle)
            self._history.append(self._total)  # before its time, by which another thread finds it
            self._times.append(time.time())

    def _read(self, file: Path, handle: BinaryIO) -> None:
        lines, _, self._rest[file] = (self._rest.get(file, b"") + handle.read()).rpartition(b"\n")
        more = count(lines, self._health)
        self._total = Logged(self._total.requests + more.requests, self._total.errors + more.errors)
