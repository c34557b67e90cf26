"""What one client has seen of objects and collections, by which it knows an answer of the past. Pure.

A request without a `resourceVersion` is promised the newest state. A server that lags behind (a cache, another
replica, what stands before it) breaks that promise without a word; whoever believes it deletes what it was about
to create, or finds gone what is there. Versions of one kind of object may be compared as numbers: the API promises
it since 1.35 (KEP-5504), and no server has ever done otherwise. Any that is not a number is left alone.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from quarterdeck_scripts.kube.client import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Json

_MOST = 1000
"""Objects remembered: far more than one command changes; the pod runner forgets what it saw long ago."""

_NOT_FOUND = 404

_PATH = re.compile(
    r"(?P<group>/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/[^/]+)?"
)


class _Key(NamedTuple):
    kind: tuple[str, str]
    """Group with version, and plural: what versions may be compared within."""
    namespace: str
    name: str
    """Empty for a collection."""


@dataclass(frozen=True, slots=True)
class _Seen:
    version: int
    uid: str
    leaving: bool = False
    """Deleted by us: it may be gone at any moment."""
    gone: bool = False
    """The server said that it is."""


class Versions:
    """Remembers the newest that was seen. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: OrderedDict[_Key, _Seen] = OrderedDict()
        self._newest: dict[tuple[str, str], int] = {}

    def check(self, method: str, path: str, query: Mapping[str, str] | None, answer: Json) -> str:
        """Note what *answer* shows; return why it is of the past, or nothing when it is not."""
        query = query or {}
        key = _key(path)
        if key is None or "dryRun" in query or "resourceVersion" in query:
            return ""
        with self._lock:
            if method == "GET":
                why = self._outdated(key, query, answer)
                if why:
                    return why
            self._note(method, key, answer)
        return ""

    def check_absence(self, method: str, path: str, error: Exception) -> bool:
        """Return whether *error* says that something is not there which was, and which nobody here deleted."""
        key = _key(path)
        if method != "GET" or key is None or not isinstance(error, ApiError) or error.status != _NOT_FOUND:
            return False
        with self._lock:
            seen = self._objects.get(key)
            return seen is not None and not seen.leaving

    def forget(self, path: str) -> None:
        """Believe that what was at *path* is gone."""
        key = _key(path)
        with self._lock:
            if key is not None:
                self._objects.pop(key, None)

    def note_event(self, path: str, changed: Json) -> None:
        """Note the object of a watch event on the collection at *path*: a later list is not older."""
        key, version = _key(path), _version(changed)
        if key is not None and version is not None:
            with self._lock:
                self._newest[key.kind] = max(version, self._newest.get(key.kind, 0))

    def _outdated(self, key: _Key, query: Mapping[str, str], answer: Json) -> str:
        version = _version(answer)
        if version is None:
            return ""
        if "items" in answer:
            newest = self._newest.get(key.kind, 0)
            # Further pages are of the moment of the first, which may be long past.
            return f"a list of version {version} after {newest}" if version < newest and "continue" not in query else ""
        seen = self._objects.get(key)
        if seen is None:
            return ""
        if seen.gone and answer["metadata"].get("uid") == seen.uid:
            return "what was deleted"
        return f"version {version} after {seen.version}" if version < seen.version else ""

    def _note(self, method: str, key: _Key, answer: Json) -> None:
        version = _version(answer)
        if version is not None:
            self._newest[key.kind] = max(version, self._newest.get(key.kind, 0))
        if method == "DELETE":
            self._note_deletion(key, version, answer)
        elif version is not None and "items" not in answer and (name := answer["metadata"].get("name")):
            seen = self._objects.get(key._replace(name=name))
            # An answer that was long under way does not undo what was learnt meanwhile.
            if seen is None or seen.version <= version:
                metadata = answer["metadata"]
                self._put(
                    key._replace(name=name),
                    _Seen(version, metadata.get("uid", ""), leaving="deletionTimestamp" in metadata),
                )

    def _note_deletion(self, key: _Key, version: int | None, answer: Json) -> None:
        if not key.name:
            for each in [each for each in self._objects if each._replace(name="") == key]:
                del self._objects[each]
        elif version is not None:
            self._put(key, _Seen(version, answer["metadata"].get("uid", ""), leaving=True))
        else:
            seen = self._objects.get(key)
            uid = (answer.get("details") or {}).get("uid", "") or (seen.uid if seen else "")
            self._put(key, _Seen(seen.version if seen else 0, uid, leaving=True, gone=bool(uid)))

    def _put(self, key: _Key, seen: _Seen) -> None:
        self._objects[key] = seen
        self._objects.move_to_end(key)
        while len(self._objects) > _MOST:
            self._objects.popitem(last=False)


def _key(path: str) -> _Key | None:
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    return _Key((found["group"], found["plural"]), found["namespace"] or "", found["name"] or "")


def _version(answer: Json) -> int | None:
    text = (answer.get("metadata") or {}).get("resourceVersion") or ""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None
