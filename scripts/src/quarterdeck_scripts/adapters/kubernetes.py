"""A real API server behind `Cluster`: connections by the official client, JSON by hand.

The official package reads the kubeconfig (`adapters.kubeconfig`) and builds the connection pool. Its typed calls
are not used: they cost 14 s and 1.1 GB for a list of 10,000 pods, have no deadline, and raise KeyError when a
watch that is not deserialised expires.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.adapters.kubeconfig import configuration, contexts
from quarterdeck_scripts.kube.client import ApiError, Json, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kubernetes.client import Configuration

    from quarterdeck_scripts.kube.client import Cluster

USER_AGENT = "quarterdeck"
"""Sent with every request. The API server takes the field manager of a plain patch from it."""

_GET_RETRIES = 3
"""How often a GET answered 429 or 503 with Retry-After is sent again. Changes are never sent again here:
whether one may be repeated is for the caller to decide, who knows what it means."""

_IDLE_TIMEOUT = 30.0
"""Seconds a pooled connection may block on a send before its request's own deadline is set."""

_HTTP_UNAUTHORISED = 401
_HTTP_BUSY = (429, 503)


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
    """Return the cluster that *context* of *kubeconfig* names.

    Nothing is sent yet, but credential plugins are run. The file's `current-context` is never used: it is
    whatever the last command in some other window left there. A file that holds one context needs no name.

    Args:
        kubeconfig: the file; None for the files of `$KUBECONFIG`, else `~/.kube/config`.
        context: the context's name; may be None only when *kubeconfig* is given and holds exactly one.

    Raises:
        UsageError: no such file or context, an ambiguous one, or credentials that cannot be had.
    """
    source = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
    entries = contexts(source)
    named = context or (next(iter(entries)) if kubeconfig and len(entries) == 1 else None)
    if named not in entries:
        raise UsageError(
            f"the name of a context in {source}: {', '.join(sorted(entries)) or 'it has none'}",
            repr(context) if context else "no context named; the current one is not taken unasked",
            "name one with --context, or the environment with --env",
        )
    return ApiServer(lambda: configuration(source, named, entries[named]))


@dataclass(frozen=True, slots=True)
class _Request:
    """One request as `Cluster` describes it."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Json | list[Json] | None = None
    content_type: str = "application/json"

    def send(self, client: ApiClient, deadline: float) -> urllib3.BaseHTTPResponse:
        """Send it once; the body of the answer is not read yet."""
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        for setting in client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        if self.body is not None:
            headers["Content-Type"] = self.content_type
        pool: urllib3.PoolManager = client.rest_client.pool_manager
        return pool.request(
            self.method,
            f"{client.configuration.host}{self.path}{'?' + urlencode(self.query) if self.query else ''}",
            body=None if self.body is None else json.dumps(self.body).encode(),
            headers=headers,
            timeout=urllib3.Timeout(total=max(deadline - time.monotonic(), 0.001)),
            retries=False,
            redirect=False,
            preload_content=False,
        )


class ApiServer:
    """`Cluster` over HTTP. Safe to use from several threads."""

    def __init__(self, load: Callable[[], Configuration]) -> None:
        """*load* reads the configuration; it is called again, once a request, when credentials are refused."""
        self._load = load
        self._client = ApiClient(load())

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._client.configuration.host)

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
        """Send one request; see `Cluster.request`. A GET is sent again where Retry-After asks for it."""
        asked = _Request(method, path, query, body, content_type)
        deadline = time.monotonic() + timeout
        retries = _GET_RETRIES if method == "GET" else 0
        while True:
            with self._failures_named(asked):
                response = self._send(asked, deadline)
                data = b"".join(_chunks(response, deadline))
            pause = _pause(response) if retries else None
            if pause is None or time.monotonic() + pause >= deadline:
                return self._decoded(response, data, asked)
            retries -= 1
            time.sleep(pause)

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Yield watch events; see `Cluster.watch`. Bookmarks carry no object, so they are left out."""
        asked = _Request("GET", path, {**query, "watch": "true", "timeoutSeconds": str(math.ceil(timeout))})
        deadline = time.monotonic() + timeout
        with self._failures_named(asked):
            response = self._send(asked, deadline)
            try:
                if response.status != 200:  # noqa: PLR2004 -- HTTP's own number
                    self._decoded(response, b"".join(_chunks(response, deadline)), asked)
                for event in _events(_chunks(response, deadline)):
                    if event["type"] == "ERROR":
                        raise _api_error(event["object"], asked)
                    if event["type"] != "BOOKMARK":
                        yield event
            except urllib3.exceptions.ReadTimeoutError:
                if time.monotonic() < deadline:
                    raise
            finally:
                response.close()

    def _send(self, asked: _Request, deadline: float) -> urllib3.BaseHTTPResponse:
        """Send one request; on 401 read the credentials again and send it once more."""
        client = self._client
        response = asked.send(client, deadline)
        if response.status != _HTTP_UNAUTHORISED:
            return response
        response.drain_conn()
        if client is self._client:  # another thread may have done it meanwhile
            self._client = ApiClient(self._load())
        return asked.send(self._client, deadline)

    def _decoded(self, response: urllib3.BaseHTTPResponse, data: bytes, asked: _Request) -> Json:
        try:
            decoded = json.loads(data)
        except ValueError:
            decoded = None
        if response.status >= 300:  # noqa: PLR2004 -- every status but 2xx is a refusal
            status = decoded if isinstance(decoded, dict) else {"message": data[:200].decode(errors="replace")}
            raise _api_error({"code": response.status, "reason": response.reason, **status}, asked)
        if not isinstance(decoded, dict):
            raise UnreachableError(
                f"JSON from the API server {self.server}",
                f"{response.status} with {data[:80]!r}",
                "see what answers at this address: it is no API server",
            )
        return decoded

    @contextmanager
    def _failures_named(self, asked: _Request) -> Iterator[None]:
        """Turn what the connection raises into UnreachableError."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            advice = "check that the cluster runs and that this machine reaches it, then run the command again"
            if isinstance(error, urllib3.exceptions.SSLError):
                advice = "check server and certificate-authority in the kubeconfig: another server may answer there"
            raise UnreachableError(
                f"an answer from the API server {self.server} to {asked.method} {asked.path}",
                f"{type(error).__name__}: {error}",
                advice,
            ) from error


def _chunks(response: urllib3.BaseHTTPResponse, deadline: float) -> Iterator[bytes]:
    """Yield the body as it arrives, giving up at *deadline* (monotonic seconds) however slowly it drips."""
    sock = getattr(response.connection, "sock", None)
    while True:
        if sock is not None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = response.read1(65536)
        if not chunk:
            break
        yield chunk
    if sock is not None and sock.fileno() >= 0:
        sock.settimeout(_IDLE_TIMEOUT)


def _events(chunks: Iterator[bytes]) -> Iterator[Json]:
    """Yield one event a line, wherever the chunks cut the lines and the characters in them."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        raise urllib3.exceptions.ProtocolError(f"the stream ended within an event: {rest[:80]!r}")


def _pause(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return how many seconds the server asks to wait before the request is sent again; None: it does not ask."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if response.status in _HTTP_BUSY and asked.isdigit() else None


def _api_error(status: Json, asked: _Request) -> ApiError:
    return ApiError(
        int(status.get("code") or 0),
        str(status.get("reason") or "Unknown"),
        str(status.get("message") or ""),
        method=asked.method,
        path=asked.path,
    )
