"""Grafana's dashboards of ours, by its HTTP API (https://grafana.com/docs/grafana/latest/developers/http_api/).

A dashboard is found by its uid, and is ours when it has our tag. Grafana counts a dashboard's versions and refuses
what was made from another one (412), so nobody's edit is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.resource import Resource
from quarterdeck_scripts.publish.ports import ChangedMeanwhileError, Found, RejectedError

if TYPE_CHECKING:
    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.publish.ports import Api

MANAGED_BY = "managed-by:quarterdeck"
"""Tag on everything of ours."""
APPLIED = "quarterdeck-applied:"
"""Begins the tag with the digest of what was applied."""
FOLDER, FOLDER_TITLE = "quarterdeck", "Quarterdeck"
"""Uid and first title of the folder that ours are made in; whoever moves or renames them does no harm."""
KIND, FOLDER_KIND = "dashboard", "folder"
PAGE = 1000
"""Entries asked for at once: Grafana's own default."""
_GONE, _MOVED = 404, 412
_OWN_KEYS = frozenset({"id", "version"})
"""What Grafana adds to a dashboard."""


def folder() -> Resource:
    """Return the folder that ours are made in."""
    return Resource(FOLDER_KIND, FOLDER, FOLDER_TITLE, {"uid": FOLDER})


def dashboard(document: Json) -> Resource:
    """Return a rendered dashboard as a resource."""
    return Resource(KIND, document["uid"], document["title"], document)


class GrafanaStore:
    """What is ours in one organisation of one Grafana; see `publish.ports.Store`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def found(self) -> tuple[Found, ...]:
        """Return the folder, and every dashboard with our tag."""
        ours = [each for each in (self._folder(), *map(self._dashboard, self._uids())) if each is not None]
        return tuple(ours)

    def others(self, resource: Resource) -> tuple[str, ...]:
        """Return the dashboard that has *resource*'s uid without our tag."""
        if resource.kind == FOLDER_KIND or self._answer(f"/api/dashboards/uid/{resource.key}") is None:
            return ()
        return (resource.key,)

    def get(self, found: Found) -> Found | None:
        """Return it as it is now."""
        return self._folder() if found.resource.kind == FOLDER_KIND else self._dashboard(found.id)

    def create(self, resource: Resource, applied: str) -> Found:
        """Make it, if nothing has its uid."""
        if resource.kind == FOLDER_KIND:
            self._api.request("POST", "/api/folders", body={"uid": resource.key, "title": resource.name})
            return Found(resource, resource.key, applied)
        return self._save(resource, applied, 0)

    def change(self, found: Found, resource: Resource, applied: str) -> None:
        """Replace the version that was looked at, and no later one. The folder has nothing to change."""
        self._save(resource, applied, int(found.version))

    def delete(self, found: Found) -> None:
        """Delete it. The folder stays: somebody else may have put something into it."""
        try:
            self._api.request("DELETE", f"/api/dashboards/uid/{found.id}")
        except RejectedError as error:
            if error.status != _GONE:
                raise

    def _save(self, resource: Resource, applied: str, version: int) -> Found:
        tags = [*resource.body.get("tags", ()), MANAGED_BY, f"{APPLIED}{applied}"]
        document = {**resource.body, "tags": tags, "id": None, "version": version}
        where = {} if version else {"folderUid": FOLDER}
        body = {"dashboard": document, "overwrite": False, "message": "quarterdeck grafana apply", **where}
        try:
            answer = self._api.request("POST", "/api/dashboards/db", body=body)
        except RejectedError as error:
            if error.status != _MOVED:
                raise
            raise ChangedMeanwhileError(
                f"the dashboard {resource.name} as it was when the plan was made",
                f"another one ({error.found})",
                "run it again and read the new plan",
            ) from error
        return Found(resource, answer["uid"], applied, str(answer["version"]))

    def _uids(self) -> list[str]:
        """Page until a page is empty."""
        uids: dict[str, None] = {}
        number = 1
        while page := self._api.request(
            "GET",
            "/api/search",
            query={"type": "dash-db", "tag": MANAGED_BY, "limit": str(PAGE), "page": str(number)},
        ):
            uids |= dict.fromkeys(str(each["uid"]) for each in page)
            number += 1
        return list(uids)

    def _folder(self) -> Found | None:
        return None if self._answer(f"/api/folders/{FOLDER}") is None else Found(folder(), FOLDER, "")

    def _dashboard(self, uid: str) -> Found | None:
        answer = self._answer(f"/api/dashboards/uid/{uid}")
        if answer is None or MANAGED_BY not in answer["dashboard"].get("tags", ()):
            return None
        document = {name: value for name, value in answer["dashboard"].items() if name not in _OWN_KEYS}
        tags = document["tags"]
        applied = next((tag.removeprefix(APPLIED) for tag in tags if tag.startswith(APPLIED)), "")
        document["tags"] = [tag for tag in tags if tag != MANAGED_BY and not tag.startswith(APPLIED)]
        return Found(dashboard(document), uid, applied, str(answer["dashboard"]["version"]))

    def _answer(self, path: str) -> Json | None:
        try:
            return self._api.request("GET", path)
        except RejectedError as error:
            if error.status != _GONE:
                raise
            return None
