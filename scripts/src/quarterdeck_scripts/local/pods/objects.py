"""Live copies of API objects, by list and watch, for the event loop: watching blocks, so each has a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.follow import Change, Told, follow

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_contract.errors import QuarterdeckError
    from quarterdeck_scripts.kube.client import Cluster, Json

_log = logging.getLogger(__name__)

DELETED = "DELETED"
"""Type of the change that an object is gone; any other says that it is there, new or changed."""


class Mirror:
    """All objects of one kind, followed by a thread, delivered to the event loop in order."""

    def __init__(self, cluster: Cluster, kind: str, *, selector: str = "") -> None:
        """*selector* is a field selector; empty for all."""
        self._cluster = cluster
        self._kind = kind
        self._path = path(kind)
        self._query = {"fieldSelector": selector} if selector else {}
        self._objects: dict[str, Json] = {}
        self._listener: Callable[[str, Json], None] = lambda _, __: None
        self.synced = asyncio.Event()
        """Set once the first list has been delivered."""

    def get(self, namespace: str, name: str) -> Json | None:
        """Return the object as last seen; None when there is none."""
        return self._objects.get(f"{namespace}/{name}")

    def start(self, listener: Callable[[str, Json], None]) -> None:
        """Follow the objects from now on; *listener* is told each change, in the event loop."""
        self._listener = listener
        loop = asyncio.get_running_loop()
        # A daemon: it blocks in a read for minutes, and the runner's end must not wait for that.
        threading.Thread(target=self._follow, args=(loop,), name=f"watch {self._kind}", daemon=True).start()

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop may close between any two of its calls; then there is nobody left to tell.
        with suppress(RuntimeError):
            for change in follow(self._cluster, self._path, self._query, trouble=partial(_complain, loop)):
                loop.call_soon_threadsafe(self._take, change)

    def _take(self, change: Change) -> None:
        if change.told is Told.COMPLETE:
            self.synced.set()
        else:
            self._change(DELETED if change.told is Told.ABSENT else "MODIFIED", change.found)

    def _change(self, kind: str, item: Json) -> None:
        before = self._objects.get(_key(item))
        if before is not None and before["metadata"]["uid"] != item["metadata"]["uid"]:
            self._listener(DELETED, before)  # replaced by another of its name while nobody watched
        if kind == DELETED:
            self._objects.pop(_key(item), None)
        else:
            self._objects[_key(item)] = item
        self._listener(kind, item)


def _complain(loop: asyncio.AbstractEventLoop, error: QuarterdeckError) -> None:
    """Go on whatever it is: a right that lacks may be given while the environment runs."""
    loop.call_soon_threadsafe(_log.warning, "%s", error)


def _key(item: Json) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


class Sources:
    """ConfigMaps and Secrets, for environments and volumes; says when one changed."""

    def __init__(self, cluster: Cluster) -> None:
        self._mirrors = {kind: Mirror(cluster, kind) for kind in ("ConfigMap", "Secret")}
        self._changed = asyncio.Event()

    async def start(self, listener: Callable[[str, str, str], None]) -> None:
        """Follow them; *listener* is told kind, namespace and name of each change. Returns when all are known."""
        for kind, mirror in self._mirrors.items():
            mirror.start(partial(self._tell, listener, kind))
        for mirror in self._mirrors.values():
            await mirror.synced.wait()

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return the object; None when there is none."""
        return self._mirrors[kind].get(namespace, name)

    async def change(self, timeout: float) -> None:  # noqa: ASYNC109 -- not a deadline: the longest sensible sleep
        """Return when anything changed, or after *timeout* seconds."""
        changed = self._changed
        try:
            async with asyncio.timeout(timeout):
                await changed.wait()
        except TimeoutError:
            pass

    def _tell(self, listener: Callable[[str, str, str], None], kind: str, change: str, item: Json) -> None:
        del change
        self._changed.set()
        self._changed = asyncio.Event()
        listener(kind, item["metadata"]["namespace"], item["metadata"]["name"])
