"""Prometheus over HTTP: instant queries with a deadline, and everything that is not an answer named as such."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import urllib3

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.adapters.json_api import checked_url
from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.ports import Answer, AnswerError, Exemplar, Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRACE_ID = "trace_id"
"""The label of an exemplar that names a trace, as OpenMetrics has it."""

HEADERS = "QUARTERDECK_PROMETHEUS_HEADERS"
"""Environment variable of headers that each question has, as OTEL_EXPORTER_OTLP_HEADERS writes them:
`X-Scope-OrgID=shop,Authorization=Bearer%20…`."""

SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key"})
"""Names of headers, in small letters, whose values are in no message."""
_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 256 << 20
"""An answer larger than this is refused: it would not be read within the deadline either."""


def connect(url: str, environ: Mapping[str, str]) -> PrometheusApi:
    """Return the Prometheus at *url*, asked with the headers that *environ* has for it. Asks nothing.

    Raises:
        UsageError: the headers cannot be read, or are secrets and would be sent in clear.
    """
    headers = headers_of(environ)
    is_secret = any(name.lower() in SECRET_HEADERS for name in headers)
    return PrometheusApi(checked_url(url) if is_secret else url, headers=headers)


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that each question to a Prometheus has.

    >>> headers_of({HEADERS: "X-Scope-OrgID=shop, Authorization=Bearer%20abc"})
    {'X-Scope-OrgID': 'shop', 'Authorization': 'Bearer abc'}

    Raises:
        UsageError: they cannot be read.
    """
    headers = {}
    for each in filter(None, map(str.strip, environ.get(HEADERS, "").split(","))):
        name, sign, value = each.partition("=")
        if not sign or not name.strip().replace("-", "").isalnum():
            step = f"write `export {HEADERS}=X-Tenant=shop`, with a comma between headers"
            raise UsageError(f"headers in {HEADERS} as name=value,name=value", "another text", step)
        headers[name.strip()] = unquote(value.strip())
    return headers


class PrometheusApi:
    """A Prometheus, or anything that speaks its HTTP API (Thanos, Mimir), at a base URL."""

    def __init__(self, url: str, *, timeout: float = 10.0, headers: Mapping[str, str] | None = None) -> None:
        """Ask nothing yet.

        Args:
            url: without a trailing slash.
            timeout: seconds for a whole call, body included.
            headers: with every call, such as a tenant's, or what shows who asks.
        """
        self._url = url
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._secrets = [value for name, value in self._headers.items() if value and name.lower() in SECRET_HEADERS]
        self._pool = urllib3.PoolManager(retries=False)

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Evaluate *promql*; see `ports.Prometheus`."""
        fields = {"query": promql, "timeout": f"{self._timeout * 1000:.0f}ms"}
        if at is not None:
            fields["time"] = f"{at:.3f}"
        document, body = self._ask("/api/v1/query", fields)
        try:
            series = parse_result(document["data"])
            warnings = tuple(str(warning) for warning in document.get("warnings") or ())
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._unusable(f"a result of another shape: {_glimpse(body)}") from None
        return Answer(series, warnings)

    def exemplars(self, selector: str, start: float, end: float) -> tuple[Exemplar, ...]:
        """Return exemplars that name a trace; see `ports.Traces`."""
        fields = {"query": selector, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        document, body = self._ask("/api/v1/query_exemplars", fields)
        try:
            return tuple(
                Exemplar(
                    _named(item["seriesLabels"]),
                    str(each["labels"][TRACE_ID]),
                    float(each["value"]),
                    float(each["timestamp"]),
                )
                for item in document["data"] or ()
                for each in item["exemplars"]
                if TRACE_ID in each["labels"]
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._unusable(f"exemplars of another shape: {_glimpse(body)}") from None

    def _ask(self, path: str, fields: dict[str, str]) -> tuple[dict[str, Any], bytes]:
        status, body = self._post(path, fields)
        try:
            document = json.loads(body)
        except ValueError:
            raise self._unusable(f"HTTP {status} with a body that is not JSON: {_glimpse(body)}") from None
        if not isinstance(document, dict) or document.get("status") != "success" or status != 200:  # noqa: PLR2004 -- HTTP's own number
            raise self._unusable(f"HTTP {status}: {_glimpse(body)}")
        return document, body

    def _post(self, path: str, fields: dict[str, str]) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        try:
            response = self._pool.request(
                "POST",
                self._url + path,
                fields=fields,
                headers=self._headers,
                encode_multipart=False,
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(total=self._timeout),
            )
            try:
                return response.status, self._read(response, deadline)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise UnreachableError(
                f"Prometheus at {self._url} to answer within {self._timeout:g} s",
                self._without_secrets(f"{type(error).__name__}: {error}"),
                "see that Prometheus runs and can be reached from here",
            ) from error

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Read the body chunk by chunk: a server that trickles would outlast any timeout between two bytes."""
        body = bytearray()
        while chunk := response.read1(_CHUNK_BYTES):
            body += chunk
            if time.monotonic() > deadline:
                raise TimeoutError("the answer took longer than that")
            if len(body) > _MOST_BYTES:
                raise self._unusable(f"more than {_MOST_BYTES >> 20} MiB")
        return bytes(body)

    def _unusable(self, found: str) -> AnswerError:
        told = self._without_secrets(found)
        return AnswerError(f"an answer to a query from Prometheus at {self._url}", told, "see its log")

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def parse_result(data: dict[str, Any]) -> tuple[Series, ...]:
    """Read a query's `data`; a vector's and a scalar's values become series of one sample.

    Raises:
        KeyError, TypeError, ValueError: it has another shape.
    """
    kind, result = data["resultType"], data["result"]
    if kind == "matrix":
        return tuple(Series(_labels(item), _samples(item["values"])) for item in result)
    if kind == "vector":
        return tuple(Series(_labels(item), _samples([item["value"]])) for item in result)
    if kind == "scalar":
        return (Series({}, _samples([result])),)
    raise ValueError(kind)


def _labels(item: dict[str, Any]) -> dict[str, str]:
    return _named(item["metric"])


def _named(labels: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in labels.items()}


def _samples(values: Sequence[Sequence[Any]]) -> tuple[tuple[float, float], ...]:
    # Prometheus writes values as text, because JSON has no NaN; a bare number is another server's answer.
    samples = []
    for moment, value in values:
        if not isinstance(value, str) or isinstance(moment, str | bool):
            raise TypeError(value)
        samples.append((float(moment), float(value)))
    moments = [moment for moment, _ in samples]
    if not all(map(math.isfinite, moments)) or moments != sorted(moments):
        raise ValueError(moments)
    return tuple(samples)


def _glimpse(body: bytes) -> str:
    text = " ".join(body[:300].decode(errors="replace").split())
    return text or "nothing"
