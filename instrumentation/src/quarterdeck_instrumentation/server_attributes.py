"""What a server span says of a request, by the stable conventions, whichever path makes the span.

Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/. `url.query` is left out: secrets travel in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_contract.labels import ERROR_TYPE, HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS_CODE, MODULE, URL_SCHEME
from quarterdeck_instrumentation.http_server import scheme_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

PATH = "url.path"
"""The one attribute that is of a single request alone."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

Header = str | bytes | None
"""A header's value as the server has it: text if it is WSGI's. None: it was not sent."""
Facts = tuple[str, str, str, str | None, Header, Header]
"""Method as the contract spells it, method as sent, scheme, HTTP version, `Host` and `User-Agent` headers: what many
requests have in common."""


def facts(scope: Mapping[str, Any], method: str, sent: str, headers: Any) -> Facts:
    """Return of an ASGI scope what a span is made of, besides the path; nothing is decoded yet."""
    version = scope.get("http_version")
    return (method, sent, scope.get("scheme", "http"), version, headers.get(b"host"), headers.get(b"user-agent"))


def of_request(what: Facts) -> dict[str, AttributeValue]:
    """Return the attributes of *what* was received."""
    method, sent, scheme, version, host, agent = what
    attributes: dict[str, AttributeValue] = {HTTP_METHOD.name: method, URL_SCHEME.name: scheme_label(scheme)}
    if sent != method:
        attributes["http.request.method_original"] = sent
    if version:
        attributes["network.protocol.version"] = version
    if host is not None:
        _server(attributes, _text(host), scheme)
    if agent is not None:
        attributes["user_agent.original"] = _text(agent)
    return attributes


Outcome = tuple[str | None, int | None, str, str]
"""How a request ended: route (None: none matched), status code (None: none was sent), error type, module."""


def of_outcome(outcome: Outcome) -> dict[str, AttributeValue]:
    """Return the attributes of how a request ended."""
    route, status, error, module = outcome
    attributes: dict[str, AttributeValue] = {}
    if route is not None:
        attributes[HTTP_ROUTE.name] = route
    if status is not None:
        attributes[HTTP_STATUS_CODE.name] = status
    if error:
        attributes[ERROR_TYPE.name] = error
    if module:
        attributes[MODULE.name] = module
    return attributes


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else header


def _server(attributes: dict[str, AttributeValue], host: str, scheme: str) -> None:
    address, colon, port = host.rpartition(":")
    if not colon or "]" in port:  # no port, or the colon is inside an IPv6 address
        address, port = host, ""
    attributes["server.address"] = address.strip("[]")
    attributes["server.port"] = int(port) if port.isdecimal() else _DEFAULT_PORTS.get(scheme, 80)
