"""What Thanos' programs are started with: one view of every Prometheus, and what is older from the object store. Pure.

Prometheus' own rules are evaluated by the ruler, which sees the samples of all servers once and as far back as the
object store goes. So an SLO's window may be longer than what a Prometheus keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_dashboards.duration import format_duration
from quarterdeck_stacks.telemetry.places import THANOS_GRPC_PORT, THANOS_HTTP_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

RULER_REPLICA = "ruler_replica"
"""Label that tells what one ruler has recorded from what another has."""
OBJECT_STORE = "$(OBJECT_STORE)"
"""`objstore.yml`, put into the arguments by the kubelet from the variable of that name."""
DATA_DIRECTORY = "/var/thanos"
RULES_DIRECTORY = "/etc/thanos-rules"
BLOCK = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
"""Arguments of a Prometheus beside a sidecar: it uploads blocks, and Prometheus must not merge them before."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where one of the programs listens."""

    host: str = "0.0.0.0"  # noqa: S104 -- in a pod of its own: `kubectl port-forward` comes from inside it
    grpc: int = THANOS_GRPC_PORT
    http: int = THANOS_HTTP_PORT

    @property
    def arguments(self) -> tuple[str, ...]:
        """Both addresses."""
        return (f"--grpc-address={self.host}:{self.grpc}", self.http_argument)

    @property
    def http_argument(self) -> str:
        """The one of HTTP alone."""
        return f"--http-address={self.host}:{self.http}"


def sidecar(
    prometheus: str, data: str, *, object_store: str = OBJECT_STORE, listening: Listening | None = None
) -> tuple[str, ...]:
    """Return the arguments of the one beside a Prometheus: answers for its samples, and uploads its blocks.

    Args:
        prometheus: its base URL.
        data: its folder.
        object_store: the text of `objstore.yml`.
        listening: where it listens.
    """
    return (
        "sidecar",
        f"--prometheus.url={prometheus}",
        f"--tsdb.path={data}",
        f"--objstore.config={object_store}",
        *(listening or Listening()).arguments,
    )


def query(endpoints: Sequence[str], *, replica_label: str, listening: Listening | None = None) -> tuple[str, ...]:
    """Return the arguments of the one that is asked: whatever several have is one series.

    Args:
        endpoints: addresses of sidecars, stores and rulers, `dns+name:port` for all addresses of a name.
        replica_label: tells one Prometheus from another.
        listening: where it listens.
    """
    return (
        "query",
        f"--query.replica-label={replica_label}",
        f"--query.replica-label={RULER_REPLICA}",
        *(f"--endpoint={each}" for each in endpoints),
        # A store that does not answer is a gap that is said, not an answer that is not.
        "--query.partial-response",
        "--query.auto-downsampling",
        *(listening or Listening()).arguments,
    )


def store(data: str, *, object_store: str = OBJECT_STORE, listening: Listening | None = None) -> tuple[str, ...]:
    """Return the arguments of the one that answers for what is in the object store."""
    return (
        "store",
        f"--data-dir={data}",
        f"--objstore.config={object_store}",
        "--index-cache-size=250MB",
        "--chunk-pool-size=500MB",
        *(listening or Listening()).arguments,
    )


def compact(
    data: str, retention: timedelta, *, object_store: str = OBJECT_STORE, listening: Listening | None = None
) -> tuple[str, ...]:
    """Return the arguments of the one that merges and thins out blocks, and deletes those past *retention*."""
    kept = format_duration(retention)
    return (
        "compact",
        "--wait",
        f"--data-dir={data}",
        f"--objstore.config={object_store}",
        # Thinned out, samples answer questions about months at the price of weeks; raw ones are kept as long.
        *(f"--retention.resolution-{resolution}={kept}" for resolution in ("raw", "5m", "1h")),
        (listening or Listening()).http_argument,
    )


@dataclass(frozen=True, slots=True)
class Ruler:
    """What the one that evaluates rules depends on."""

    query: str
    """Base URL of the one that is asked."""
    alertmanagers: Sequence[str]
    """URLs, `dns+http://name:port` for all addresses of a name."""
    rules: str
    """Pattern of the rule files."""
    interval: timedelta
    """Between evaluations, of groups that do not say."""
    cluster: str
    """Value of the label `cluster` on what it records and alerts, as on what Prometheus would."""
    replica: str
    """Tells this one from others."""
    data: str = DATA_DIRECTORY
    object_store: str = OBJECT_STORE
    listening: Listening = Listening()

    @property
    def arguments(self) -> tuple[str, ...]:
        """How it is started."""
        return (
            "rule",
            f"--data-dir={self.data}",
            f"--rule-file={self.rules}",
            f"--query={self.query}",
            *(f"--alertmanagers.url={each}" for each in self.alertmanagers),
            f"--eval-interval={format_duration(self.interval)}",
            f'--label=cluster="{self.cluster}"',
            f'--label={RULER_REPLICA}="{self.replica}"',
            # To Alertmanager the alerts of all rulers are one.
            f"--alert.label-drop={RULER_REPLICA}",
            f"--objstore.config={self.object_store}",
            *self.listening.arguments,
        )
