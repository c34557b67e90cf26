"""What the supervisor tells the pod runner."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node that the runner plays."""

    name: str
    address: str
    """Its InternalIP: the pods' `status.hostIP`, and where logs are served."""


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """Read once, when the runner starts."""

    state: str
    """The environment's state folder, absolute."""
    kubeconfig: str
    """The runner's own."""
    server: str
    """URL of the API server, for the pods."""
    authority: str
    """File of the certificate authority, for the pods and for the log endpoint."""
    kubelet_certificate: str
    kubelet_key: str
    """What the log endpoint identifies itself with."""
    kubelet_port: int
    """Where logs are served, on every node's address."""
    loopback_prefix: str
    """First two numbers of the pods' addresses."""
    nodes: tuple[NodeSettings, ...]
    crash_backoff: float = 10.0
    """Seconds before the second restart of a crashing container: the kubelet's value."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings as they are written to a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunnerSettings:
        """Read what `to_json` returned."""
        return cls(**{**data, "nodes": tuple(NodeSettings(**node) for node in data["nodes"])})
