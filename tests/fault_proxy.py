"""A proxy before a real API server that answers for it, loses its answers, and shows yesterday's state, as told."""

from __future__ import annotations

import enum
import http.client
import json
import re
import ssl
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STALE_SECONDS = 1.0
"""How long reads are of the past: an API server's cache lags milliseconds behind, a partitioned one seconds."""

RETRY_AFTER = 1
"""Seconds that a server too busy asks for."""

PERSISTENCE = 2
"""How often a change that is not carried out is struck, one try after the other."""

UNREADABLE = 5
"""Reads that fail one after another: one more than a client sends by itself, so that its user sees it too."""

_HOPS = {"connection", "transfer-encoding", "content-length", "keep-alive"}
"""Headers of one connection, not of the message."""


class Fault(enum.StrEnum):
    """What goes wrong at one change."""

    CONFLICT = "409"
    """Somebody else was faster: refused, twice."""
    BUSY = "429"
    """Refused for want of room, twice, with Retry-After."""
    BROKEN = "500"
    """An error of the server, before anything was changed, twice."""
    BROKEN_LATE = "500 afterwards"
    """An error of the server, after the change was made."""
    CUT = "no answer, not made"
    """The connection breaks before the request arrives, twice."""
    LOST = "no answer, made"
    """The request is carried out, and the connection breaks before the answer arrives: a timeout after sending."""
    STALE = "stale reads"
    """For a second after the change all reads are of the time before it."""
    EXPIRED = "410"
    """The next further page of a list has expired, and watches have to begin anew. Lists come object by object."""
    UNREADABLE = "reads fail"
    """The change is made, and the next reads fail."""
    DROPPED = "connections dropped"
    """The change is made, and every connection breaks off without an end, those of watches too."""


class Change(NamedTuple):
    """A change that was asked for."""

    sort: str
    """What it is: `PATCH deployments`, `PUT leases release`."""
    number: int
    """How many of its sort were made before: a change that is tried again keeps its number."""
    status: int
    """What the API server answered; 0 when it was not asked."""

    @property
    def name(self) -> str:
        """Which change it is: `PATCH deployments 0`."""
        return f"{self.sort} {self.number}"

    @property
    def made(self) -> bool:
        """Whether the API server carried it out."""
        return 200 <= self.status < 300


class Answered(NamedTuple):
    """What the API server answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Strike:
    """A fault at some changes."""

    changes: frozenset[str]
    """Their names; see `Change`."""
    fault: Fault
    struck: Counter[str] = field(default_factory=Counter)
    """How often each was."""
    hasty: bool = False
    """Whether one was tried again sooner than Retry-After asks for."""


class FaultProxy:
    """Passes requests on to an API server, counts changes, and strikes some of them."""

    def __init__(self, kubeconfig: Path, strike: Strike | None = None) -> None:
        """*kubeconfig* is an administrator's, with certificates in files."""
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self.address = urlsplit(cluster["server"]).netloc
        self.tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self.tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self.strike = strike
        self.changes: list[Change] = []
        """Every change asked for, rehearsals left out, in order."""
        self.requests = 0
        """Requests of any kind."""
        self.connections: set[Exchange] = set()
        self.lock = threading.Lock()
        self._seen: dict[str, Answered] = {}
        self._past: dict[str, Answered] = {}
        self._past_until = 0.0
        self._unreadable = 0
        self._expiring = False
        self._refused = 0.0

    def begin_change(self, method: str, path: str, body: bytes) -> tuple[int, Fault | None]:
        """Count a change; return where it is noted, and the fault that strikes it."""
        with self.lock:
            sort = sort_of(method, path, body)
            change = Change(sort, sum(each.made and each.sort == sort for each in self.changes), 0)
            self.changes.append(change)
            place, strike = len(self.changes) - 1, self.strike
            if strike is None or change.name not in strike.changes:
                return place, None
            now = time.monotonic()
            if strike.fault is Fault.BUSY and 0 < strike.struck[change.name] <= PERSISTENCE:
                strike.hasty = strike.hasty or now - self._refused < RETRY_AFTER
            strike.struck[change.name] += 1
            if strike.struck[change.name] > PERSISTENCE:
                return place, None
            self._refused = now
            if strike.fault is Fault.STALE:
                self._past, self._past_until = dict(self._seen), now + STALE_SECONDS
            elif strike.fault is Fault.UNREADABLE:
                self._unreadable = UNREADABLE
            elif strike.fault is Fault.EXPIRED:
                self._expiring = True
            return place, strike.fault

    def end_change(self, place: int, status: int) -> None:
        """Note what the API server answered."""
        with self.lock:
            self.changes[place] = self.changes[place]._replace(status=status)

    def instead(self, url: str) -> Answered | None:
        """Return what a read is answered instead of the truth; None for the truth."""
        with self.lock:
            if self._unreadable:
                self._unreadable -= 1
                return refusal(500, "InternalError")
            if self._expiring and ("continue=" in url or "watch=" in url):
                self._expiring = False
                return refusal(410, "Expired")
            return self._past.get(url) if time.monotonic() < self._past_until else None

    def drop_connections(self, *, expired: bool = False) -> None:
        """Break every connection off without an end; *expired*: the next watch has to begin with a list."""
        with self.lock:
            self._expiring = self._expiring or expired
        for each in list(self.connections):
            each._break()

    def note(self, url: str, answered: Answered) -> None:
        """Remember the truth."""
        with self.lock:
            self._seen[url] = answered


