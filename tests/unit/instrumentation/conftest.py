"""What the instrumentation's tests share."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

import pytest


@pytest.fixture
def free_port() -> int:
    """Return a port of loopback that nobody listens on.

    Below the range that the kernel gives to outgoing connections, so that none of these takes it meanwhile.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 -- any free one will do
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
