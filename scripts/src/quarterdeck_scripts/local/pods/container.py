"""One container, from waiting for its image to its last end: created, watched, restarted, stopped."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.local.pods import health
from quarterdeck_scripts.local.pods import status as st
from quarterdeck_scripts.local.pods.api import now
from quarterdeck_scripts.local.pods.backoff import Backoff, go_duration
from quarterdeck_scripts.local.pods.creation import BlockedError, Creation, create
from quarterdeck_scripts.local.pods.events import NORMAL, WARNING
from quarterdeck_scripts.local.pods.processes import StartError, log_tail
from quarterdeck_scripts.local.pods.run import Run
from quarterdeck_scripts.local.pods.waiting import first

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.creation import Sandbox
    from quarterdeck_scripts.local.pods.probes import Probe
    from quarterdeck_scripts.local.pods.services import Services

BLOCKED_RETRY = 2.0
"""Seconds until a container that can not be created is tried again, unless a ConfigMap or Secret changes before.
The kubelet waits longer for images, because it asks a registry; here it is one file."""
SIGNALLED = 128
"""Added to a signal's number it is the exit code; alone it says that the program could not be started."""


class Container:
    """A container of a pod; its `state` is what the pod's status says of it."""

    def __init__(
        self, spec: Json, sandbox: Sandbox, services: Services, changed: Callable[[], None], *, init: bool
    ) -> None:
        """*changed* is called whenever `state` has; *init*: it runs before the others."""
        self.spec = spec
        self.sidecar = init and st.is_sidecar(spec)
        self.up = asyncio.Event()
        """Set once it has started and its startup probe has passed, and when that will not happen any more."""
        self._finite = init and not self.sidecar
        self._sandbox = sandbox
        self._services = services
        self._changed = changed
        self._run: Run | None = None
        self._runs = 0
        self._stopping = asyncio.Event()
        self._backoff = Backoff(services.settings.crash_backoff)
        self._ending: asyncio.Task[None] | None = None
        later = not init and sandbox.pod["spec"].get("initContainers")
        waiting = st.Waiting(st.POD_INITIALIZING if later else st.CONTAINER_CREATING)
        self.state = st.ContainerState(spec["name"], spec["image"], waiting)

    async def run(self) -> st.Terminated | None:
        """Run it until it is not to be started again; return how it ended, None when it never ran."""
        try:
            while (creation := await self._creation()) is not None:
                ended = await self._live(creation)
                at = time.monotonic()
                if self._stopping.is_set() or not self._again(ended):
                    return ended
                await self._back_off(ended, at)
            return self.state.ended
        finally:
            self.up.set()

    async def stop(self, grace: float) -> None:
        """End it for good: preStop, stop signal, and SIGKILL to all of it after *grace* seconds."""
        self._stopping.set()
        await self._end(grace, f"Stopping container {self.spec['name']}")

    def kill(self) -> None:
        """End it for good, at once."""
        self._stopping.set()
        if self._run is not None:
            self._run.kill()

    def started(self) -> None:
        """The startup probe has passed, or there is none."""
        self._set(started=True)
        self.up.set()

    def readiness(self, *, ready: bool) -> None:
        """Readiness is settled, or settled anew."""
        if self.state.ready != ready:
            self._set(ready=ready)

    def unhealthy(self, probe: Probe, message: str) -> None:
        """One answer of a probe was a failure."""
        self._event(WARNING, "Unhealthy", f"{probe.kind} probe failed: {message}")

    def failed(self, probe: Probe) -> None:
        """A startup or liveness probe has failed for good: the container has to end."""
        grace = self._grace if probe.grace is None else probe.grace
        message = f"Container {self.spec['name']} failed {probe.kind.lower()} probe, will be restarted"
        self._ending = asyncio.create_task(self._end(grace, message))

    async def _creation(self) -> Creation | None:
        """Return what to start, waiting for what is missing; None when it is to stop."""
        while not self._stopping.is_set():
            try:
                return create(self.spec, self._sandbox, self._services, self._runs)
            except BlockedError as blocked:
                self._block(blocked)
            await first(self._services.sources.change(BLOCKED_RETRY), self._stopping.wait())
        return None

    def _block(self, blocked: BlockedError) -> None:
        before = self.state.state
        reason, message = blocked.reason, blocked.message
        pulled = isinstance(before, st.Waiting) and before.reason in {st.IMAGE_ERROR, st.IMAGE_BACK_OFF}
        if reason == st.IMAGE_ERROR and pulled:  # the second failure on
            message = f'Back-off pulling image "{self.spec["image"]}": {message}'
            reason = st.IMAGE_BACK_OFF
        waiting = st.Waiting(reason, message)
        if waiting != before:
            self._event(WARNING, "Failed", f"Error: {reason}: {message}")
            self._set(state=waiting, last=self.state.ended)

    async def _live(self, creation: Creation) -> st.Terminated:
        """Start it, watch it, and return how it ended."""
        started_at = now()
        self._event(NORMAL, "Pulled", f'Container image "{self.spec["image"]}" already present on machine')
        try:
            run = Run(self.spec, creation, self._sandbox.identity.pod_ip)
        except StartError as error:
            self._event(WARNING, "Failed", f"Error: {error}")
            self._begun(creation, started_at, "")
            return self._over(st.Terminated(SIGNALLED, started_at, now(), "StartError", message=str(error)))
        self._run = run
        self._event(NORMAL, "Started", "Container started")
        self._begun(creation, started_at, run.identity)
        watching = asyncio.create_task(self._watch(run))
        code = await run.wait()
        self._run = None
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        exit_code = SIGNALLED - code if code < 0 else code
        falls_back = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        message = log_tail(creation.launch.log) if exit_code and falls_back else ""
        return self._over(st.Terminated(exit_code, started_at, now(), "", max(-code, 0), message, run.identity))

    async def _watch(self, run: Run) -> None:
        passed, message = await run.hook("postStart", self._grace)
        if not passed:
            self._event(WARNING, "FailedPostStartHook", f"PostStartHook failed: {message}")
            self._ending = asyncio.create_task(self._end(self._grace, "FailedPostStartHook"))
        elif not self._finite:
            await health.watch(self.spec, lambda probe: run.ask(probe.handler, probe.timeout), self)

    async def _end(self, grace: float, message: str) -> None:
        if (run := self._run) is None:
            return
        self._event(NORMAL, "Killing", message)
        if wrong := await run.end(grace):
            self._event(WARNING, "FailedPreStopHook", f"PreStopHook failed: {wrong}")

    async def _back_off(self, ended: st.Terminated, at: float) -> None:
        """Wait as long as its crashes say, *at* being the monotonic time of the last."""
        until = self._backoff.until(at)
        if until > at:
            metadata = self._sandbox.pod["metadata"]
            name, pod = self.spec["name"], f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
            delay = go_duration(self._backoff.delay)
            message = f"back-off {delay} restarting failed container={name} pod={pod}"
            self._event(WARNING, "BackOff", f"Back-off restarting failed container {name} in pod {pod}")
            self._set(state=st.Waiting(st.CRASH_LOOP, message), last=ended)
            await first(asyncio.sleep(until - time.monotonic()), self._stopping.wait())
        self._backoff = self._backoff.restarted(at, time.monotonic())

    def _again(self, ended: st.Terminated) -> bool:
        if self._finite and ended.exit_code == 0:
            return False
        return st.restarts(self._sandbox.pod, self.spec, ended.exit_code)

    def _begun(self, creation: Creation, started_at: str, identity: str) -> None:
        self._set(
            state=st.Running(started_at),
            last=self.state.ended,
            restarts=self._runs,
            ready=False,
            started=False,
            image_id=creation.image.digest,
            container_id=identity,
        )
        self._runs += 1

    def _over(self, ended: st.Terminated) -> st.Terminated:
        self._set(state=ended, ready=self._finite and ended.exit_code == 0, started=False)
        return ended

    @property
    def _grace(self) -> float:
        return float(self._sandbox.pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _event(self, kind: str, reason: str, message: str) -> None:
        pod = self._sandbox.pod
        self._services.events.record(pod, kind, reason, message, container=self.spec["name"])

    def _set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._changed()
