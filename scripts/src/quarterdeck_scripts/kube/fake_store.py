"""What the API server in memory remembers: objects, their versions, and the history that watches replay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import RESOURCES, ApiError, path
from quarterdeck_scripts.kube.patches import copied
from quarterdeck_scripts.kube.selectors import field_names, matches_fields, matches_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json

_KINDS = {plural: kind for kind, (_, plural) in RESOURCES.items()}

_SELECTABLE = {
    "pods": {"spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"},
    "nodes": {"spec.unschedulable"},
    "events": {"involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "reason", "type"},
}
"""Fields that `fieldSelector` may ask about, besides name and namespace."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where an object or a collection is: the parts of its path."""

    version: str
    """`v1`, `apps/v1`."""
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def parse(cls, where: str) -> Address:
        """Read an API path."""
        parts = where.strip("/").split("/")
        version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:  # noqa: PLR2004 -- namespaces/<name>/<plural>
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, "", "")[:3]
        return cls(version, plural, namespace, name, subresource)

    @classmethod
    def of(cls, found: Json) -> Address:
        """Return the address of an object that says its kind."""
        metadata = found["metadata"]
        return cls.parse(path(found["kind"], metadata.get("namespace"), metadata["name"]))

    @property
    def kind(self) -> str:
        """The kind of what is there."""
        return _KINDS.get(self.plural, self.plural)

    @property
    def described(self) -> str:
        """As the API server's messages name it: `deployments.apps "checkout"`."""
        group = self.version.partition("/")[0] if "/" in self.version else ""
        return f'{self.plural}{"." + group if group else ""} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Selection:
    """The selectors of a list or a watch."""

    within: Address
    labels: str
    fields: str

    @classmethod
    def of(cls, within: Address, query: Mapping[str, str]) -> Selection:
        """Read the selectors of *query*.

        Raises:
            ApiError: 400 for a selector that the API server does not take.
        """
        selection = cls(within, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        known = {"metadata.name", "metadata.namespace"} | _SELECTABLE.get(within.plural, set())
        for name in field_names(selection.fields):
            if name not in known:
                raise ApiError(400, "BadRequest", f'"{name}" is not a known field selector')
        try:
            matches_labels(selection.labels, {})
        except ValueError as error:
            raise ApiError(400, "BadRequest", str(error)) from error
        return selection

    def takes(self, address: Address, found: Json | None) -> bool:
        """Return whether the object *found* at *address* is selected; None never is."""
        return (
            found is not None
            and (address.version, address.plural) == (self.within.version, self.within.plural)
            and self.within.namespace in {"", address.namespace}
            and matches_labels(self.labels, found["metadata"].get("labels") or {})
            and matches_fields(self.fields, found)
        )


@dataclass(frozen=True, slots=True)
class _Change:
    version: int
    address: Address
    before: Json | None
    after: Json | None


class Store:
    """Objects by address; each change has a version of its own."""

    def __init__(self) -> None:
        self.version = 1
        self._objects: dict[Address, Json] = {}
        self._history: list[_Change] = []
        self._forgotten = 0

    def get(self, address: Address) -> Json:
        """Return a copy of the object there.

        Raises:
            ApiError: 404.
        """
        found = self._objects.get(replace(address, subresource=""))
        if found is None:
            raise ApiError(404, "NotFound", f"{address.described} not found")
        return copied(found)

    def has(self, address: Address) -> bool:
        """Return whether there is an object."""
        return replace(address, subresource="") in self._objects

    def put(self, address: Address, found: Json | None) -> Json:
        """Store *found* there (None removes what is there), under a new version; return a copy of it."""
        address = replace(address, subresource="")
        before = self._objects.pop(address, None)
        self.version += 1
        after = copied(found if found is not None else before)
        assert after is not None, "nothing to remove"  # noqa: S101 -- a caller's mistake, not an input
        after["metadata"]["resourceVersion"] = str(self.version)
        if found is not None:
            self._objects[address] = after
        self._history.append(_Change(self.version, address, before, after if found is not None else None))
        return copied(after)

    def select(self, selection: Selection) -> list[Json]:
        """Return copies of what is selected, by namespace and name."""
        return [
            copied(found)
            for address, found in sorted(self._objects.items(), key=_first)
            if selection.takes(address, found)
        ]

    def changes(self, selection: Selection, since: int) -> Iterator[Json]:
        """Yield the watch events of what is selected after the version *since*.

        Raises:
            ApiError: 410 when *since* is forgotten.
        """
        if since < self._forgotten:
            raise ApiError(410, "Expired", f"too old resource version: {since} ({self._forgotten})")
        for change in [each for each in self._history if each.version > since]:
            before = selection.takes(change.address, change.before)
            after = selection.takes(change.address, change.after)
            if before or after:
                kind = "ADDED" if not before else "MODIFIED" if after else "DELETED"
                told = copied(change.after or change.before)
                assert told is not None  # noqa: S101 -- one of both is there
                told["metadata"]["resourceVersion"] = str(change.version)
                yield {"type": kind, "object": told}

    def compact(self) -> None:
        """Forget the history, as etcd does after five minutes: older watches and pages answer 410."""
        self._history.clear()
        self._forgotten = self.version

    def expired(self, version: int) -> bool:
        """Return whether a page of a list begun at *version* can no longer be given."""
        return version < self._forgotten


def _first(item: tuple[Address, Json]) -> Address:
    return item[0]
