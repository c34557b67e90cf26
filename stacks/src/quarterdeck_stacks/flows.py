"""Which connections the monitoring's pods need: each once, from whom to whom, on which port. Pure.

From them come the policies of both ends: what is not here is not let through.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_stacks.reach import Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

API_SERVER_PORTS = (443, 6443)
"""Its Service's port, and its own where the connection is looked at after the Service's address is replaced. It runs in
no pod, so a policy can name it by its port alone."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection that is needed."""

    source: Peer | None
    """Who opens it; None: whoever, in the cluster or outside."""
    target: Peer | None
    """Who answers; None: whoever, because it runs in no pod, or in one that the stack does not know."""
    port: int
    protocol: str = "TCP"


End = tuple[Peer | None, int, str]
"""The other end of a connection, the port and the protocol; None is whoever."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a policy of some pods lets through."""

    incoming: tuple[End, ...]
    outgoing: tuple[End, ...]


def to_api_server(*sources: Peer) -> list[Flow]:
    """Return the flows of pods that speak to the API server."""
    return [Flow(source, None, port) for source in sources for port in API_SERVER_PORTS]


def allowed(flows: Iterable[Flow], namespaces: Iterable[str]) -> dict[Peer, Allowed]:
    """Return what the pods of *namespaces* must be allowed for *flows*, in an order that is always the same."""
    ours = set(namespaces)
    incoming: dict[Peer, set[End]] = defaultdict(set)
    outgoing: dict[Peer, set[End]] = defaultdict(set)
    for flow in flows:
        if flow.target is not None and flow.target.namespace in ours:
            incoming[flow.target].add((flow.source, flow.port, flow.protocol))
        if flow.source is not None and flow.source.namespace in ours:
            outgoing[flow.source].add((flow.target, flow.port, flow.protocol))
    return {
        peer: Allowed(_ordered(incoming[peer]), _ordered(outgoing[peer]))
        for peer in sorted(incoming.keys() | outgoing.keys())
    }


def admitted(flows: Iterable[Flow], namespaces: Iterable[str]) -> dict[Peer, tuple[End, ...]]:
    """Return who must be let in to single programs outside of *namespaces*, whose own policies say nothing of it."""
    ours = set(namespaces)
    incoming: dict[Peer, set[End]] = defaultdict(set)
    for flow in flows:
        if flow.target is not None and flow.target.app and flow.target.namespace not in ours:
            incoming[flow.target].add((flow.source, flow.port, flow.protocol))
    return {peer: _ordered(incoming[peer]) for peer in sorted(incoming)}


def _ordered(entries: Iterable[End]) -> tuple[End, ...]:
    return tuple(sorted(entries, key=lambda entry: (entry[1], entry[2], entry[0] or Peer(""))))
