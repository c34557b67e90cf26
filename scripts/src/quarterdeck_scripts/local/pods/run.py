"""One run of a container: its process with its hooks, from start to end."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from quarterdeck_scripts.local.pods import prober
from quarterdeck_scripts.local.pods.processes import ContainerProcess
from quarterdeck_scripts.local.pods.waiting import first

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.creation import Creation

MINIMUM_GRACE = 2.0
"""Seconds a process has after SIGTERM even when its preStop hook used the grace period up: the kubelet's."""


class Run:
    """A started container."""

    def __init__(self, spec: Json, creation: Creation, address: str) -> None:
        """Start it; *address* is the pod's.

        Raises:
            StartError: the program can not be started.
        """
        self._spec = spec
        self._launch = creation.launch
        self._address = address
        self._stop_signal = signal.Signals[creation.image.stop_signal]
        self._told = False
        self._process = ContainerProcess(creation.launch)

    @property
    def identity(self) -> str:
        """As the pod status' `containerID`."""
        return self._process.identity

    async def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        return await self._process.wait()

    async def ask(self, handler: Json, limit: float) -> tuple[bool, str]:
        """Carry out a probe's handler; see `prober.ask`."""
        return await prober.ask(handler, self._spec, self._address, self._launch, limit)

    async def hook(self, name: str, limit: float) -> tuple[bool, str]:
        """Carry out the lifecycle hook *name* where there is one, giving up after *limit* seconds."""
        handler = self._spec.get("lifecycle", {}).get(name)
        if handler is None:
            return True, ""
        if "sleep" in handler:
            await asyncio.sleep(min(handler["sleep"]["seconds"], limit))
            return True, ""
        return await self.ask(handler, limit)

    async def end(self, grace: float) -> str:
        """End it: preStop hook, stop signal, SIGKILL to all of it when *grace* seconds are over.

        Called again meanwhile, it only waits anew.

        Returns:
            What was wrong with the preStop hook; empty when nothing was.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        message = ""
        if not self._told and grace > 0:
            self._told = True
            hook = asyncio.create_task(self.hook("preStop", grace))
            await first(hook, self._process.wait())  # a process that is gone needs no more preparation
            _, message = hook.result() if hook.done() else (hook.cancel(), "")
            self._process.send(self._stop_signal)
        try:
            async with asyncio.timeout_at(max(deadline, loop.time() + min(grace, MINIMUM_GRACE))):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        return message

    def kill(self) -> None:
        """SIGKILL all of it."""
        self._process.kill()
