"""What every collector's configuration has: limits of memory, queues, probes, its own telemetry. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from quarterdeck_stacks.telemetry.places import (
    COLLECTOR_HEALTH_PORT,
    COLLECTOR_METRICS_PORT,
    OTLP_GRPC_PORT,
    OTLP_HTTP_PORT,
)

Part = dict[str, Any]
"""One component's configuration, or a group of components by name."""

QUEUE_DIRECTORY = "/var/lib/otelcol"
"""Where a collector keeps what has not been taken yet, on its volume."""
STORAGE = "file_storage"
"""The extension that keeps queues, and how far files have been read, in QUEUE_DIRECTORY."""
OTLP = "otlp"
"""The receiver of OTLP, by gRPC and by HTTP."""
LIMITER = "memory_limiter"
POD_IP = "${env:POD_IP}"
"""The pod's own address, as the collector reads it from its environment."""

_LIMITED = 0.8
"""Share of a pod's memory above which everything is refused; the rest is what Go's runtime and buffers of gRPC take."""
_SPIKE = 0.2
"""Share of a pod's memory that may come in between two looks of the memory limiter: refusing begins so much earlier."""
_MEBIBYTE = 1024**2


@dataclass(frozen=True, slots=True)
class Pipelines:
    """The parts of a collector, and how they are joined."""

    receivers: Part
    processors: Part
    exporters: Part
    pipelines: Part
    connectors: Part
    storage: str | None
    """Folder for STORAGE; None needs none."""


def to_yaml(parts: Pipelines) -> str:
    """Return the configuration of a collector made of *parts*."""
    extensions: Part = {"health_check": {"endpoint": f"{POD_IP}:{COLLECTOR_HEALTH_PORT}"}}
    if parts.storage is not None:
        # What was killed in the middle of a write is found by the database's own checksums; a database that is broken
        # all the same is set aside, and an empty one begun, rather than the collector not starting at all.
        extensions[STORAGE] = {"directory": parts.storage, "create_directory": True, "recreate": True}
    document = {
        "extensions": extensions,
        "receivers": parts.receivers,
        "processors": parts.processors,
        **({"connectors": parts.connectors} if parts.connectors else {}),
        "exporters": parts.exporters,
        "service": {"extensions": list(extensions), "telemetry": _telemetry(), "pipelines": parts.pipelines},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _telemetry() -> Part:
    """Return where a collector says how it is: to whoever scrapes it. Alerts ask for its counters in both spellings."""
    reader = {"pull": {"exporter": {"prometheus": {"host": POD_IP, "port": COLLECTOR_METRICS_PORT}}}}
    return {
        # Span metrics carry it: two gateways write no series together, and one that restarts goes on with its own.
        "resource": {"collector.instance.id": "${env:POD_NAME}"},
        "logs": {"encoding": "json"},
        "metrics": {"readers": [reader]},
    }


def otlp_receiver() -> Part:
    """Return the receiver of OTLP, on the pod's own address."""
    ports = {"grpc": OTLP_GRPC_PORT, "http": OTLP_HTTP_PORT}
    return {"protocols": {protocol: {"endpoint": f"{POD_IP}:{port}"} for protocol, port in ports.items()}}


def memory_limiter(memory: int) -> Part:
    """Return the limiter for a pod with *memory* bytes: senders are told to wait before the kernel kills."""
    return {
        "check_interval": "500ms",
        "limit_mib": int(memory * _LIMITED) // _MEBIBYTE,
        "spike_limit_mib": int(memory * _SPIKE) // _MEBIBYTE,
    }


def go_memory_limit(memory: int) -> str:
    """Return GOMEMLIMIT for a pod with *memory* bytes: Go collects garbage before the limiter has to refuse.

    >>> go_memory_limit(512 * 1024**2)
    '409MiB'
    """
    return f"{int(memory * _LIMITED) // _MEBIBYTE}MiB"


def sending(*, storage: bool, size: int) -> Part:
    """Return how an exporter waits for a back end that does not take anything: with a queue of *size* bytes.

    Nothing is given up for its age. What the back end refuses for good (a status of 400) is dropped and counted, and
    what does not fit into the queue is.
    """
    queue: Part = {
        "sizer": "bytes",
        "queue_size": size,
        # Batches are made behind the queue: what waits for a batch to fill is on the disk already.
        "batch": {"sizer": "items", "flush_timeout": "1s", "min_size": 2048, "max_size": 8192},
    }
    if storage:
        queue["storage"] = STORAGE
    return {"sending_queue": queue, "retry_on_failure": {"max_interval": "15s", "max_elapsed_time": 0}}
