"""A collection as it changes, from a list and the watches after it: no change is missed, whatever breaks off.

A watch that ends is begun anew where it ended; one whose version has expired (410) is begun with a new list, and what
went or changed meanwhile is told from the difference. Bookmarks keep the version of a quiet collection young, so that
few watches expire.
"""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, NamedTuple

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.kube.client import PAGE, ApiError
from quarterdeck_scripts.kube.retries import Backoff, may_pass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Cluster, Json

WATCH_SECONDS = 300.0
"""Until a watch is begun anew, as client-go does: a connection that died silently is found so."""

_GONE = 410


class Told(enum.Enum):
    """What is told of an object."""

    PRESENT = "present"
    """It is there: new, or changed."""
    ABSENT = "absent"
    """It is not there any more; as it was last."""
    COMPLETE = "complete"
    """Of no object: all that there is has been told. Once after each list."""


class Change(NamedTuple):
    """One change of a collection."""

    told: Told
    found: Json
    """The object; empty for COMPLETE."""


def raise_lasting(error: QuarterdeckError) -> None:
    """Raise *error* unless it may pass: what `follow` does about trouble, if it is told nothing else."""
    if not may_pass(error):
        raise error


def follow(
    cluster: Cluster,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    trouble: Callable[[QuarterdeckError], None] = raise_lasting,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Change]:
    """Yield what is in the collection at *path*, and then each change of it, without end.

    Args:
        cluster: where.
        path: of the collection.
        query: selectors.
        trouble: called with what went wrong, before it is tried again; may raise it.
        sleep: waits, seconds.
    """
    following = _Following(cluster, path, query or {})
    backoff = Backoff()
    while True:
        try:
            for change in following.changes():
                backoff = Backoff()
                yield change
        except QuarterdeckError as error:
            if isinstance(error, ApiError) and error.status == _GONE:
                following.version = ""
            else:
                trouble(error)
        # Also after an orderly end, or a server that ends each watch at once would be asked without a pause.
        sleep(backoff.pause())


class _Following:
    """What is known of a collection, and up to which version."""

    def __init__(self, cluster: Cluster, path: str, query: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._path = path
        self._query = query
        self._known: dict[str, Json] = {}
        self.version = ""
        """Up to which everything was told; empty when a list is needed."""

    def changes(self) -> Iterator[Change]:
        """Yield changes until the watch ends."""
        if not self.version:
            yield from self._list()
        query = {**self._query, "resourceVersion": self.version, "allowWatchBookmarks": "true"}
        for event in self._cluster.watch(self._path, query=query, timeout=WATCH_SECONDS):
            found = event["object"]
            if event["type"] != "BOOKMARK":
                yield self._noted(found, absent=event["type"] == "DELETED")
            self.version = found["metadata"]["resourceVersion"]

    def _list(self) -> Iterator[Change]:
        items, version = self._all()
        present = {item["metadata"]["uid"] for item in items}
        for uid in self._known.keys() - present:
            yield Change(Told.ABSENT, self._known.pop(uid))
        for item in items:
            known = self._known.get(item["metadata"]["uid"])
            if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                yield self._noted(item)
        self.version = version
        yield Change(Told.COMPLETE, {})

    def _all(self) -> tuple[list[Json], str]:
        """Return the whole collection at one version: a page that expired makes all before it void."""
        items: list[Json] = []
        page = {**self._query, "limit": PAGE}
        while True:
            answer = self._cluster.request("GET", self._path, query=page)
            items += answer["items"]
            page["continue"] = answer["metadata"].get("continue") or ""
            if not page["continue"]:
                return items, answer["metadata"]["resourceVersion"]

    def _noted(self, found: Json, *, absent: bool = False) -> Change:
        uid = found["metadata"]["uid"]
        if absent:
            self._known.pop(uid, None)
            return Change(Told.ABSENT, found)
        self._known[uid] = found
        return Change(Told.PRESENT, found)
