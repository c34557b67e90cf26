"""Live copies of API objects, by list and watch, for the event loop: watching blocks, so each has a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import ApiError, UnreachableError, path

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Cluster, Json

_log = logging.getLogger(__name__)

WATCH_TIMEOUT = 300.0
"""Seconds until a watch is begun anew, as client-go does: a connection that died silently is found so."""
_RETRY = 1.0
"""Seconds between tries while the API server does not answer."""
_HTTP_GONE = 410

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
        version = ""
        while not loop.is_closed():
            try:
                if not version:
                    version = self._list(loop)
                version = self._watch(loop, version)
            except ApiError as error:
                if error.status != _HTTP_GONE:
                    _log.warning("%s", error)
                    time.sleep(_RETRY)
                version = ""
            except UnreachableError as error:
                _log.warning("%s", error.found)
                time.sleep(_RETRY)
            except RuntimeError:  # the loop closed between our look and our call
                return

    def _list(self, loop: asyncio.AbstractEventLoop) -> str:
        answer = self._cluster.request("GET", self._path, query=self._query)
        loop.call_soon_threadsafe(self._replace, answer["items"])
        return str(answer["metadata"]["resourceVersion"])

    def _watch(self, loop: asyncio.AbstractEventLoop, version: str) -> str:
        query = {**self._query, "resourceVersion": version}
        for event in self._cluster.watch(self._path, query=query, timeout=WATCH_TIMEOUT):
            loop.call_soon_threadsafe(self._change, event["type"], event["object"])
            version = event["object"]["metadata"]["resourceVersion"]
        return version

    def _replace(self, items: list[Json]) -> None:
        """Take a whole list: what is not in it any more is gone."""
        present = {_key(item) for item in items}
        for key in [key for key in self._objects if key not in present]:
            self._change(DELETED, self._objects[key])
        for item in items:
            self._change("MODIFIED", item)
        self.synced.set()

    def _change(self, kind: str, item: Json) -> None:
        before = self._objects.get(_key(item))
        if before is not None and before["metadata"]["uid"] != item["metadata"]["uid"]:
            self._listener(DELETED, before)  # replaced by another of its name while nobody watched
        if kind == DELETED:
            self._objects.pop(_key(item), None)
        else:
            self._objects[_key(item)] = item
        self._listener(kind, item)


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
