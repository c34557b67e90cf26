"""Watch one running container by its probes, and tell what they find."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from quarterdeck_scripts.local.pods.probes import LIVENESS, READINESS, STARTUP, Probe, Tally, probe_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from quarterdeck_scripts.kube.client import Json

Ask = Callable[[Probe], Awaitable[tuple[bool, str]]]
"""Carries out one probe: whether it passed, and what was wrong if not."""


class Listener(Protocol):
    """Who is told what the probes find."""

    def started(self) -> None:
        """The startup probe has passed, or there is none."""
        ...

    def readiness(self, *, ready: bool) -> None:
        """Readiness is settled, or settled anew."""
        ...

    def unhealthy(self, probe: Probe, message: str) -> None:
        """One answer of a probe was a failure."""
        ...

    def failed(self, probe: Probe) -> None:
        """A startup or liveness probe has failed for good: the container has to end."""
        ...


async def watch(container: Json, ask: Ask, listener: Listener) -> None:
    """Probe *container*, which has just started, until cancelled or until it has failed for good."""
    startup = probe_of(container, STARTUP)
    if startup is not None and not await anext(_results(startup, ask, listener)):
        listener.failed(startup)
        return
    listener.started()
    readiness, liveness = probe_of(container, READINESS), probe_of(container, LIVENESS)
    if readiness is None:
        listener.readiness(ready=True)
    async with asyncio.TaskGroup() as group:
        if readiness is not None:
            group.create_task(_follow_readiness(readiness, ask, listener))
        if liveness is not None:
            group.create_task(_follow_liveness(liveness, ask, listener))


async def _follow_readiness(probe: Probe, ask: Ask, listener: Listener) -> None:
    async for result in _results(probe, ask, listener):
        listener.readiness(ready=result)


async def _follow_liveness(probe: Probe, ask: Ask, listener: Listener) -> None:
    async for result in _results(probe, ask, listener):
        if not result:
            listener.failed(probe)
            return


async def _results(probe: Probe, ask: Ask, listener: Listener) -> AsyncIterator[bool]:
    """Probe once a period, for ever; yield each settled result, unhealthy answers told on the way."""
    loop = asyncio.get_running_loop()
    tally = Tally(probe)
    due = loop.time() + probe.initial_delay
    while True:
        await asyncio.sleep(due - loop.time())
        passed, message = await ask(probe)
        if not passed:
            listener.unhealthy(probe, message)
        if (result := tally.observe(passed=passed)) is not None:
            yield result
        due = max(due + probe.period, loop.time())
