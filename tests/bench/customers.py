"""An open-loop load of HTTP requests: they come at random moments, whatever the answers do, as customers do.

Each service instance is sent a Poisson stream of its own over connections that are kept open.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE = 10.0
"""Seconds that a customer waits."""


class Customers:
    """Those of one instance."""

    def __init__(
        self,
        port: int,
        rate: Callable[[float], float],
        mix: Mapping[str, float],
        seed: str,
        *,
        patience: float = PATIENCE,
    ) -> None:
        """Ask nothing yet.

        Args:
            port: the instance's, on loopback.
            rate: requests a second, by seconds since the beginning.
            mix: parts of the traffic by method and path; `{n}` in a path is a number from 0 to 39.
            seed: of their dice.
            patience: seconds that each waits.
        """
        self._port = port
        self._rate = rate
        self._mix = mix
        self._patience = patience
        self._chance = random.Random(seed)  # noqa: S311 -- a load, no secret
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.lost = 0
        """Requests without an answer."""

    async def come(self, seconds: float) -> None:
        """Ask for so long."""
        began = due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while due - began < seconds:
                # A rate that changes within a gap is taken as it was when the gap began: gaps are short.
                due += self._chance.expovariate(self._rate(due - began))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                (target,) = self._chance.choices(list(self._mix), list(self._mix.values()))
                group.create_task(self._ask(target.replace("{n}", str(self._chance.randrange(40)))))
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, target: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while self._idle:
                    # The instance may have closed a connection that was kept: it does after an exception.
                    with suppress(OSError, asyncio.IncompleteReadError):
                        return await self._exchange(target, *self._idle.pop())
                await self._exchange(target, *await asyncio.open_connection("127.0.0.1", self._port))
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.lost += 1

    async def _exchange(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, _, path = target.partition(" ")
        kept = False
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            kept = b"connection: close" not in head
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                writer.close()
