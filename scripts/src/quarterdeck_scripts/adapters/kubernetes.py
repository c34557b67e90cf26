"""A real API server behind `Cluster`: connections by the official client, JSON by hand.

The official package reads the kubeconfig (`adapters.kubeconfig`) and builds the connection pool. Its typed calls
are not used: they cost 14 s and 1.1 GB for a list of 10,000 pods, have no deadline, and raise KeyError when a
watch that is not deserialised expires. What is sent again after which failure is said in `kube.retries`.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import urllib3
from kubernetes.client import ApiClient

from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_scripts.adapters.kubeconfig import configuration, contexts
from quarterdeck_scripts.adapters.wire import Request, chunks, decoded, events
from quarterdeck_scripts.kube.client import ApiError, Json, StaleError, UnreachableError, path
from quarterdeck_scripts.kube.logs import LINES, end_of
from quarterdeck_scripts.kube.retries import TRIES, Backoff, may_be_sent_again
from quarterdeck_scripts.kube.server_time import ServerTime
from quarterdeck_scripts.kube.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kubernetes.client import Configuration

    from quarterdeck_scripts.kube.client import Cluster

_HTTP_UNAUTHORISED = 401
_BOOKMARKS = "allowWatchBookmarks"
_MOST_LOG = 8 << 20
"""Bytes of a log that are read, whatever its lines are like; its newest are what is left out beyond them."""
_NEVER_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
"""What urllib3 raises before there is a connection to send anything on."""


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


class ApiServer:
    """`Cluster` over HTTP. Safe to use from several threads."""

    def __init__(self, load: Callable[[], Configuration]) -> None:
        """*load* reads the configuration; it is called again, once a request, when credentials are refused."""
        self._load = load
        self._client = ApiClient(load())
        self._versions = Versions()
        self._time = ServerTime()

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._client.configuration.host)

    @property
    def skew(self) -> float:
        """Seconds that the server's clock is ahead; see `Cluster.skew`."""
        return self._time.skew

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
        """Send a request, and again where `kube.retries` says so, all within *timeout*; see `Cluster.request`.

        Raises:
            StaleError: every answer within *timeout* was older than what was seen before.
        """
        asked = Request(method, path, query, body, content_type)
        deadline = time.monotonic() + timeout
        backoff, tries = Backoff(), 0
        while True:
            tries += 1
            try:
                return self._answered(asked, deadline)
            except QuarterdeckError as error:
                absent = self._versions.check_absence(method, path, error)
                again = tries < TRIES and (absent or may_be_sent_again(method, path, error))
                pause = backoff.pause(error)
                if time.monotonic() + pause >= deadline or not (again or isinstance(error, StaleError)):
                    if absent:
                        self._versions.forget(path)
                    raise
            time.sleep(pause)

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Yield watch events; see `Cluster.watch`. Bookmarks carry no object: only who asks for them gets them."""
        asked = Request("GET", path, {**query, "watch": "true", "timeoutSeconds": str(math.ceil(timeout))})
        deadline = time.monotonic() + timeout
        with self._failures_named(asked):
            response = self._send(asked, deadline)
            try:
                if response.status != 200:  # noqa: PLR2004 -- HTTP's own number
                    self._decoded(response, b"".join(chunks(response, deadline)), asked)
                for event in events(chunks(response, deadline)):
                    if event["type"] == "ERROR":
                        raise _api_error(event["object"], asked)
                    self._versions.note_event(path, event["object"])
                    if event["type"] != "BOOKMARK" or _BOOKMARKS in query:
                        yield event
            except urllib3.exceptions.ReadTimeoutError:
                if time.monotonic() < deadline:
                    raise
            finally:
                response.close()

    def log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, most: int, timeout: float = 10.0
    ) -> bytes:
        """Return the end of a container's log; see `kube.logs.PodLogs`. It is asked for once."""
        query = {"container": container, "tailLines": str(LINES), "limitBytes": str(_MOST_LOG)}
        if previous:
            query["previous"] = "true"
        asked = Request("GET", path("Pod", namespace, pod, "log"), query)
        deadline = time.monotonic() + timeout
        with self._failures_named(asked):
            response = self._send(asked, deadline)
            data = b"".join(chunks(response, deadline))
        if response.status != 200:  # noqa: PLR2004 -- HTTP's own number
            self._decoded(response, data, asked)
        return end_of(data, most)

    def _answered(self, asked: Request, deadline: float) -> Json:
        """Send one request once, and return the answer if it is one of the present."""
        with self._failures_named(asked):
            response = self._send(asked, deadline)
            data = b"".join(chunks(response, deadline))
        answer = self._decoded(response, data, asked)
        outdated = self._versions.check(asked.method, asked.path, asked.query, answer)
        if outdated:
            raise StaleError(
                f"the present state of {asked.path} from the API server {self.server}",
                f"an older one again and again: {outdated}",
                "see what answers between here and it; then run the command again",
            )
        return answer

    def _send(self, asked: Request, deadline: float) -> urllib3.BaseHTTPResponse:
        """Send one request; on 401 read the credentials again and send it once more: it was not carried out."""
        client = self._client
        response = self._timed(asked, client, deadline)
        if response.status != _HTTP_UNAUTHORISED:
            return response
        response.drain_conn()
        if client is self._client:  # another thread may have done it meanwhile
            try:
                self._client = ApiClient(self._load())
            except UsageError as error:
                raise ApiError(
                    _HTTP_UNAUTHORISED,
                    "Unauthorized",
                    f"the credentials were refused, and new ones could not be had: {error.found}",
                    method=asked.method,
                    path=asked.path,
                ) from error
        return self._timed(asked, self._client, deadline)

    def _timed(self, asked: Request, client: ApiClient, deadline: float) -> urllib3.BaseHTTPResponse:
        began = time.time()
        response = asked.send(client, deadline)
        self._time.note(response.headers.get("Date"), began, time.time())
        return response

    def _decoded(self, response: urllib3.BaseHTTPResponse, data: bytes, asked: Request) -> Json:
        try:
            answer = decoded(data)
        except ValueError:
            answer = None
        if response.status >= 300:  # noqa: PLR2004 -- every status but 2xx is a refusal
            status = answer if isinstance(answer, dict) else {"message": data[:200].decode(errors="replace")}
            code = {"code": response.status, "reason": response.reason}
            raise _api_error({**code, **status}, asked, response.headers.get("Retry-After", ""))
        if not isinstance(answer, dict):
            raise UnreachableError(
                f"JSON from the API server {self.server}",
                f"{response.status} with {data[:80]!r}",
                "see what answers at this address: it is no API server",
            )
        return answer

    @contextmanager
    def _failures_named(self, asked: Request) -> Iterator[None]:
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
                sent=not isinstance(error, _NEVER_SENT),
            ) from error


def _api_error(status: Json, asked: Request, retry_after: str = "") -> ApiError:
    return ApiError(
        int(status.get("code") or 0),
        str(status.get("reason") or "Unknown"),
        str(status.get("message") or ""),
        method=asked.method,
        path=asked.path,
        retry_after=float(retry_after) if retry_after.isdigit() else None,
    )