RENEWAL = "PUT leases renew"
"""The sort of change that comes as often as a rollout takes time."""

_BOOKS = f"/namespaces/{SYSTEM_NAMESPACE}/configmaps"
"""Where the audit log is."""

_COLLECTION = re.compile(r".*?/v[^/]+(?:/namespaces/[^/]+)?/(?P<plural>[^/]+)")


def sort_of(method: str, path: str, body: bytes) -> str:
    """Return what sort of change it is: a lock taken over or given back is another than a lock renewed.

    What the audit log writes is told from the service's own ConfigMaps.
    """
    found = _COLLECTION.match(path)
    plural = found["plural"] if found else path
    if plural == "leases" and method == "PUT":
        spec = json.loads(body)["spec"]
        if not spec["holderIdentity"]:
            return "PUT leases release"
        return "PUT leases take" if spec["acquireTime"] == spec["renewTime"] else RENEWAL
    return f"{method} {'audit' if _BOOKS in path else plural}"


def refusal(status: int, reason: str) -> Answered:
    """Return an answer as the API server writes it."""
    body = {"kind": "Status", "code": status, "reason": reason, "message": "by the proxy", "metadata": {}}
    headers = [("Content-Type", "application/json"), *([("Retry-After", str(RETRY_AFTER))] if status == 429 else [])]
    return Answered(status, headers, json.dumps(body).encode())


_REFUSALS = {
    Fault.CONFLICT: refusal(409, "Conflict"),
    Fault.BUSY: refusal(429, "TooManyRequests"),
    Fault.BROKEN: refusal(500, "InternalError"),
}


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client, and one to the API server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets, of which the second would wait for an answer
    proxy: FaultProxy
    upstream: http.client.HTTPSConnection | None = None

    def setup(self) -> None:
        """Open it."""
        super().setup()
        self.proxy.connections.add(self)

    def handle_any(self) -> None:
        """Pass one request on, unless it is struck."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.proxy.lock:
            self.proxy.requests += 1
        query = parse_qs(urlsplit(self.path).query)
        with suppress(OSError, http.client.HTTPException):
            if "watch" in query:
                return self._stream(body)
            if self.command == "GET":
                return self._read(body)
            if "dryRun" in query or "/selfsubject" in self.path:
                return self._reply(self._pass_on(body))
            return self._change(body)
        self.close_connection = True  # as a broken connection looks
        return None

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 -- the base class names them so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        """Say nothing."""

    def _read(self, body: bytes) -> None:
        # The present is noted while the past is shown: it is the past of the next strike.
        instead, present = self.proxy.instead(self.path), self._pass_on(body)
        self.proxy.note(self.path, present)
        self._reply(instead or present)

    def _change(self, body: bytes) -> None:
        number, fault = self.proxy.begin_change(self.command, urlsplit(self.path).path, body)
        if fault in _REFUSALS:
            return self._reply(_REFUSALS[fault])
        if fault is Fault.CUT:
            return self._break()
        answered = self._pass_on(body)
        self.proxy.end_change(number, answered.status)
        if fault is Fault.LOST:
            return self._break()
        self._reply(refusal(500, "InternalError") if fault is Fault.BROKEN_LATE else answered)
        if fault is Fault.DROPPED:
            self.proxy.drop_connections()
        return None

    def _stream(self, body: bytes) -> None:
        answered = self.proxy.instead(self.path)
        if answered is not None:
            return self._reply(answered)
        response = self._send(body)
        self.send_response_only(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while piece := response.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        finally:
            response.close()
        return None

    def _send(self, body: bytes) -> http.client.HTTPResponse:
        if self.upstream is None:
            self.upstream = http.client.HTTPSConnection(self.proxy.address, timeout=60, context=self.proxy.tls)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in {*_HOPS, "host"}}
        # Objects come one a page, so that short lists have further pages too.
        strike = self.proxy.strike
        paged = strike is not None and strike.fault is Fault.EXPIRED
        where = re.sub(r"\blimit=\d+", "limit=1", self.path) if paged else self.path
        self.upstream.request(self.command, where, body=body or None, headers=kept)
        return self.upstream.getresponse()

    def _pass_on(self, body: bytes) -> Answered:
        response = self._send(body)
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOPS]
        return Answered(response.status, headers, response.read())

    def _reply(self, answered: Answered) -> None:
        self.send_response_only(answered.status)
        for name, value in answered.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answered.body)))
        self.end_headers()
        self.wfile.write(answered.body)

    def _break(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def finish(self) -> None:
        """Close both connections."""
        self.proxy.connections.discard(self)
        if self.upstream is not None:
            self.upstream.close()
        with suppress(OSError):
            super().finish()


@contextmanager
def proxied(kubeconfig: Path, folder: Path, strike: Strike | None = None) -> Iterator[tuple[FaultProxy, Path]]:
    """Run a proxy before the API server of *kubeconfig*; give it, and the kubeconfig of its clients."""
    proxy = FaultProxy(kubeconfig, strike)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxied", (Exchange,), {"proxy": proxy}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    file = folder / "proxied-kubeconfig"
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "p", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "p", "user": {}}],
        "contexts": [{"name": "p", "context": {"cluster": "p", "user": "p"}}],
    }
    file.write_text(json.dumps(content))
    try:
        yield proxy, file
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
