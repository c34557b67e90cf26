"""What a probe asks, and when its answers add up to a result. Pure.

Source: pkg/kubelet/prober/worker.go: a result changes after as many equal answers in a row as its threshold says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

STARTUP = "Startup"
LIVENESS = "Liveness"
READINESS = "Readiness"

_FIELDS = {STARTUP: "startupProbe", LIVENESS: "livenessProbe", READINESS: "readinessProbe"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of one container."""

    kind: str
    handler: Json
    """The probe as in the manifest: it has one of `httpGet`, `tcpSocket`, `exec`."""
    initial_delay: float = 0.0
    """Seconds from the container's start."""
    period: float = 10.0
    """Seconds."""
    timeout: float = 1.0
    """Seconds for one answer."""
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: float | None = None
    """Seconds between SIGTERM and SIGKILL when this probe ends the container; None: the pod's own."""


def probe_of(container: Json, kind: str) -> Probe | None:
    """Return the container's probe of *kind*; None when it has none."""
    spec = container.get(_FIELDS[kind])
    if spec is None:
        return None
    return Probe(
        kind=kind,
        handler=spec,
        initial_delay=spec.get("initialDelaySeconds", 0),
        period=spec.get("periodSeconds", 10),
        timeout=spec.get("timeoutSeconds", 1),
        success_threshold=spec.get("successThreshold", 1),
        failure_threshold=spec.get("failureThreshold", 3),
        grace=spec.get("terminationGracePeriodSeconds"),
    )


@dataclass(slots=True)
class Tally:
    """Answers in a row."""

    probe: Probe
    passed: bool | None = None
    """The last answer."""
    run: int = 0
    """How many answers like the last one came in a row."""

    def observe(self, *, passed: bool) -> bool | None:
        """Count one answer; return the result it settles, or None while the threshold is not reached."""
        self.run = self.run + 1 if passed is self.passed else 1
        self.passed = passed
        threshold = self.probe.success_threshold if passed else self.probe.failure_threshold
        return passed if self.run >= threshold else None


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where and what an `httpGet` asks."""

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    tls: bool

    @property
    def url(self) -> str:
        """The URL, for messages."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.path}"


def http_target(handler: Json, container: Json, address: str) -> HttpTarget:
    """Read an `httpGet` of *container*, whose pod has *address*.

    Raises:
        UsageError: it names a port that the container does not have.
    """
    path = handler.get("path") or "/"
    return HttpTarget(
        host=handler.get("host") or address,
        port=port_number(handler["port"], container),
        path=path if path.startswith("/") else f"/{path}",
        headers=tuple((header["name"], header["value"]) for header in handler.get("httpHeaders", [])),
        tls=handler.get("scheme", "HTTP") == "HTTPS",
    )


def port_number(port: int | str, container: Json) -> int:
    """Return the number of a port given by number or by name.

    Raises:
        UsageError: the container has no port of that name.
    """
    if isinstance(port, int):
        return port
    named = {entry.get("name"): entry["containerPort"] for entry in container.get("ports", [])}
    if port in named:
        return int(named[port])
    if port.isdigit():
        return int(port)
    raise UsageError(
        f"a port of the container {container['name']}: {', '.join(sorted(filter(None, named))) or 'it names none'}",
        repr(port),
        "correct the probe's port",
    )
