"""A collection that is looked at time and again: a large one is listed once, and then only asked what changed.

10,000 pods are twenty pages of a list. At a request a second a look would come every twenty seconds, and what happens
between two looks is seen so much later. What changed since the last look is one request, however many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quarterdeck_scripts.kube.client import Cluster, Json

PAGE = "2000"
"""Objects a page: larger than where only one is held at a time, because each page is a second in which nothing else is
asked for, and a list is rare."""

MANY = 100
"""Objects above which a collection is asked for its changes. Fewer are listed in less time than a watch lasts."""

CATCHING_UP = 1.0
"""Seconds that a watch for what has changed lasts: the least that an API server takes, and it says the past at once."""

_FORBIDDEN, _GONE = 403, 410


class Known:
    """One collection, as it was when it was looked at last."""

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        keep: Callable[[Json], Json] = lambda found: found,
    ) -> None:
        """Ask nothing yet.

        Args:
            cluster: where.
            path: of the collection.
            query: selectors.
            keep: returns what is to be kept of an object.
        """
        self._cluster = cluster
        self._path = path
        self._query = dict(query or {})
        self._keep = keep
        self._found: dict[str, Json] = {}
        """By UID."""
        self._version = ""
        """Up to which `_found` is true; empty when it has to be listed."""
        self._may_watch = True

    def look(self) -> list[Json]:
        """Return every object as it is now.

        Raises:
            ApiError, UnreachableError: there is no answer; the next look takes up where this one was.
        """
        if not (self._version and self._caught_up()):
            self._list()
        return list(self._found.values())

    def _caught_up(self) -> bool:
        """Take in what has changed since the last look; return whether that could be had.

        It cannot be had from a server that has forgotten it, from one that does not let this user watch, or when a
        connection breaks: a list says the same.
        """
        query = {**self._query, "resourceVersion": self._version, "allowWatchBookmarks": "true"}
        try:
            for event in self._cluster.watch(self._path, query=query, timeout=CATCHING_UP):
                found = event["object"]
                if event["type"] == "DELETED":
                    self._found.pop(found["metadata"]["uid"], None)
                elif event["type"] != "BOOKMARK":
                    self._found[found["metadata"]["uid"]] = self._keep(found)
                self._version = found["metadata"]["resourceVersion"]
        except UnreachableError:
            return False
        except ApiError as error:
            if error.status not in {_FORBIDDEN, _GONE}:
                raise
            self._may_watch = error.status != _FORBIDDEN
            return False
        return True

    def _list(self) -> None:
        """Take in all of it as it was at one moment: a page that expired makes all before it void."""
        self._version = ""
        found: dict[str, Json] = {}
        page = {**self._query, "limit": PAGE}
        while True:
            try:
                answer = self._cluster.request("GET", self._path, query=page)
            except ApiError as error:
                if error.status != _GONE or "continue" not in page:
                    raise
                del page["continue"]
                found.clear()
                continue
            found |= {each["metadata"]["uid"]: self._keep(each) for each in answer["items"]}
            page["continue"] = answer["metadata"].get("continue") or ""
            if not page["continue"]:
                break
        self._found = found
        if len(found) > MANY and self._may_watch:
            self._version = answer["metadata"]["resourceVersion"]
