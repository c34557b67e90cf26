"""The log in the cluster: ConfigMaps of entries, each sealed (`immutable`) before it is full.

Writers on several machines take turns by the segment's `resourceVersion`: whoever is late reads again. A new
segment begins only after the one before it is sealed, so two writers can never both continue one entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import AUDIT_CONFIGMAP_PREFIX, MANAGED_BY, SYSTEM_NAMESPACE
from quarterdeck_scripts.audit.chain import Entry, read_line
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.kube.retries import TRIES, Backoff, may_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json

FULL = 900 * 1024
"""Bytes of entries at which a segment is sealed: the API server takes 1 MiB for a whole object."""

_TURNS = 50
"""How often a writer tries again when others were faster. Each try that fails is an entry of somebody else's."""

_NOT_FOUND = 404
_CONFLICT = 409

Compose = Callable[[list[str], int], Entry]
"""Makes the entry to append, from the lines there are (of the segments that were read) and its segment."""


class Segments:
    """The log's ConfigMaps, in the namespace `quarterdeck`."""

    def __init__(self, cluster: Cluster, *, full: int = FULL) -> None:
        self._cluster = cluster
        self._full = full

    def read(self, first: int = 1) -> Iterator[tuple[str, str]]:
        """Yield each line with where it is, from the segment *first* on."""
        number = first
        while segment := self._get(number):
            for key, line in sorted(segment["data"].items()):
                yield f"entry {int(key)} of ConfigMap {SYSTEM_NAMESPACE}/{_name(number)}", line
            number += 1

    def append(self, compose: Compose, first: int) -> list[str]:
        """Append the entry that *compose* makes; *first* is a segment known to be there, or 1.

        Returns:
            All lines from the segment *first* on, the new one last or, after a lost answer, near the end.

        Raises:
            ApiError: refused, for want of the namespace or of permission, or an error of the server that stays.
            UnreachableError: no answer, however often it was asked for.
            RefusedError: somebody emptied the log.
        """
        lost, backoff = 0, Backoff()
        for _ in range(_TURNS):
            try:
                number, segment, lines = self._tail(first)
                entry = compose(lines, number)
                if lost and any((each.change, each.phase) == (entry.change, entry.phase) for each in _entries(lines)):
                    return lines
                if self._append_to(number, segment, entry):
                    return [*lines, entry.to_line()]
            except (ApiError, UnreachableError) as error:
                # It could not be read, or whether it was written is unknown: the next turn reads it back.
                lost += 1
                if not may_pass(error) or lost == TRIES:
                    raise
                time.sleep(backoff.pause(error))
        raise ApiError(_CONFLICT, "Conflict", f"others wrote {_TURNS} times in between", path=_path(first))

    def _tail(self, first: int) -> tuple[int, Json | None, list[str]]:
        """Return the number of the segment to write to, the segment unless it is yet to be made, and all lines."""
        number = first
        lines: list[str] = []
        while segment := self._get(number):
            lines += [line for _, line in sorted(segment["data"].items())]
            if not segment.get("immutable"):
                break
            number += 1
        return number, segment, lines

    def _append_to(self, number: int, segment: Json | None, entry: Entry) -> bool:
        """Try to append *entry*; return False when the log is another by now, or the segment had to be sealed."""
        added = {f"{entry.sequence:08}": entry.to_line()}
        try:
            if segment is None:
                self._make(number, added)
                return True
            version = {"metadata": {"resourceVersion": segment["metadata"]["resourceVersion"]}}
            fits = _size(segment["data"]) + _size(added) <= self._full
            change = {"data": added} if fits else {"immutable": True}
            self._cluster.request("PATCH", _path(number), body={**version, **change}, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            return False
        return fits

    def _make(self, number: int, data: dict[str, str]) -> None:
        metadata = {"name": _name(number), "labels": {MANAGED_BY: "quarterdeck"}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        self._cluster.request("POST", path("ConfigMap", SYSTEM_NAMESPACE), body=body)

    def _get(self, number: int) -> Json | None:
        try:
            segment = self._cluster.request("GET", _path(number))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return None
        if not segment.get("data"):
            raise RefusedError(
                f"entries in the ConfigMap {SYSTEM_NAMESPACE}/{_name(number)}, a part of the audit log",
                "none: somebody emptied it",
                "find out who; then restore it from a copy in `.quarterdeck/audit`, or delete it",
            )
        return segment


def _entries(lines: Iterable[str]) -> Iterator[Entry]:
    return (read_line(line)[0] for line in lines)


def _size(data: dict[str, str]) -> int:
    return sum(len(key) + len(line.encode()) for key, line in data.items())


def _name(number: int) -> str:
    return f"{AUDIT_CONFIGMAP_PREFIX}-{number:06}"


def _path(number: int) -> str:
    return path("ConfigMap", SYSTEM_NAMESPACE, _name(number))
