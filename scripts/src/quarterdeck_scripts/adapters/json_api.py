"""JSON over HTTP to somebody else's service: deadlines, its rate limits, and a second try where that is safe."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import urllib3

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.ports import SystemClock
from quarterdeck_scripts.publish.ports import NoAnswerError, NotTakenError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.ports import Clock

_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
"""Methods that do the same when they are sent twice."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MOST_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20
_BAD, _TOO_MANY, _SERVER_ERROR = 400, 429, 500
_FIRST_PAUSE = 1.0
"""Seconds before the second try; twice as long before each further one."""
_UNTIL_RESET = ("X-RateLimit-Reset", "Retry-After")
"""Headers with the seconds until calls are taken again: Datadog's, and the standard one."""


def checked_url(url: str) -> str:
    """Return *url* without its trailing slash.

    Raises:
        UsageError: it is none, or what goes there could be read on the way.
    """
    parts = urlsplit(url)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        raise UsageError("an https URL; http for this machine alone", url, "name one: keys are not sent in the clear")
    return url.rstrip("/")


class JsonApi:
    """A base URL with the headers that each call has; see `publish.ports.Api`."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        called: str,
        clock: Clock | None = None,
        timeout: float = 20.0,
        within: float = 120.0,
        secret_url: bool = False,
        decode: Callable[[bytes], Any] = json.loads,
    ) -> None:
        """Open nothing yet.

        Args:
            url: without a trailing slash.
            headers: with every call; their values are secrets and kept out of every message.
            called: what messages call the other side.
            clock: for pauses and deadlines.
            timeout: seconds for one try, body included.
            within: seconds for a call with all its tries and the pauses that a rate limit asks for.
            secret_url: whether who knows the URL may call it, as of a webhook: it is kept out of every message too.
            decode: makes what is returned of an answer's body; a ValueError says that it is none.
        """
        self._url = url
        self._headers = {"Accept": "application/json", **headers}
        parts = urlsplit(url)
        hidden = (url, parts.path.rstrip("/"), parts.query) if secret_url else ()
        self._secrets = [value for value in (*headers.values(), *hidden) if value]
        self._called = called
        self._clock = clock or SystemClock()
        self._timeout = timeout
        self._within = within
        self._decode = decode
        self.ahead = 0.0
        """Seconds by which the other side's clock was ahead of this machine's, by its last answer; a second's share
        and the way are in it."""
        self._pool = urllib3.PoolManager(retries=False)

    def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Any:
        """Return the decoded answer; see `publish.ports.Api`."""
        deadline = self._clock.monotonic() + self._within
        pause = _FIRST_PAUSE
        target = f"{path}?{urlencode(query)}" if query else path
        wait: float | None
        while True:
            kind = NoAnswerError
            try:
                status, headers, text = self._once(method, target, body)
            except urllib3.exceptions.NewConnectionError as error:  # it never arrived, so anything can be sent again
                reason, wait, kind = _told(error), pause, NotTakenError
            except (urllib3.exceptions.HTTPError, OSError) as error:
                reason, wait = _told(error), pause if method in _REPEATABLE else None
            else:
                if status == _TOO_MANY:
                    reason, wait, kind = "too many calls", _until_reset(headers, pause), NotTakenError
                elif status >= _SERVER_ERROR:
                    reason, wait = f"HTTP {status}: {_glimpse(text)}", pause if method in _REPEATABLE else None
                else:
                    return self._decoded(method, target, status, text)
            if wait is None or self._clock.monotonic() + wait > deadline:
                raise self._no_answer(method, target, reason, kind)
            self._clock.sleep(wait)
            pause *= 2

    def _once(self, method: str, target: str, body: Json | None) -> tuple[int, Mapping[str, str], bytes]:
        sent = None if body is None else json.dumps(body).encode()
        headers = self._headers if sent is None else {**self._headers, "Content-Type": "application/json"}
        until = time.monotonic() + self._timeout
        response = self._pool.request(
            method,
            self._url + target,
            body=sent,
            headers=headers,
            preload_content=False,
            redirect=False,
            timeout=urllib3.Timeout(total=self._timeout),
        )
        try:
            text = bytearray()
            while chunk := response.read1(_CHUNK_BYTES):
                text += chunk
                if time.monotonic() > until or len(text) > _MOST_BYTES:
                    raise TimeoutError("the answer took too long, or is too long")
        finally:
            response.close()
        self.ahead = _seconds_ahead(response.headers.get("Date"), self._clock.now(), self.ahead)
        return response.status, response.headers, bytes(text)

    def _decoded(self, method: str, target: str, status: int, text: bytes) -> Any:
        if status >= _BAD:
            raise RejectedError(
                f"{self._called} to take {method} {target}".rstrip(),
                self._without_secrets(f"HTTP {status}: {_glimpse(text)}"),
                "mend what it says"
                if status not in {401, 403}
                else "see that the keys are valid there and may do this",
                status=status,
            )
        if not text:
            return None
        try:
            return self._decode(text)
        except ValueError:
            raise self._no_answer(method, target, f"HTTP {status} with what is not JSON: {_glimpse(text)}") from None

    def _no_answer(
        self, method: str, target: str, reason: str, kind: type[NoAnswerError] = NoAnswerError
    ) -> NoAnswerError:
        return kind(
            f"{self._called} to answer {f'{method} {target}'.rstrip()} within {self._within:g} s",
            self._without_secrets(reason),
            "run it again later: it goes on from what was done",
        )

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def _until_reset(headers: Mapping[str, str], otherwise: float) -> float:
    for name in _UNTIL_RESET:
        try:
            return max(float(headers[name]), 0.0) + 0.1
        except (KeyError, ValueError):
            continue
    return otherwise


def _seconds_ahead(date: str | None, now: float, otherwise: float) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else otherwise
    except ValueError:
        return otherwise


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _glimpse(text: bytes) -> str:
    return " ".join(text[:300].decode(errors="replace").split()) or "nothing"
