"""Loki's configuration: one process that takes lines and answers for them. Pure text.

One is enough: what a reader cannot send waits in the node's files and in its queue, so a restart loses nothing and only
questions wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from quarterdeck_stacks.telemetry.places import LOKI_PORT
from quarterdeck_stacks.telemetry.storing import for_loki

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_stacks.settings.monitoring import ObjectStore

DATA_DIRECTORY = "/var/loki"
"""Where the write-ahead log and the index are, and chunks without an object store."""
_SCHEMA_FROM = "2025-01-01"
"""A day before any data: the schema of everything that is written. A later schema gets an entry of its own."""


@dataclass(frozen=True, slots=True)
class Loki:
    """What Loki's configuration depends on."""

    retention: timedelta
    """Lines older than this are deleted; whole days, since the index has one table a day."""
    store: ObjectStore | None
    """Where chunks are kept; None is the pod's own volume."""
    directory: str = DATA_DIRECTORY
    """Where everything else is."""
    has_secret: bool = False
    """Whether the pod has the store's credentials in its environment."""

    def to_yaml(self) -> str:
        """Return loki.yaml."""
        kind, storage = for_loki(self.store, f"{self.directory}/chunks", has_secret=self.has_secret)
        document = {
            # There is one tenant; who may write and read is said by network policies.
            "auth_enabled": False,
            "server": {"http_listen_port": LOKI_PORT, "log_level": "warn"},
            "common": {
                # Its parts find each other there, whatever the pod's network interface is called.
                "instance_addr": "127.0.0.1",
                "path_prefix": self.directory,
                "replication_factor": 1,
                "ring": {"kvstore": {"store": "inmemory"}},
            },
            "schema_config": {
                "configs": [
                    {
                        "from": _SCHEMA_FROM,
                        "store": "tsdb",
                        "object_store": kind,
                        "schema": "v13",
                        "index": {"prefix": "logs_index_", "period": "24h"},
                    }
                ]
            },
            "storage_config": storage,
            "compactor": {
                "working_directory": f"{self.directory}/compactor",
                "retention_enabled": True,
                "delete_request_store": kind,
            },
            "limits_config": {
                "retention_period": f"{round(self.retention.total_seconds() / 3600)}h",
                # Attributes of a line that are no labels of its stream: trace ids among them.
                "allow_structured_metadata": True,
                "volume_enabled": True,
            },
            "analytics": {"reporting_enabled": False},
        }
        return yaml.safe_dump(document, sort_keys=False)
