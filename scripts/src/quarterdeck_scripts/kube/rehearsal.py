"""A cluster that is changed for one's own eyes only: the server says what it would do, and stores nothing.

Changes that build on each other can be rehearsed: what the server answered is what is read afterwards, and a change
of something that is not really there is sent as its creation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, ApiError, Around, Json
from quarterdeck_scripts.kube.differences import differences
from quarterdeck_scripts.kube.patches import PatchError, merge, merge_patch, operate
from quarterdeck_scripts.kube.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_scripts.kube.client import Cluster

_DRY = {"dryRun": "All"}

_NOT_FOUND, _INVALID = 404, 422

_WITH_PODS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds whose pods go with them."""

_SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
"""Metadata that the server writes."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One change, as the server would make it."""

    what: str
    """`+`, `~` or `-` for made, changed or deleted; kind, namespace and name."""
    how: tuple[str, ...]
    """What would be another in an object that is changed: a line each."""


class RehearsedCluster(Around):
    """A `Cluster` whose changes are dry runs."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._real: dict[str, Json] = {}
        """What was there before it was changed here, by path."""
        self._now: dict[str, Json | None] = {}
        """What would be there by now; None: nothing any more."""
        self.changes: list[Rehearsed] = []
        """Every change so far, in order."""

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Yield what really happens."""
        return self._cluster.watch(path, query=query, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Json:
        """Answer as if everything that was sent had been done.

        Raises:
            ApiError: the server would refuse.
            UnreachableError: it did not answer.
        """
        if method == "GET":
            return self._read(path, query, timeout)
        dry = {**(query or {}), **_DRY}
        if method == "POST":
            return self._make(path, dry, body, timeout)
        before = self._read(path, None, timeout)
        if method == "DELETE":
            if path not in self._now or path in self._real:
                # With a body the server reads its options from that alone.
                options = {**(body if isinstance(body, dict) else {}), "dryRun": ["All"]}
                self._cluster.request("DELETE", path, query=dry, body=options, timeout=timeout)
            return self._note("-", path, before, None)
        after = self._patch(path, before, body, content_type, query=dry, timeout=timeout)
        return self._note("~", path, before, after)

    def _read(self, path: str, query: Mapping[str, str] | None, timeout: float) -> Json:
        if path in self._now:
            found = self._now[path]
            if found is None:
                raise ApiError(_NOT_FOUND, "NotFound", "it would be deleted by now", method="GET", path=path)
            return copy.deepcopy(found)
        answer = self._cluster.request("GET", path, query=query, timeout=timeout)
        if "items" in answer:
            gone = [self._real[path] for path, now in self._now.items() if now is None and path in self._real]
            # A Service's selector is no LabelSelector, and no pod goes with it.
            selectors = [each["spec"]["selector"] for each in gone if each.get("kind") in _WITH_PODS]
            answer["items"] = [each for each in answer["items"] if not _selected(each, selectors)]
        return answer

    def _make(self, path: str, dry: dict[str, str], body: Any, timeout: float) -> Json:
        made = self._cluster.request("POST", path, query=dry, body=body, timeout=timeout)
        return self._note("+", f"{path}/{made['metadata']['name']}", {}, made)

    def _patch(self, path: str, before: Json, body: Any, content_type: str, **sent: Any) -> Json:
        if path not in self._now:
            return self._cluster.request("PATCH", path, body=body, content_type=content_type, **sent)
        after = _patched(before, body, content_type)
        if path in self._real:
            patch = _plain(merge_patch(self._real[path], after))
            return self._cluster.request("PATCH", path, body=patch, content_type=MERGE_PATCH, **sent)
        return self._cluster.request("POST", path.rpartition("/")[0], body=_plain(after), **sent)

    def _note(self, how: str, path: str, before: Json, after: Json | None) -> Json:
        if before and path not in self._now:
            self._real[path] = copy.deepcopy(before)
        self._now[path] = copy.deepcopy(after)
        found = after or before
        metadata = found["metadata"]
        name = "/".join(filter(None, [metadata.get("namespace"), metadata["name"]]))
        lines = differences(before, after) if how == "~" and after else ()
        self.changes.append(Rehearsed(f"{how} {found.get('kind', path)} {name}", lines))
        return found


def _selected(found: Json, selectors: list[Json]) -> bool:
    labels = found["metadata"].get("labels") or {}
    return any(selects(selector, labels) for selector in selectors)


def _patched(before: Json, body: Any, content_type: str) -> Json:
    try:
        if content_type == JSON_PATCH:
            return operate(before, body)
        patched: Json = merge(before, body)
    except PatchError as error:
        raise ApiError(_INVALID, "Invalid", str(error), method="PATCH") from error
    return patched


def _plain(found: Json) -> Json:
    """Return *found* without what the server writes."""
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _SERVERS}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}
