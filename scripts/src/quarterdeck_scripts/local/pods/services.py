"""What every pod of the runner shares."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.pods.fields import UnresolvedError

if TYPE_CHECKING:
    from quarterdeck_scripts.local.pods.api import Api
    from quarterdeck_scripts.local.pods.events import Events
    from quarterdeck_scripts.local.pods.objects import Sources
    from quarterdeck_scripts.local.pods.settings import RunnerSettings
    from quarterdeck_scripts.local.state import Layout

_FIRST = 256
"""Host number of the first address given out, `x.y.1.0`: those below are for pods that ask for one."""
_END = 255 * 256
"""The nodes' own addresses begin here."""


@dataclass(slots=True)
class Addresses:
    """Loopback addresses of the environment's pods."""

    prefix: str
    _holders: dict[str, str] = field(default_factory=dict)
    """Address to the UID of the pod that has it."""
    _next: int = _FIRST

    def take(self, uid: str, wanted: str | None = None) -> str:
        """Give an address to the pod *uid*: the one it wants, else one that was not used for long.

        Raises:
            UnresolvedError: another pod has it, or it is not of this environment.
        """
        address = self._checked(wanted) if wanted else self._unused()
        holder = self._holders.setdefault(address, uid)
        if holder != uid:
            raise UnresolvedError(f"address {address} is in use by the pod with UID {holder}")
        return address

    def release(self, uid: str) -> None:
        """Take back whatever *uid* has."""
        self._holders = {address: holder for address, holder in self._holders.items() if holder != uid}

    def _checked(self, wanted: str) -> str:
        network = ipaddress.ip_network(f"{self.prefix}.0.0/16")
        try:
            inside = ipaddress.ip_address(wanted) in network
        except ValueError:
            inside = False
        if not inside:
            raise UnresolvedError(
                f"address {wanted} is not in {network}, which is this environment's: "
                f"deploy the stack with loopbackPrefix={self.prefix}"
            )
        return wanted

    def _unused(self) -> str:
        for _ in range(_FIRST, _END):
            number, self._next = self._next, self._next + 1 if self._next + 1 < _END else _FIRST
            address = f"{self.prefix}.{number // 256}.{number % 256}"
            if address not in self._holders:
                return address
        raise UnresolvedError(f"no address is left in {self.prefix}.0.0/16")


@dataclass(frozen=True, slots=True)
class Services:
    """The runner's parts as a pod uses them."""

    settings: RunnerSettings
    layout: Layout
    api: Api
    events: Events
    sources: Sources
    addresses: Addresses

    def host_address(self, node: str) -> str:
        """Return the address of a node of ours."""
        return next(entry.address for entry in self.settings.nodes if entry.name == node)

    def plays(self, node: str | None) -> bool:
        """Say whether *node* is one of ours."""
        return any(entry.name == node for entry in self.settings.nodes)
