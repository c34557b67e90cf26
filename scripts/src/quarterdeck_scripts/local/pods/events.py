"""Kubernetes Events about pods: what `kubectl describe` shows. Equal ones are counted, not repeated."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.local.pods.api import now

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.api import Api

_log = logging.getLogger(__name__)

NORMAL = "Normal"
WARNING = "Warning"
COMPONENT = "kubelet"
"""As whom events are reported: tools look for the kubelet's."""
_PAUSE = 1.0
"""Seconds between two writes: a probe that fails every second costs one request a second, however many pods."""
_KEPT = 4096
"""Events whose count is remembered; older ones begin a new Event when they come again, as after an hour in the
API server they would anyway."""


@dataclass(slots=True)
class _Event:
    body: Json
    written: bool = False
    """It exists in the API server; only count and time change from now on."""


class Events:
    """Records events and writes them one after another in the background."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._events: dict[tuple[str, ...], _Event] = {}
        self._unwritten: dict[tuple[str, ...], None] = {}
        self._wake = asyncio.Event()
        self._number = 0

    def record(self, pod: Json, kind: str, reason: str, message: str, *, container: str = "") -> None:
        """Record an event about *pod*, or about one of its containers. Never waits, never fails."""
        key = (pod["metadata"]["uid"], container, kind, reason, message)
        event = self._events.pop(key, None)
        if event is None:
            self._number += 1
            event = _Event(_body(pod, kind, reason, message, container=container, number=self._number))
        else:
            event.body = {**event.body, "count": event.body["count"] + 1, "lastTimestamp": now()}
        self._events[key] = event  # last again: the oldest are forgotten first
        while len(self._events) > _KEPT:
            self._events.pop(next(iter(self._events)))
        self._unwritten[key] = None
        self._wake.set()

    async def run(self) -> None:
        """Write what is recorded, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unwritten:
                key = next(iter(self._unwritten))
                del self._unwritten[key]
                if (event := self._events.get(key)) is not None:
                    await self._write(event)
            await asyncio.sleep(_PAUSE)

    async def _write(self, event: _Event) -> None:
        metadata = event.body["metadata"]
        try:
            if event.written:
                patch = {field: event.body[field] for field in ("count", "lastTimestamp")}
                target = path("Event", metadata["namespace"], metadata["name"])
                await self._api.request("PATCH", target, patch, MERGE_PATCH)
            else:
                event.written = True
                await self._api.request("POST", path("Event", metadata["namespace"]), event.body)
        except (ApiError, UnreachableError) as error:  # the namespace ends, or the API server did: no event then
            _log.debug("%s", error)


def _body(pod: Json, kind: str, reason: str, message: str, *, container: str, number: int) -> Json:
    metadata = pod["metadata"]
    at = now()
    names = [spec["name"] for spec in pod["spec"].get("initContainers", [])]
    field = "initContainers" if container in names else "containers"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": metadata["namespace"],
            "name": f"{metadata['name']}.{metadata['uid'][:8]}.{number}",
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            **({"fieldPath": f"spec.{field}{{{container}}}"} if container else {}),
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT, "host": pod["spec"].get("nodeName", "")},
        "reportingComponent": COMPONENT,
        "reportingInstance": pod["spec"].get("nodeName", ""),
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
    }
