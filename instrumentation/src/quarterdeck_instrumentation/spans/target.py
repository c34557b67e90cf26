"""Where spans are posted, and how: OpenTelemetry's own variables, read once."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from quarterdeck_contract.records import record
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T", int, float)

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile("[\t\x20-\x7e\x80-\xff]*")
"""A header's name and value, by RFC 9110; the former in small letters."""
_PORTS = {"http": 80, "https": 443}
_COMPRESSIONS = frozenset(("gzip", "deflate"))
_ENDLESS = 10**9
"""Above it, a number is as good as infinite, which neither a lock nor a socket can wait for."""
POSTING = ("encodings.idna", "quarterdeck_instrumentation.spans.post")
"""What the threads that post import; the first, Python itself for a host's name."""
_EXPORT_TIMEOUT = 30.0
"""Seconds: the specification's default of `OTEL_BSP_EXPORT_TIMEOUT`."""


@record(frozen=True, slots=True)
class Target:
    """A collector that takes OTLP over HTTP in protobuf. The trace variables go before the general ones."""

    scheme: str = "http"
    host: str = "localhost"
    port: int = 4318
    path: str = "/v1/traces"
    """The four of `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or of `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces` added.
    Without either: port 4318 of this machine, by HTTP. A name and a password in them are not used."""
    headers: dict[str, str] = field(default_factory=dict)
    """`OTEL_EXPORTER_OTLP_HEADERS`: `name=value` separated by commas, values in percent encoding."""
    timeout: float = 10.0
    """Seconds a batch may take, retries included: `OTEL_EXPORTER_OTLP_TIMEOUT`, in seconds as OpenTelemetry's Python
    exporters read it, or `OTEL_BSP_EXPORT_TIMEOUT`, in milliseconds, if that is less. The specification's default."""
    compression: str = ""
    """How bodies are compressed: `OTEL_EXPORTER_OTLP_COMPRESSION`, `gzip` or `deflate`; `none`, the default: not."""
    certificate: str = ""
    """File of the authorities to trust: `OTEL_EXPORTER_OTLP_CERTIFICATE`. Empty: the machine's own."""
    client_certificate: str = ""
    """File with this service's own certificate: `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`. Empty: it shows none."""
    client_key: str = ""
    """File with that certificate's key: `OTEL_EXPORTER_OTLP_CLIENT_KEY`. Empty: in the certificate's own file."""
    queue: int = 2048
    """Spans that wait at most; more are dropped and counted: `OTEL_BSP_MAX_QUEUE_SIZE`."""
    batch: int = 512
    """Spans in one post at most: `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`; never more than may wait."""
    delay: float = 5.0
    """Seconds a span waits for others at most: `OTEL_BSP_SCHEDULE_DELAY`, in milliseconds there."""


def read(environ: Mapping[str, str], signal: str = "TRACES") -> Target:
    """Read the target from *environ*; what cannot be read is said, and its default used.

    Args:
        environ: what is asked.
        signal: whose target, as the variables' names have it: `TRACES` or `METRICS`.

    Raises:
        ValueError: the endpoint is no HTTP URL, so there is nowhere to send anything to.
    """
    default = Target()
    endpoint = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip()
    if not endpoint:
        base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or "http://localhost:4318"
        endpoint = f"{base.rstrip('/')}/v1/{signal.lower()}"
    url = urlsplit(endpoint)
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError(f"{endpoint.rpartition('@')[2]} is no http:// or https:// URL")
    queue = _setting(environ, "OTEL_BSP_MAX_QUEUE_SIZE", int, default.queue)
    export_timeout = _setting(environ, "OTEL_BSP_EXPORT_TIMEOUT", _milliseconds, _EXPORT_TIMEOUT)
    return Target(
        scheme=url.scheme,
        host=url.hostname,
        port=url.port or _PORTS[url.scheme],
        path=(url.path or "/") + (f"?{url.query}" if url.query else ""),
        headers=_headers(_of(environ, signal, "HEADERS")),
        timeout=min(
            _number("OTEL_EXPORTER_OTLP_TIMEOUT", _of(environ, signal, "TIMEOUT"), float, default.timeout),
            export_timeout,
        ),
        compression=_compression(_of(environ, signal, "COMPRESSION").lower()),
        certificate=_of(environ, signal, "CERTIFICATE"),
        client_certificate=_of(environ, signal, "CLIENT_CERTIFICATE"),
        client_key=_of(environ, signal, "CLIENT_KEY"),
        queue=queue,
        batch=min(_setting(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", int, default.batch), queue),
        delay=_setting(environ, "OTEL_BSP_SCHEDULE_DELAY", _milliseconds, default.delay),
    )


def milliseconds(environ: Mapping[str, str], name: str, default: float) -> float:
    """Return the variable called *name*, which is in milliseconds, in seconds; *default*, in seconds, without one."""
    return _setting(environ, name, _milliseconds, default)


def _of(environ: Mapping[str, str], signal: str, name: str) -> str:
    own, general = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}"), environ.get(f"OTEL_EXPORTER_OTLP_{name}")
    return (own or general or "").strip()


def _setting(environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    return _number(name, environ.get(name, "").strip(), parse, default)


def _number(name: str, text: str, parse: Callable[[str], T], default: T) -> T:
    if not text:
        return default
    try:
        number = parse(text)
    except ValueError:
        number = 0
    if 0 < number < _ENDLESS:
        return number
    failed("settings", f"{name}: expected a number above 0; found {text}; {default:g} is used")
    return default


def _compression(text: str) -> str:
    if text in _COMPRESSIONS:
        return text
    if text not in ("", "none"):
        failed(
            "settings", f"OTEL_EXPORTER_OTLP_COMPRESSION: expected gzip, deflate or none; found {text}; none is used"
        )
    return ""


def _milliseconds(text: str) -> float:
    return float(text) / 1000


def _headers(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    headers = {unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs}
    for name in [name for name, value in headers.items() if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value))]:
        del headers[name]
        failed(
            "settings", f"OTEL_EXPORTER_OTLP_HEADERS: the header {name!r} is none that HTTP can send; it is left out"
        )
    return headers
