"""How full a worker is: what it serves at once against what it can, and who waits before the door."""

from __future__ import annotations

import _socket  # not `socket`, which is slow to import, and whose sockets gevent replaces by non-blocking ones
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import POOL

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable

    from quarterdeck_instrumentation.registry import Registry

REQUESTS, THREADS = POOL.values
_QUEUE = struct.Struct("=24x2I")
"""Of Linux's `struct tcp_info` for a listening socket: connections that wait to be accepted, and how many may."""
_LOOK_AGAIN = 5.0
"""Seconds between two searches for listening sockets while there is none: some servers open theirs late."""
_LOOK_ANEW = 60.0
"""Seconds between two searches when there is one: a server seldom opens another, and there may be 10,000 files."""


class Pools:
    """Pools of which each member serves one thing at a time. One without a limit is not listed."""

    def __init__(self, registry: Registry, requests: Callable[[], float]) -> None:
        """Record into *registry*; *requests* says how many are being served."""
        self._registry = registry
        self._requests = requests
        self._most_requests = 0

    def limit_requests(self, most: int) -> None:
        """Say that this worker's server serves at most *most* requests at once."""
        self._most_requests = most
        if most:
            self._record(REQUESTS, self._requests(), most)
            self._registry.touch()  # an idle worker writes its values seldom, and this is its first

    def update(self, loops: Iterable[AbstractEventLoop]) -> None:
        """Record how full they are."""
        if self._most_requests:
            self._record(REQUESTS, self._requests(), self._most_requests)
        limiters = [limiter for limiter in map(thread_limiter, loops) if limiter is not None]
        if limiters:
            busy = sum(limiter.borrowed_tokens for limiter in limiters)
            self._record(THREADS, busy, sum(limiter.total_tokens for limiter in limiters))

    def _record(self, pool: str, busy: float, capacity: float) -> None:
        self._registry.cell(metrics.WORKER_BUSY, pool).set(busy)
        self._registry.cell(metrics.WORKER_CAPACITY, pool).set(capacity)


def thread_limiter(loop: AbstractEventLoop) -> Any | None:
    """Return what anyio counts *loop*'s worker threads with, in which Starlette runs plain functions.

    None until the first of them runs. anyio tells it only to tasks of that loop, and makes it if need be; so it is
    looked up where anyio keeps it, and whatever is not there is not reported.
    """
    lowlevel, backend = sys.modules.get("anyio.lowlevel"), sys.modules.get("anyio._backends._asyncio")
    try:
        return lowlevel._run_vars[loop][backend._default_thread_limiter]  # type: ignore[union-attr]  # noqa: SLF001 -- see above
    except (AttributeError, KeyError, TypeError):
        return None


class ListenQueues:
    """The queues of the sockets that this process listens on; where workers share one, each sees the same queue."""

    def __init__(self, registry: Registry, ours: int) -> None:
        """Record into *registry*; *ours* is the port of the metrics page, which is no part of the service."""
        self._length = registry.cell(metrics.LISTEN_QUEUE_LENGTH)
        self._limit = registry.cell(metrics.LISTEN_QUEUE_LIMIT)
        self._ours = ours
        self._descriptors: list[int] = []
        self._look_at = 0.0

    def update(self, now: float) -> None:
        """Record the fullest queue; *now* is the time of a monotonic clock."""
        if now >= self._look_at:
            self._descriptors = [each for each in _sockets() if _listens(each, self._ours)]
            self._look_at = now + (_LOOK_ANEW if self._descriptors else _LOOK_AGAIN)
        queues = [queue for queue in map(_queue, self._descriptors) if queue is not None]
        length, limit = max(queues, key=_fullness, default=(0, 0))
        self._length.set(length)
        self._limit.set(limit)


def _fullness(queue: tuple[int, int]) -> float:
    length, limit = queue
    return length / (limit or 1)


def _sockets() -> Iterable[int]:
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return
    for name in names:
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                yield int(name)
        except OSError:
            continue  # closed in between, or what listed them


def _listens(descriptor: int, but_not_on: int) -> bool:
    """Say whether *descriptor* is a TCP socket that takes connections, on another port than *but_not_on*."""

    def ask(found: _socket.socket) -> bool:
        if found.family not in (_socket.AF_INET, _socket.AF_INET6):
            return False
        listening = found.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN)
        return bool(listening) and found.getsockname()[1] != but_not_on

    return _asked(descriptor, ask) or False


def _queue(descriptor: int) -> tuple[int, int] | None:
    """Return how many connections wait at *descriptor*, and how many may; None when it is gone."""

    def ask(found: _socket.socket) -> tuple[int, int] | None:
        if not found.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            return None  # closed, and its number given to another
        length, limit = _QUEUE.unpack(found.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, _QUEUE.size))
        return length, limit

    return _asked(descriptor, ask)


def _asked(descriptor: int, ask: Callable[[_socket.socket], Any]) -> Any | None:
    """Return what *ask* says of the socket *descriptor*, which is not ours to close."""
    try:
        found = _socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return ask(found)
    except (OSError, AttributeError, struct.error):
        return None  # not of TCP, or not on Linux
    finally:
        found.detach()
