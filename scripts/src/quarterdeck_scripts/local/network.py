"""Addresses, ports and locks: what environments on one machine share, claimed so that nothing is left behind.

Claims are listening sockets in Linux' abstract namespace: machine-wide as loopback itself, no file, and gone
with the process that holds them.
"""

from __future__ import annotations

import contextlib
import random
import socket

from quarterdeck_contract.errors import QuarterdeckError

LOOPBACK = "127.0.0.1"
"""Where the control plane listens: the address that proxies' exception lists know."""
PREFIXES = tuple(f"127.{number}" for number in range(77, 100))
"""Loopback /16 networks for pods, in the order they are tried: one an environment. The first is the stack's
default."""
_PORTS = range(20_000, 32_000)
"""Linux gives ports from 32768 on to outgoing connections; `net.ipv4.ip_local_port_range`."""


def claim(name: str) -> socket.socket | None:
    """Claim *name* on this machine until the returned socket is closed; None when somebody else has it."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(f"\0quarterdeck/{name}")
    except OSError:
        holder.close()
        return None
    return holder


def claim_prefix() -> tuple[str, socket.socket]:
    """Claim the first free loopback prefix, until the returned socket is closed.

    Raises:
        QuarterdeckError: all are taken.
    """
    for prefix in PREFIXES:
        if (holder := claim(f"loopback/{prefix}")) is not None:
            return prefix, holder
    raise QuarterdeckError(
        "a free loopback network for pods",
        f"{PREFIXES[0]}.0.0/16 to {PREFIXES[-1]}.0.0/16 in use by other local environments on this machine",
        "end one with `quarterdeck local down` in its folder",
    )


def free_ports(count: int, address: str = LOOPBACK) -> list[int]:
    """Return *count* different ports that are free on *address* now. Who uses them retries when one is taken.

    Below the range that the kernel gives to outgoing connections, so that none of these takes one meanwhile.
    """
    ports: set[int] = set()
    while len(ports) < count:
        port = random.choice(_PORTS)  # noqa: S311 -- any free one will do
        with contextlib.suppress(OSError), socket.create_server((address, port)):
            ports.add(port)
    return list(ports)


def port_taken(address: str, port: int) -> bool:
    """Say whether something listens on *port* of *address*, also by listening on every address."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def answers(address: str, port: int) -> bool:
    """Say whether a connection to *port* of *address* is accepted."""
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError:
        return False
    return True
