"""What a WSGI environ says of a request: its path, its headers, and the span that begins with it.

Each thing is looked up under the name that CGI gave it, because few are asked for and an environ has many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.http_server import method_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_instrumentation.tracing import ServerSpan, Tracing

    Environ = dict[str, Any]

_PLAIN = ("CONTENT_TYPE", "CONTENT_LENGTH")
"""The two keys of headers that CGI names without `HTTP_`."""
_keys = {key.lower().replace("_", "-").encode(): key for key in _PLAIN}
"""Name of a header → its key in an environ. Only names in this process's own code are asked for: they are few."""


def begin_span(tracing: Tracing, environ: Environ) -> ServerSpan:
    """Begin the span of the request in *environ*."""
    get = environ.get
    path = get("SCRIPT_NAME", "") + get("PATH_INFO", "")
    if not path.isascii():  # PEP 3333 has bytes in text, a character each; paths are UTF-8 in them
        path = path.encode("latin-1", "replace").decode("utf-8", "replace")
    parent = None
    for variable in tracing.variables:
        if variable in environ:
            parent = tracing.parent(_Headers(environ))
            break
    sent = environ["REQUEST_METHOD"]
    version = get("SERVER_PROTOCOL", "").removeprefix("HTTP/")
    scheme, host, agent = get("wsgi.url_scheme", "http"), get("HTTP_HOST"), get("HTTP_USER_AGENT")
    return tracing.received((method_label(sent), sent, scheme, version, host, agent), path, parent)


class _Headers:
    """The headers in an environ by their names, in bytes; each found when it is asked for."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __contains__(self, name: bytes) -> bool:
        return (_keys.get(name) or _key(name)) in self._environ

    def get(self, name: bytes) -> bytes | None:
        """Return the value of header *name*; None where it was not sent."""
        value = self._environ.get(_keys.get(name) or _key(name))
        return value.encode("latin-1", "replace") if isinstance(value, str) else None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every header that was sent, and its value."""
        for key, value in self._environ.items():
            if isinstance(value, str) and (key.startswith("HTTP_") or key in _PLAIN):
                name = key.removeprefix("HTTP_").replace("_", "-").lower()
                yield name.encode("latin-1", "replace"), value.encode("latin-1", "replace")


def _key(name: bytes) -> str:
    key = _keys[name] = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    return key
