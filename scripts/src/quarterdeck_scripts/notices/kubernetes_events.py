"""Kubernetes: an Event on the service's workload, where `kubectl describe` and every cluster's log of Events has it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import RESOURCES, ApiError, path
from quarterdeck_scripts.notices.notice import Tone

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.notices.notice import Notice

COMPONENT = "quarterdeck-rollout"
"""Who, in an Event, reports it."""
_MESSAGE = 1024
"""Bytes of an Event's message that the API server takes."""
_TIMEOUT = 5.0
"""Seconds for one call."""
_CONFLICT = 409


class KubernetesEvents:
    """The cluster that the service runs in; see `notices.ports.Listener`."""

    name = "the cluster's log of Events"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def hear(self, notice: Notice) -> None:
        """Post it, once: its name is made of what it says, so the same one again is there already."""
        about = self._cluster.request("GET", path(notice.kind, notice.namespace, notice.service), timeout=_TIMEOUT)
        try:
            where = path("Event", notice.namespace)
            self._cluster.request("POST", where, body=_event(notice, about), timeout=_TIMEOUT)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise


def _event(notice: Notice, about: Json) -> Json:
    at = datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = f"{notice.title}. {notice.text}" if notice.text else notice.title
    mark = hashlib.sha256(f"{notice.run} {notice.occasion} {int(notice.at)}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{notice.service}.{mark}", "namespace": notice.namespace},
        "involvedObject": {
            "apiVersion": RESOURCES[notice.kind][0],
            "kind": notice.kind,
            "namespace": notice.namespace,
            "name": notice.service,
            "uid": about["metadata"]["uid"],
        },
        "reason": f"Rollout{notice.occasion.title().replace(' ', '')}",
        "message": said.encode()[:_MESSAGE].decode(errors="ignore"),
        "type": "Warning" if notice.tone in {Tone.WARNING, Tone.ERROR} else "Normal",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": notice.by[:128],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
