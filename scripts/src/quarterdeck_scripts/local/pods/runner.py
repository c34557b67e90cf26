"""The pod runner: follows the pods of our nodes and lets each live its life."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.pods import kubelet
from quarterdeck_scripts.local.pods.api import Api
from quarterdeck_scripts.local.pods.events import Events
from quarterdeck_scripts.local.pods.objects import DELETED, Mirror, Sources
from quarterdeck_scripts.local.pods.pod import Pod
from quarterdeck_scripts.local.pods.services import Addresses, Services

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.local.pods.settings import RunnerSettings
    from quarterdeck_scripts.local.state import Layout

_log = logging.getLogger(__name__)


class Runner:
    """All pods of one environment."""

    def __init__(self, settings: RunnerSettings, layout: Layout, cluster: Cluster) -> None:
        api = Api(cluster)
        self._pod_objects = Mirror(cluster, "Pod", selector="spec.nodeName!=")
        self._services = Services(
            settings, layout, api, Events(api), Sources(cluster), Addresses(settings.loopback_prefix)
        )
        self._pods: dict[str, Pod] = {}
        """By UID, from when a pod is first seen until the API server has forgotten it: a pod whose end is done,
        but that a finalizer keeps, must not begin anew."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run until SIGTERM, then end every pod."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        events = asyncio.create_task(self._services.events.run())
        await self._services.sources.start(self._source_changed)
        self._pod_objects.start(self._pod_changed)
        await self._pod_objects.synced.wait()
        kubelet.serve(self._services.settings, self._services.layout)  # last: whoever reaches it finds us ready
        await stop.wait()
        events.cancel()
        for pod in self._pods.values():
            pod.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pod_changed(self, change: str, item: Json) -> None:
        uid = item["metadata"]["uid"]
        known = self._pods.get(uid)
        if change == DELETED:
            if known is not None:
                del self._pods[uid]
                known.vanish()
        elif known is not None:
            known.update(item)
        elif self._services.plays(item["spec"].get("nodeName")):
            self._pods[uid] = pod = Pod(item, self._services)
            task = asyncio.create_task(pod.run(), name=f"{item['metadata']['namespace']}/{item['metadata']['name']}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _source_changed(self, kind: str, namespace: str, name: str) -> None:
        for pod in self._pods.values():
            if pod.namespace == namespace:
                pod.source_changed(kind, name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("pod %s is given up", task.get_name(), exc_info=error)
