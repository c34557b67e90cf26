"""Prometheus' HTTP API, as far as previews and reports read it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import urllib3

from quarterdeck_dashboards.dashboards.preview.ask import QueryFailedError, Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_BYTES = 64 << 20
"""An answer larger than this is refused: no page could show it."""


class PrometheusApi:
    """A Prometheus, or anything that speaks its HTTP API, at a base URL."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        """*url* may end with a slash; *timeout* is in seconds, for each query."""
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._pool = urllib3.PoolManager(retries=False)

    def at(self, query: str, moment: float) -> Sequence[Series]:
        """Return the samples of *query* at *moment*; see `preview.ask.Prometheus`."""
        return self._ask("query", {"query": query, "time": f"{moment:.3f}"})

    def over(self, query: str, start: float, end: float, step: float) -> Sequence[Series]:
        """Return the samples of *query* from *start* to *end*; see `preview.ask.Prometheus`."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._ask("query_range", {"query": query, **times})

    def _ask(self, path: str, fields: Mapping[str, str]) -> tuple[Series, ...]:
        status, body = self._post(f"{self._url}/api/v1/{path}", fields)
        try:
            document = json.loads(body)
            if document["status"] != "success":
                raise self._failed(f"{document.get('errorType', 'error')}: {document.get('error', '')}")
            return _series(document["data"])
        except (ValueError, KeyError, TypeError, IndexError):
            glimpse = " ".join(body[:200].decode(errors="replace").split())
            raise self._failed(f"HTTP {status} with something else than an answer: {glimpse}") from None

    def _post(self, url: str, fields: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            response = self._pool.request(
                "POST",
                url,
                fields=fields,
                encode_multipart=False,
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(total=self._timeout),
            )
            try:
                body = response.read(_MOST_BYTES + 1)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        if len(body) > _MOST_BYTES:
            raise self._failed(f"more than {_MOST_BYTES >> 20} MiB")
        return response.status, body

    def _failed(self, found: str) -> QueryFailedError:
        return QueryFailedError(f"an answer from Prometheus at {self._url}", found, "see that it runs, and its log")


def _series(data: Mapping[str, Any]) -> tuple[Series, ...]:
    """Read a vector or a matrix; what is no number is left out, as on a picture."""
    if data["resultType"] == "matrix":
        found = ((each["metric"], each["values"]) for each in data["result"])
    else:
        found = ((each["metric"], [each["value"]]) for each in data["result"])
    read = ((labels, tuple((float(at), float(value)) for at, value in values)) for labels, values in found)
    finite = ((labels, tuple(point for point in points if math.isfinite(point[1]))) for labels, points in read)
    return tuple(Series(labels, points) for labels, points in finite if points)
