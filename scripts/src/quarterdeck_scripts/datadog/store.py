"""Datadog's resources of ours, by its API version 1 (https://docs.datadoghq.com/api/v1/).

Dashboards have tags for teams only, and downtimes none: theirs are marks in the description and the message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.resource import Resource
from quarterdeck_scripts.datadog.marks import Marks, in_environment, put_on, taken_off
from quarterdeck_scripts.publish.ports import Found, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.publish.ports import Api

PAGE = 100
"""Entries asked for at once: Datadog's own default."""
_GONE = 404
SLO, MONITOR, DASHBOARD, DOWNTIME = "slo", "monitor", "dashboard", "downtime"
_MARKED = {SLO: "tags", MONITOR: "tags", DASHBOARD: "description", DOWNTIME: "message"}
"""Kind to the field that has the marks."""
_NAMED = {SLO: "name", MONITOR: "name", DASHBOARD: "title", DOWNTIME: "message"}
_VERSIONED = {SLO: "modified_at", MONITOR: "modified", DASHBOARD: "modified_at"}
"""Kind to the field with the time of the last change, where it has one."""


class DatadogStore:
    """What is ours of one environment in one organisation; see `publish.ports.Store`."""

    def __init__(self, api: Api, environment: str) -> None:
        self._api = api
        self._environment = environment

    def found(self) -> tuple[Found, ...]:
        """Return everything of this environment."""
        return tuple(found for kind in _LISTS for found in self.of_kind(kind))

    def of_kind(self, kind: str) -> tuple[Found, ...]:
        """Return everything of this environment that is of *kind*, the oldest first."""
        each = {str(body["id"]): body for body in _LISTS[kind](self._api, in_environment(self._environment))}
        return tuple(sorted(filter(None, (self._read(kind, body) for body in each.values())), key=_age))

    def others(self, resource: Resource) -> tuple[str, ...]:
        """Return what has *resource*'s name without our marks. Downtimes have no names, so none is in the way."""
        if resource.kind == DOWNTIME:
            return ()
        named = _NAMED[resource.kind]
        return tuple(
            str(body["id"])
            for body in _CALLED[resource.kind](self._api, resource.name)
            if body.get(named) == resource.name and self._read(resource.kind, body) is None
        )

    def get(self, found: Found) -> Found | None:
        """Return it as it is now."""
        kind = found.resource.kind
        try:
            answer = self._api.request("GET", f"{_path(kind)}/{found.id}")
        except RejectedError as error:
            if error.status != _GONE:
                raise
            return None
        now = self._read(kind, answer["data"] if kind == SLO else answer)
        return now if now is not None and now.resource.key == found.resource.key else None

    def create(self, resource: Resource, applied: str) -> Found:
        """Make it."""
        answer = self._api.request("POST", _path(resource.kind), body=self._marked(resource, applied))
        made = answer["data"][0] if resource.kind == SLO else answer
        return Found(resource, str(made["id"]), applied, _version(resource.kind, made))

    def change(self, found: Found, resource: Resource, applied: str) -> None:
        """Replace it."""
        self._api.request("PUT", f"{_path(resource.kind)}/{found.id}", body=self._marked(resource, applied))

    def delete(self, found: Found) -> None:
        """Delete it; of a downtime, cancel it."""
        try:
            self._api.request("DELETE", f"{_path(found.resource.kind)}/{found.id}")
        except RejectedError as error:
            if error.status != _GONE:
                raise

    def _marked(self, resource: Resource, applied: str) -> Json:
        return put_on(resource.body, _MARKED[resource.kind], Marks(self._environment, resource.key, applied))

    def _read(self, kind: str, body: Json) -> Found | None:
        """Return what *body* is of ours; None when it is not, or another environment's, or a downtime that is over."""
        plain, marks = taken_off(body, _MARKED[kind])
        is_over = kind == DOWNTIME and (body.get("canceled") or body.get("disabled"))
        if marks is None or marks.environment != self._environment or is_over:
            return None
        resource = Resource(kind, marks.key, str(plain.get(_NAMED[kind])), plain)
        return Found(resource, str(body["id"]), marks.applied, _version(kind, body))


def _path(kind: str) -> str:
    return f"/api/v1/{kind}"


def _version(kind: str, body: Json) -> str:
    return str(body.get(_VERSIONED.get(kind)) or "")


def _age(found: Found) -> tuple[str, int, str]:
    """Return what sorts by age: the time it was made at, and its number where it has one."""
    body = found.resource.body
    number = int(found.id) if found.id.isdigit() else 0
    return str(body.get("created_at") or body.get("created") or ""), number, found.id


def _monitors(api: Api, tag: str) -> Iterator[Json]:
    """Page by the last id, so that nothing is missed when others delete meanwhile; until a page is empty."""
    last = 0
    while page := api.request(
        "GET", _path(MONITOR), query={"monitor_tags": tag, "id_offset": str(last), "page_size": str(PAGE)}
    ):
        yield from page
        last = max(int(each["id"]) for each in page)


def _slos(api: Api, tag: str) -> Iterator[Json]:
    return _by_offset(
        api, _path(SLO), {"tags_query": tag}, ("limit", "offset"), lambda answer: answer.get("data") or []
    )


def _summaries(api: Api) -> Iterator[Json]:
    return _by_offset(api, _path(DASHBOARD), {}, ("count", "start"), lambda answer: answer.get("dashboards") or [])


def _dashboards(api: Api, tag: str) -> Iterator[Json]:
    """Ask for those whole that say they are ours: the list has no widgets."""
    for summary in _summaries(api):
        if tag in (summary.get("description") or "").split():
            try:
                yield api.request("GET", f"{_path(DASHBOARD)}/{summary['id']}")
            except RejectedError as error:
                if error.status != _GONE:
                    raise


def _downtimes(api: Api, tag: str) -> Iterator[Json]:
    for each in api.request("GET", _path(DOWNTIME)) or []:
        if tag in (each.get("message") or "").split():
            yield each


def _by_offset(
    api: Api, path: str, query: dict[str, str], names: tuple[str, str], read: Callable[[Any], list[Json]]
) -> Iterator[Json]:
    """Page until a page is empty: one that is shorter than asked for need not be the last."""
    offset = 0
    limit, start = names
    while page := read(api.request("GET", path, query={**query, limit: str(PAGE), start: str(offset)})):
        yield from page
        offset += len(page)


_LISTS: dict[str, Callable[[Api, str], Iterator[Json]]] = {
    SLO: _slos,
    MONITOR: _monitors,
    DASHBOARD: _dashboards,
    DOWNTIME: _downtimes,
}
"""How what has our tag of an environment is listed. What others refer to comes first."""


def _monitors_called(api: Api, name: str) -> Iterator[Json]:
    yield from api.request("GET", _path(MONITOR), query={"name": name}) or []


def _slos_called(api: Api, name: str) -> Iterator[Json]:
    """Search for the name's first word: what else it has means something to the search."""
    word = re.split(r"[^\w-]", name)[0]
    return _by_offset(api, _path(SLO), {"query": word}, ("limit", "offset"), lambda answer: answer.get("data") or [])


def _dashboards_called(api: Api, name: str) -> Iterator[Json]:
    return (each for each in _summaries(api) if each.get("title") == name)


_CALLED: dict[str, Callable[[Api, str], Iterator[Json]]] = {
    SLO: _slos_called,
    MONITOR: _monitors_called,
    DASHBOARD: _dashboards_called,
}
"""How what may have a name is found; it may find more."""
