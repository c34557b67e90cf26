"""The metrics page inside the service: one answer, and the ways in which servers and frameworks take it.

Belongs here: what a service mounts. Does not belong here: how the page is made, and the port of its own it has else.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, NamedTuple

from quarterdeck_instrumentation import asgi, runtime, wsgi
from quarterdeck_instrumentation.exposition.page import negotiate
from quarterdeck_instrumentation.exposition.reader import UnreadableError
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TEXT = "text/plain; charset=utf-8"
_REASONS = {200: "OK", 405: "Method Not Allowed", 503: "Service Unavailable"}
_LEVEL = 1
"""Of gzip: already a tenth of the page's size, at a tenth of the time that the default takes."""


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    """Empty for HEAD, whose headers are those of GET."""


def answer(method: str, accept: str = "", accept_encoding: str = "") -> Answer:
    """Return the page of all workers, as a request asks for it; read from files, so it may take milliseconds.

    Args:
        method: the request's method.
        accept: its Accept header: the format.
        accept_encoding: its Accept-Encoding header.
    """
    if method not in ("GET", "HEAD"):
        return _plain(405, "GET or HEAD\n", ("Allow", "GET, HEAD"))
    form = negotiate(accept)
    current = runtime.current()
    try:
        text = current.page(form) if current is not None and current.settings.metrics_page else ""
    except UnreadableError as why:
        return _plain(503, f"{why}\n", ("Retry-After", "1"))
    except Exception as error:  # noqa: BLE001 -- ours: the service's own requests must not see it
        failed("page", "a metrics page could not be made", error)
        return _plain(503, "The page could not be made.\n", ("Retry-After", "1"))
    if not text:
        return _plain(503, "Metrics are turned off, or could not be started.\n")
    body = text.encode()
    headers = [("Content-Type", form.value), ("Vary", "Accept, Accept-Encoding"), ("Cache-Control", "no-store")]
    if accepts_gzip(accept_encoding):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return Answer(200, headers, b"" if method == "HEAD" else body)


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether a header asks for gzip.

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("gzip;q=0"), accepts_gzip("")
    (True, False, False)
    """
    for entry in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip().replace(" ", "") for part in entry.split(";"))
        if coding in ("gzip", "x-gzip"):
            return not any(parameter.startswith("q=0") and not parameter.strip("q=.0") for parameter in parameters)
    return False


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve the page to a WSGI server, unmeasured."""
    _discard(environ, wsgi.MARK)
    status, headers, body = answer(
        environ["REQUEST_METHOD"], environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", "")
    )
    start_response(f"{status} {_REASONS[status]}", headers)
    return [body]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the page to an ASGI server, unmeasured; made in a thread, so that the event loop stays free.

    Raises:
        ValueError: it is asked for something else than HTTP, as a server does to find out what it serves.
    """
    del receive  # whatever was sent with the request does not matter
    if scope["type"] != "http":
        raise ValueError(f"the metrics page serves HTTP, not {scope['type']}")
    _discard(scope, asgi.MARK)
    accept, encoding = (_header(scope["headers"], name) for name in (b"accept", b"accept-encoding"))
    status, headers, body = await _in_thread(scope["method"], accept, encoding)
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def django_view(request: Any) -> Any:
    """Answer a Django request, under WSGI or ASGI, unmeasured."""
    from django.http import HttpResponse  # type: ignore[import-untyped]  # noqa: PLC0415 -- for services of Django alone

    _discard(getattr(request, "scope", None) or request.META, asgi.MARK, wsgi.MARK)
    status, headers, body = answer(
        request.method, request.headers.get("Accept", ""), request.headers.get("Accept-Encoding", "")
    )
    response = HttpResponse(body, status=status)
    for name, value in headers:
        response.headers[name] = value
    return response


def _plain(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    body = text.encode()
    return Answer(status, [("Content-Type", _TEXT), ("Content-Length", str(len(body))), *headers], body)


def _discard(received: Mapping[str, Any], *marks: str) -> None:
    for mark in marks:
        measured = received.get(mark)
        if measured is not None:
            measured.discard()


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join([value.decode("latin-1") for key, value in headers if key == name])


async def _in_thread(method: str, accept: str, accept_encoding: str) -> Answer:
    from asyncio import get_running_loop  # noqa: PLC0415 -- a synchronous server has no need of it

    try:
        loop = get_running_loop()
    except RuntimeError:  # another kind of loop, of which we know nothing
        return answer(method, accept, accept_encoding)
    return await loop.run_in_executor(None, answer, method, accept, accept_encoding)
