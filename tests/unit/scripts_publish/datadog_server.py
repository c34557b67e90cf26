"""A Datadog on loopback: keeps what it is given, and holds every call and every answer to Datadog's own description.

It fails as it is told to, before or after a change was made.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripts_publish.description import Description, Unjudged

KEYS = {"DD-API-KEY": "an-api-key", "DD-APPLICATION-KEY": "an-application-key"}

_EVENTS = "/api/v1/events"
"""Takes an API key alone."""
_OTHERS = {_EVENTS: "_event", "/api/v1/validate": "_valid", "/api/v1/query": "_queried"}
"""What is no collection of resources: path to the method that answers."""

Fault = tuple[str, str, Any]
"""Method, beginning of the path, and what happens: a status before anything was done, `lost` (the connection)
or `silent` after it was done, or a function that is called before it is."""


class DatadogServer:
    """Monitors, SLOs, dashboards, downtimes, events, and metrics where a test has any."""

    def __init__(self, description: Description | Unjudged) -> None:
        self._description = description
        self.objects: dict[str, dict[str, dict[str, Any]]] = {
            "slo": {},
            "monitor": {},
            "dashboard": {},
            "downtime": {},
        }
        self.events: list[dict[str, Any]] = []
        """What was posted to the event stream."""
        self.metrics: Any = None
        """Answers queries: `metric_store.Metrics`."""
        self.wrong: list[str] = []
        """What did not fit the description, calls and answers."""
        self.calls: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        """What is to go wrong, each once."""
        self.longest_page = 1000
        self.now: Callable[[], float] = time.time
        """Its clock, Unix seconds, as every answer says it."""
        self._numbers = itertools.count(1001)
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # an answer is two writes, and would wait 40 ms for the first one's receipt

            def _serve(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                needed = list(KEYS)[:1] if self.path == _EVENTS else KEYS
                if any(self.headers.get(name) != KEYS[name] for name in needed):
                    self._answer(403, {"errors": ["Forbidden"]}, {})
                    return
                status, body, headers = server.serve(self.command, self.path, json.loads(sent) if sent else None)
                if status == 0:
                    if body == "silent":
                        self.rfile.read(1)  # until whoever asked gives up
                    self.close_connection = True
                    return
                self._answer(status, body, headers)

            def _answer(self, status: int, body: Any, headers: dict[str, str]) -> None:
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked was killed
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 -- http.server's names

            def date_time_string(self, timestamp: float | None = None) -> str:
                """Return a time as headers have it; the server's own without one."""
                return super().date_time_string(server.now() if timestamp is None else timestamp)

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

    def settle(self) -> None:
        """Wait until the call that is being served has been."""
        with self._lock:
            pass

    def changes(self) -> list[tuple[str, str]]:
        """Return the calls that change something."""
        return [call for call in self.calls if call[0] != "GET"]

    def serve(self, method: str, target: str, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer one call; status 0 is a connection that ends without an answer."""
        with self._lock:
            parts = urlsplit(target)
            query = dict(parse_qsl(parts.query))
            self.calls.append((method, parts.path))
            if wrong := self._description.request(method, parts.path, query, body):
                self.wrong += [f"{method} {parts.path}: {each}" for each in wrong]
                return 400, {"errors": wrong}, {}
            fault = next((each for each in self.faults if each[0] == method and parts.path.startswith(each[1])), None)
            if fault is not None:
                self.faults.remove(fault)
                if fault[2] == 429:
                    return 429, {"errors": ["Rate limit exceeded"]}, {"X-RateLimit-Reset": "7"}
                if isinstance(fault[2], int):
                    return fault[2], {"errors": [f"told to say {fault[2]}, {KEYS['DD-API-KEY']}"]}, {}
                if callable(fault[2]):
                    fault[2]()
            status, answer = self._do(method, parts.path, query, body)
            answer = json.loads(json.dumps(answer))
            wrong = self._description.answer(method, parts.path, status, answer)
            self.wrong += [f"{method} {parts.path} → {status}: {each}" for each in wrong]
            is_cut = fault is not None and fault[2] in {"lost", "silent"}
            return (0, fault[2], {}) if fault is not None and is_cut else (status, answer, {})

    def _do(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path in _OTHERS:
            found: tuple[int, Any] = getattr(self, _OTHERS[path])(query, body)
            return found
        kind, _, number = path.removeprefix("/api/v1/").partition("/")
        there = self.objects[kind]
        if not number:
            return (
                (200, _wrapped(kind, [self.put(kind, body)], whole=False))
                if method == "POST"
                else (
                    200,
                    self._listed(kind, query),
                )
            )
        if number not in there:
            return 404, {"errors": [f"{kind} not found"]}
        if method == "DELETE":
            return self._delete(kind, number)
        if method == "PUT":
            if body.get("type", there[number].get("type")) != there[number].get("type"):
                return 400, {"errors": ["the type cannot be changed"]}
            there[number] |= body | {_MODIFIED.get(kind, "updater_id"): self._modified(kind)}
        return 200, _wrapped(kind, [there[number]], whole=method == "GET")

    def _event(self, query: dict[str, str], body: Any) -> tuple[int, Any]:
        self.events.append(body)
        event = {"id": next(self._numbers), "title": body["title"], "text": body["text"], "tags": body["tags"]}
        return 202, {"event": event, "status": "ok"}

    def _valid(self, query: dict[str, str], body: Any) -> tuple[int, Any]:
        return 200, {"valid": True}

    def _queried(self, query: dict[str, str], body: Any) -> tuple[int, Any]:
        return 200, self.metrics.answer(query["query"], int(query["from"]), int(query["to"]))

    def _delete(self, kind: str, number: str) -> tuple[int, Any]:
        there = self.objects[kind]
        if kind == "slo" and any(number in each["query"] for each in self.objects["monitor"].values()):
            return 409, {"data": [], "errors": {number: "a monitor refers to it"}}
        if kind == "downtime":
            there[number] |= {"canceled": 1700000000, "disabled": True}
            return 204, None
        del there[number]
        answers = {
            "slo": {"data": [number], "errors": {}},
            "monitor": {"deleted_monitor_id": int(number) if number.isdigit() else 0},
            "dashboard": {"deleted_dashboard_id": number},
        }
        return 200, answers[kind]

    def put(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make something, as somebody in the browser would; adds what Datadog adds."""
        count = next(self._numbers)
        number = count if kind in {"monitor", "downtime"} else f"{count:08x}-abc"
        made = json.loads(json.dumps(body)) | {"id": number}
        if kind == "slo":
            made |= {"created_at": 1700000000 + count, "modified_at": 1700000000 + count, "monitor_tags": []}
        if kind == "monitor":
            made |= {"created": "2026-01-01T00:00:00+00:00", "modified": self._modified(kind), "multi": False}
            made["options"] = made.get("options", {}) | {"silenced": {}, "new_host_delay": 300}
        if kind == "dashboard":
            made |= {"created_at": "2026-01-01T00:00:00+00:00", "modified_at": self._modified(kind)}
            for index, widget in enumerate(made["widgets"]):
                widget["id"] = count * 1000 + index
        self.objects[kind][str(number)] = made
        return made

    def edit(self, kind: str, number: str, **fields: Any) -> None:
        """Change something, as somebody in the browser would."""
        name = _MODIFIED.get(kind)
        self.objects[kind][number] |= fields | ({name: self._modified(kind)} if name else {})

    def _modified(self, kind: str) -> Any:
        count = next(self._numbers)
        if kind == "slo":
            return 1700000000 + count
        return (
            count
            if kind == "downtime"
            else f"2026-01-01T{count // 3600 % 24:02}:{count // 60 % 60:02}:{count % 60:02}+00:00"
        )

    def _listed(self, kind: str, query: dict[str, str]) -> Any:
        every = list(self.objects[kind].values())
        if kind == "monitor":
            if "name" in query:
                return [each for each in every if query["name"] in each["name"]]
            tags = set(query["monitor_tags"].split(","))
            after = [each for each in every if each["id"] > int(query["id_offset"]) and tags <= set(each["tags"])]
            return after[: min(int(query["page_size"]), self.longest_page)]
        if kind == "slo":
            if "tags_query" in query:
                every = [each for each in every if query["tags_query"] in each.get("tags", ())]
            if "query" in query:
                every = [each for each in every if query["query"] in each["name"]]
            return _wrapped(kind, _page(every, query["offset"], query["limit"], self.longest_page), whole=False)
        if kind == "dashboard":
            kept = ("id", "title", "description", "layout_type", "created_at", "modified_at")
            summaries = [{name: each[name] for name in kept if name in each} for each in every]
            return {"dashboards": _page(summaries, query["start"], query["count"], self.longest_page)}
        return every


_MODIFIED = {"slo": "modified_at", "monitor": "modified", "dashboard": "modified_at"}


def _page(every: list[Any], start: str, limit: str, longest: int) -> list[Any]:
    return every[int(start) : int(start) + min(int(limit), longest)]


def _wrapped(kind: str, every: list[Any], *, whole: bool) -> Any:
    """Return objects as Datadog does: SLOs as a list in `data`, one that is asked for as itself in it."""
    if kind == "slo":
        return {"data": every[0] if whole else every, "errors": []}
    return every[0]
