"""The log reader's configuration: the files of a node's containers, line by line, to Loki. Pure text."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck_stacks.telemetry import collector
from quarterdeck_stacks.telemetry.collector import LIMITER, STORAGE, Pipelines

LOGS_DIRECTORY = "/var/log/pods"
"""Where the kubelet has them: `<namespace>_<pod>_<uid>/<container>/<restart>.log`."""
_RECEIVER = "file_log"
_LABELS = "transform/service"
_SERVICE, _CONTAINER = (f'resource.attributes["{name}"]' for name in ("service.name", "k8s.container.name"))
_ON_DISK = 256 * 1024**2
"""Bytes of the queue: what Loki has not taken. The files themselves wait longer."""


@dataclass(frozen=True, slots=True)
class LogReader:
    """What a log reader's configuration depends on."""

    memory: int
    """Bytes of memory of its pod."""
    logs_to: str
    """Base URL of Loki."""

    def to_yaml(self) -> str:
        """Return the configuration."""
        return collector.to_yaml(
            Pipelines(
                receivers={
                    _RECEIVER: {
                        "include": [f"{LOGS_DIRECTORY}/*/*/*.log"],
                        # Its own lines about a failing Loki would be sent to it again, and again.
                        "exclude": [f"{LOGS_DIRECTORY}/*_otel-collector-*/*/*.log"],
                        "include_file_path": True,
                        "include_file_name": False,
                        # A new file is read from where it begins; one that was read before, from where that ended.
                        # A new pod reads again what is there: of equal lines Loki shows one.
                        "start_at": "beginning",
                        "storage": STORAGE,
                        # Reads the runtime's format, and namespace, pod and container from the path.
                        "operators": [{"type": "container", "id": "container"}],
                    }
                },
                processors={
                    LIMITER: collector.memory_limiter(self.memory),
                    _LABELS: {
                        "error_mode": "ignore",
                        "log_statements": [
                            {
                                "context": "resource",
                                "statements": [
                                    # Loki's label for a line; the catalogue's services run in containers of their name.
                                    f"set({_SERVICE}, {_CONTAINER}) where {_SERVICE} == nil"
                                ],
                            }
                        ],
                    },
                },
                connectors={},
                exporters={
                    "otlp_http/loki": {
                        "endpoint": f"{self.logs_to}/otlp",
                        **collector.sending(storage=True, size=_ON_DISK),
                    }
                },
                pipelines={
                    "logs": {
                        "receivers": [_RECEIVER],
                        "processors": [LIMITER, _LABELS],
                        "exporters": ["otlp_http/loki"],
                    }
                },
                storage=collector.QUEUE_DIRECTORY,
            )
        )
