"""The load that recordings are made under: every request gets its answer, whatever a server does with connections."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the benches are scripts, which find each other beside themselves
from customers import Customers

MIX = {"GET /articles/{n}": 0.5, "POST /pay": 0.5}


async def served(*, closing: bool = False, silent: bool = False) -> tuple[Counter[str], int]:
    """Return the requests that a server answered, and how many customers were lost.

    It says of each answer that it is the last of its connection if *closing*, and ends every second connection after
    its answer without a word if *silent*.
    """
    answered: Counter[str] = Counter()
    numbers = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = silent and next(numbers) % 2
        try:
            while line := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                answered[line.decode().rpartition(" ")[0]] += 1
                said = b"Connection: close\r\n" if closing else b""
                writer.write(b"HTTP/1.1 200 OK\r\n" + said + b"Content-Length: 2\r\n\r\nok")
                if closing or ends:
                    break
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    customers = Customers(server.sockets[0].getsockname()[1], lambda _: 100.0, MIX, "a seed", patience=120)
    await customers.come(1)
    server.close()
    return answered, customers.lost


@pytest.mark.parametrize("connections", [{}, {"closing": True}, {"silent": True}], ids=["kept", "closed", "dropped"])
def test_every_request_is_answered(connections: dict[str, bool]) -> None:
    """Over connections that are kept, that the server says it will close, and that it closes without a word."""
    answered, lost = asyncio.run(served(**connections))

    assert lost == 0
    assert answered.total() > 50
    assert {request.partition("/")[0] for request in answered} == {"GET ", "POST "}
    assert "GET /articles/{n}" not in answered


def test_the_same_dice_are_the_same_customers() -> None:
    """Who asks for what in which order depends on the seed alone."""
    (one, _), (other, _) = (asyncio.run(served(closing=True)) for _ in range(2))

    assert one == other
