"""One pod: its address, volumes and containers, its status in the API, and its end."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import POD_ADDRESS
from quarterdeck_scripts.kube.client import ApiError, UnreachableError
from quarterdeck_scripts.local.pods import status as st
from quarterdeck_scripts.local.pods.api import now
from quarterdeck_scripts.local.pods.container import Container
from quarterdeck_scripts.local.pods.creation import Sandbox
from quarterdeck_scripts.local.pods.events import WARNING
from quarterdeck_scripts.local.pods.fields import Identity, UnresolvedError
from quarterdeck_scripts.local.pods.volumes import PodVolumes
from quarterdeck_scripts.local.pods.waiting import first

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.services import Services

_log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds between tries of what the API server did not answer, or of what is not there yet."""
SHUTDOWN_GRACE = 1.5
"""Seconds between SIGTERM and SIGKILL when the whole environment ends: nobody is served any more."""
_GONE_OR_REPLACED = (404, 409)
"""HTTP statuses that say that the API server has forgotten the pod."""


class Pod:
    """A pod on one of our nodes, from when it is first seen until the API server has forgotten it."""

    def __init__(self, pod: Json, services: Services) -> None:
        self._services = services
        metadata = pod["metadata"]
        logs = services.layout.pods / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
        logs.mkdir(parents=True, exist_ok=True)
        self._folder = services.layout.roots / metadata["uid"][:8]
        volumes = PodVolumes(pod, self._folder, services.api, services.sources, services.settings)
        host = services.host_address(pod["spec"]["nodeName"])
        self._sandbox = Sandbox(pod, logs, volumes, Identity("", host))
        self._began = now()
        self._told = asyncio.Event()
        """It is to end: deleted by somebody, or the environment ends."""
        self._vanished = asyncio.Event()
        """The API server has forgotten it: nothing of it may go on."""
        self._closing = False
        """The environment ends: the API server is told nothing any more."""
        self._dirty = asyncio.Event()
        self._stale = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written: Json = {}
        spec = pod["spec"]
        self._init = [self._container(entry, init=True) for entry in spec.get("initContainers", [])]
        self._main = [self._container(entry, init=False) for entry in spec["containers"]]

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self._sandbox.pod["metadata"]["namespace"])

    def update(self, pod: Json) -> None:
        """Take the API object as it is now."""
        before, metadata = self._sandbox.pod["metadata"], pod["metadata"]
        self._sandbox.pod = self._sandbox.volumes.pod = pod
        self._dirty.set()
        if any(before.get(field) != metadata.get(field) for field in ("labels", "annotations")):
            self._stale.set()
        if "deletionTimestamp" in metadata:
            self._told.set()

    def source_changed(self, kind: str, name: str) -> None:
        """A ConfigMap or Secret of its namespace has changed."""
        if self._sandbox.volumes.refers_to(kind, name):
            self._stale.set()

    def vanish(self) -> None:
        """The API server has forgotten the pod."""
        self._vanished.set()
        self._told.set()

    def close(self) -> None:
        """The environment ends."""
        self._closing = True
        self._told.set()

    async def run(self) -> None:
        """Live the pod's life."""
        self.update(self._sandbox.pod)
        writing = asyncio.create_task(self._write_changes())
        life = asyncio.create_task(self._live())
        try:
            await first(life, self._told.wait())
            if life.done():
                life.result()  # raises what went wrong in it
            await self._told.wait()  # what ended by itself stays, with its logs, until it is deleted
            await self._terminate()
            await life
            if not self._closing:
                await self._forget()
        finally:
            for container in (*self._init, *self._main):
                container.kill()  # nothing, unless something here went wrong: no process may be left unwatched
            writing.cancel()
            life.cancel()
            self._clean()

    async def _live(self) -> None:
        """Get an address, fill the volumes, run the init containers, then the others, until all are done."""
        if not (
            await self._insist(self._take_address, "FailedCreatePodSandBox")
            and await self._insist(self._fill_volumes, "FailedMount")
        ):
            return
        refreshing = asyncio.create_task(self._refresh_volumes())
        sidecars = [container for container in self._init if container.sidecar]
        running = {}
        try:
            for container in self._init:
                if container.sidecar:
                    running[container.spec["name"]] = asyncio.create_task(container.run())
                    await container.up.wait()
                elif (ended := await container.run()) is None or ended.exit_code != 0:
                    break
            else:
                await asyncio.gather(*(container.run() for container in self._main))
            for container in reversed(sidecars):
                await container.stop(self._grace)
            await asyncio.gather(*running.values())
        finally:
            refreshing.cancel()

    async def _take_address(self) -> None:
        metadata = self._sandbox.pod["metadata"]
        wanted = metadata.get("annotations", {}).get(POD_ADDRESS)
        address = self._services.addresses.take(metadata["uid"], wanted)
        self._sandbox.identity = Identity(address, self._sandbox.identity.host_ip)
        self._dirty.set()

    async def _fill_volumes(self) -> None:
        await self._sandbox.volumes.fill(self._sandbox.identity)

    async def _insist(self, attempt: Callable[[], Awaitable[None]], reason: str) -> bool:
        """Try until it works, recording each failure as an event; False when the pod is to end before."""
        while not self._told.is_set():
            try:
                await attempt()
            except (UnresolvedError, ApiError, UnreachableError) as error:
                self._services.events.record(self._sandbox.pod, WARNING, reason, str(error))
            else:
                return True
            await first(self._services.sources.change(RETRY), self._told.wait())
        return False

    async def _refresh_volumes(self) -> None:
        """Write the volumes again whenever a source of theirs changed or a token is to be renewed."""
        while True:
            renewal = self._sandbox.volumes.renewal
            with suppress(TimeoutError):
                async with asyncio.timeout(None if renewal is None else renewal - time.monotonic()):
                    await self._stale.wait()
            self._stale.clear()
            await self._insist(self._fill_volumes, "FailedMount")

    async def _terminate(self) -> None:
        """End every container; at once when the API server forgets the pod meanwhile."""
        containers = [*self._init, *self._main]
        ending = asyncio.ensure_future(self._stop(containers))
        await first(ending, self._vanished.wait())
        if self._vanished.is_set():
            for container in containers:
                container.kill()
        await ending

    async def _stop(self, containers: list[Container]) -> None:
        """Stop containers, sidecars last and one after another."""
        await asyncio.gather(*(one.stop(self._grace) for one in containers if not one.sidecar))
        for container in reversed(containers):
            if container.sidecar:
                await container.stop(self._grace)

    @property
    def _grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        if self._closing:
            return SHUTDOWN_GRACE
        pod = self._sandbox.pod
        if (deletion := pod["metadata"].get("deletionGracePeriodSeconds")) is not None:
            return float(deletion)
        return float(pod["spec"].get("terminationGracePeriodSeconds", 30))

    async def _forget(self) -> None:
        """Write the last status and take the pod out of the API."""
        while not self._vanished.is_set():
            try:
                await self._write_status()
                await self._services.api.delete(self._sandbox.pod)
            except ApiError as error:
                if error.status in _GONE_OR_REPLACED:
                    return
                _log.warning("%s", error)
            except UnreachableError as error:
                _log.warning("%s", error.found)
            else:
                return
            await first(asyncio.sleep(RETRY), self._vanished.wait())

    async def _write_changes(self) -> None:
        """Write the status whenever it changed, until the API server has forgotten the pod."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._write_status()
            except ApiError as error:
                if error.status in _GONE_OR_REPLACED:
                    return
                _log.warning("%s", error)
            except UnreachableError as error:
                _log.warning("%s", error.found)
            else:
                continue
            await asyncio.sleep(RETRY)
            self._dirty.set()

    async def _write_status(self) -> None:
        async with self._writing:
            pod = self._sandbox.pod
            before = self._written.get("conditions") or pod.get("status", {}).get("conditions", [])
            status = st.pod_status(pod, self._observation(), before, now())
            if status != self._written:
                await self._services.api.write_status(pod, status)
                self._written = status

    def _observation(self) -> st.Observation:
        identity = self._sandbox.identity
        return st.Observation(
            init_containers=[container.state for container in self._init],
            containers=[container.state for container in self._main],
            started_at=self._began,
            host_ip=identity.host_ip,
            pod_ip=identity.pod_ip,
            over=self._told.is_set(),
        )

    def _clean(self) -> None:
        uid = self._sandbox.pod["metadata"]["uid"]
        self._services.addresses.release(uid)
        shutil.rmtree(self._sandbox.logs, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _container(self, spec: Json, *, init: bool) -> Container:
        return Container(spec, self._sandbox, self._services, self._dirty.set, init=init)
