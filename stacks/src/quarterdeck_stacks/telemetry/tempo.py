"""Tempo's configuration: one process that takes kept traces and answers for them. Pure text.

One is enough: what a gateway cannot send waits in its queue, so a restart loses nothing and only questions wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from quarterdeck_stacks.telemetry.places import OTLP_HTTP_PORT, TEMPO_PORT
from quarterdeck_stacks.telemetry.storing import for_tempo

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_stacks.settings.monitoring import ObjectStore

DATA_DIRECTORY = "/var/tempo"
"""Where the write-ahead log is, and blocks without an object store."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """What Tempo's configuration depends on."""

    retention: timedelta
    """Traces older than this are deleted."""
    store: ObjectStore | None
    """Where blocks are kept; None is the pod's own volume."""
    has_secret: bool = False
    """Whether the pod has the store's credentials in its environment."""

    def to_yaml(self) -> str:
        """Return tempo.yaml."""
        document = {
            "server": {"http_listen_port": TEMPO_PORT},
            "distributor": {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{OTLP_HTTP_PORT}"}}}}},
            "compactor": {"compaction": {"block_retention": f"{round(self.retention.total_seconds())}s"}},
            "storage": {
                "trace": {
                    **for_tempo(self.store, f"{DATA_DIRECTORY}/blocks", has_secret=self.has_secret),
                    "wal": {"path": f"{DATA_DIRECTORY}/wal"},
                }
            },
            "usage_report": {"reporting_enabled": False},
        }
        return yaml.safe_dump(document, sort_keys=False)
