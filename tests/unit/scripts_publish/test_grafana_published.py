"""A Grafana made what the catalogue says. It is a small one, written from its documented HTTP API, not a real one.

https://grafana.com/docs/grafana/latest/developers/http_api/dashboard/ says what it answers: 404 for a uid that is not
there, 412 with a `version-mismatch` for a save of another version than the present one.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.scripts_publish.conftest import CATALOGUE, MORE

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_dashboards import dashboards
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.dashboards.grafana import render
from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.grafana.store import GrafanaStore, dashboard, folder
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.publish import plan as plans
from quarterdeck_scripts.publish.plan import Act
from quarterdeck_scripts.publish.run import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.resource import Resource
    from quarterdeck_scripts.publish.plan import Plan

UID = "quarterdeck-service-checkout"
TOKEN = "Bearer a-token"  # noqa: S105 -- of a server in this process


class SmallGrafana:
    """Folders and dashboards with versions, on loopback."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.places: dict[str, str] = {}
        self.changes: list[str] = []
        self.lost = 0
        """How many saves are carried out without an answer."""
        self.longest_page = 1000
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # an answer is two writes, and would wait 40 ms for the first one's receipt

            def _serve(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(sent) if sent else None
                known = self.headers["Authorization"] == TOKEN
                status, answer = grafana.serve(self.command, self.path, body) if known else (401, {})
                if status == 0:
                    self.close_connection = True
                    return
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815 -- http.server's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def edit(self, uid: str, **fields: Any) -> None:
        """Save a dashboard, as somebody in the browser would."""
        there = self.dashboards[uid]
        self.dashboards[uid] = there | fields | {"version": there["version"] + 1}

    def serve(self, method: str, target: str, body: Any) -> tuple[int, Any]:  # noqa: PLR0911 -- one for each call
        """Answer one call; status 0 is no answer."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        uid = path.rpartition("/")[2]
        if method != "GET":
            self.changes.append(f"{method} {path}")
        match method, path.rpartition("/")[0] if path.startswith(("/api/dashboards/uid/", "/api/folders/")) else path:
            case "GET", "/api/search":
                number, size = int(query["page"][0]), min(int(query["limit"][0]), self.longest_page)
                ours = [{"uid": uid} for uid, each in self.dashboards.items() if query["tag"][0] in each["tags"]]
                return 200, ours[(number - 1) * size : number * size]
            case "GET", "/api/folders":
                return (200, {"uid": uid}) if uid in self.folders else (404, {"message": "folder not found"})
            case "POST", "/api/folders":
                self.folders[body["uid"]] = body["title"]
                return 200, body
            case "GET", "/api/dashboards/uid":
                there = self.dashboards.get(uid)
                return (200, {"dashboard": there, "meta": {}}) if there else (404, {"message": "Dashboard not found"})
            case "DELETE", "/api/dashboards/uid":
                return (200, {}) if self.dashboards.pop(uid, None) else (404, {"message": "Dashboard not found"})
            case "POST", "/api/dashboards/db":
                return self._save(body)
        return 405, {}

    def _save(self, body: Any) -> tuple[int, Any]:
        sent = body["dashboard"]
        present = self.dashboards.get(sent["uid"], {"version": 0})["version"]
        if sent["version"] != present and not body["overwrite"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        self.dashboards[sent["uid"]] = sent | {"version": present + 1, "id": 7}
        self.places.setdefault(sent["uid"], body.get("folderUid", ""))
        if self.lost:
            self.lost -= 1
            return 0, None
        return 200, {"uid": sent["uid"], "version": present + 1, "status": "success"}


@pytest.fixture
def grafana() -> Iterator[SmallGrafana]:
    """Return an empty Grafana."""
    server = SmallGrafana()
    try:
        yield server
    finally:
        server.close()


def _wanted(text: str = CATALOGUE) -> tuple[Resource, ...]:
    return (folder(), *(dashboard(render(each)) for each in dashboards.of(parse(text, "services.yaml"))))


def _publication(grafana: SmallGrafana, text: str = CATALOGUE) -> Publication:
    api = JsonApi(grafana.url, {"Authorization": TOKEN}, called="Grafana", clock=FakeClock())
    return Publication("Grafana", GrafanaStore(api), _wanted(text), kept=frozenset({"folder"}))


def _apply(grafana: SmallGrafana, text: str = CATALOGUE) -> Plan:
    publication = _publication(grafana, text)
    plan = publication.plan()
    grafana.changes.clear()
    publication.carry_out(plan, None, "grafana apply", lambda _: None)
    return plan


def test_dashboards_come_into_a_folder_of_their_own(grafana: SmallGrafana) -> None:
    """A first apply makes the folder and every dashboard in it, tagged as ours."""
    _apply(grafana)

    assert grafana.folders == {"quarterdeck": "Quarterdeck"}
    assert set(grafana.dashboards) == {each.key for each in _wanted()[1:]}
    assert set(grafana.places.values()) == {"quarterdeck"}
    assert all("managed-by:quarterdeck" in each["tags"] for each in grafana.dashboards.values())


def test_a_second_apply_saves_nothing(grafana: SmallGrafana) -> None:
    """No new version is made of what is as it should be."""
    _apply(grafana)
    grafana.longest_page = 1

    plan = _apply(grafana)

    assert {step.act for step in plan.steps} == {Act.KEEP}
    assert grafana.changes == []


def test_what_somebody_saved_is_shown_and_mended(grafana: SmallGrafana) -> None:
    """A title that was edited is told, and put right as a new version in whatever folder it is by now."""
    _apply(grafana)
    grafana.edit(UID, title="Mine")

    (step,) = _apply(grafana).changes

    assert (step.why, [str(each) for each in step.differences]) == (
        plans.DRIFT,
        ["title: 'Mine' → 'Service: checkout'"],
    )
    assert (grafana.dashboards[UID]["title"], grafana.dashboards[UID]["version"]) == ("Service: checkout", 3)


def test_what_is_saved_after_the_plan_is_not_overwritten(grafana: SmallGrafana) -> None:
    """Neither what was saved before the look, nor, by Grafana's own word, what is saved between look and save."""
    _apply(grafana)
    grafana.edit(UID, title="Mine")
    publication = _publication(grafana)
    plan = publication.plan()
    grafana.edit(UID, title="Mine again")

    with pytest.raises(QuarterdeckError, match="0 made and 1 not"):
        publication.carry_out(plan, None, "grafana apply", lambda _: None)
    (step,) = publication.plan().changes
    assert step.found is not None
    grafana.edit(UID, title="Mine at last")
    with pytest.raises(QuarterdeckError, match="HTTP 412"):
        publication.store.change(step.found, step.resource, "")

    assert grafana.dashboards[UID]["title"] == "Mine at last"


def test_a_save_whose_answer_is_lost_is_not_made_twice(grafana: SmallGrafana) -> None:
    """It is looked at again: when it is as it should be, it was saved."""
    grafana.lost = 1
    _apply(grafana)
    grafana.edit(UID, title="Mine")
    grafana.lost = 1

    _apply(grafana)

    assert grafana.changes == ["POST /api/dashboards/db"]
    assert _publication(grafana).plan().changes == ()


def test_somebody_elses_dashboard_stays(grafana: SmallGrafana) -> None:
    """One with our uid and without our tag is left alone and said; one in our folder is not deleted."""
    theirs = {"uid": UID, "title": "Theirs", "tags": ["theirs"], "version": 4}
    grafana.dashboards |= {UID: theirs, "another": theirs | {"uid": "another"}}

    with pytest.raises(QuarterdeckError, match="has this name and not our marks"):
        _apply(grafana)

    assert grafana.dashboards[UID] == theirs
    assert "another" in grafana.dashboards
    assert set(grafana.dashboards) >= {each.key for each in _wanted()[1:]}


def test_a_service_that_is_gone_loses_its_dashboard(grafana: SmallGrafana) -> None:
    """The folder and all other dashboards stay."""
    _apply(grafana, CATALOGUE + MORE)

    plan = _apply(grafana)

    deleted = [step.resource.key for step in plan.changes if step.act is Act.DELETE]
    assert deleted == ["quarterdeck-service-orders"]
    assert "quarterdeck-service-orders" not in grafana.dashboards
    assert UID in grafana.dashboards
