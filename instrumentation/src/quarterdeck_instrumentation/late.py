"""Imports of other packages' modules that wait until what they bring is used.

OpenTelemetry's instrumentors import `packaging`, `importlib.metadata` and the like, 20 ms of a start, for what few of
them ever call. In the modules that are named here, what they take from there is stood for until it is called.
"""

from __future__ import annotations

import builtins
import threading
from importlib import import_module
from typing import Any


class _Versions:
    """Stands for `packaging.version` where releases of the conventions are compared: three numbers each."""

    @staticmethod
    def Version(text: str) -> Any:  # noqa: N802 -- as it is called there
        """Return what compares as the release *text* does with its like."""
        return tuple(map(int, text.split(".")))


_INCUBATING = "opentelemetry.semconv._incubating.attributes."
CONSTANTS: dict[str, dict[str, Any]] = {
    "packaging": {"version": _Versions},
    _INCUBATING + "db_attributes": {
        "DB_NAME": "db.name",
        "DB_OPERATION": "db.operation",
        "DB_REDIS_DATABASE_INDEX": "db.redis.database_index",
        "DB_STATEMENT": "db.statement",
        "DB_SYSTEM": "db.system",
        "DB_USER": "db.user",
    },
    _INCUBATING + "http_attributes": {
        "HTTP_FLAVOR": "http.flavor",
        "HTTP_HOST": "http.host",
        "HTTP_METHOD": "http.method",
        "HTTP_SCHEME": "http.scheme",
        "HTTP_SERVER_NAME": "http.server_name",
        "HTTP_STATUS_CODE": "http.status_code",
        "HTTP_TARGET": "http.target",
        "HTTP_URL": "http.url",
        "HTTP_USER_AGENT": "http.user_agent",
    },
    _INCUBATING + "net_attributes": {
        "NET_HOST_NAME": "net.host.name",
        "NET_HOST_PORT": "net.host.port",
        "NET_PEER_IP": "net.peer.ip",
        "NET_PEER_NAME": "net.peer.name",
        "NET_PEER_PORT": "net.peer.port",
        "NET_TRANSPORT": "net.transport",
    },
}
"""What is known without importing the module. Attributes' names of old, which a service with stable names never says:
their modules make 200 enumerated values."""
WAITING = {
    "opentelemetry.instrumentation._semconv": frozenset(CONSTANTS),
    "opentelemetry.instrumentation.dbapi": frozenset(("opentelemetry.util._importlib_metadata",)),
    "opentelemetry.instrumentation.instrumentor": frozenset(("opentelemetry.instrumentation.dependencies",)),
    "wrapt.importer": frozenset(("importlib.metadata",)),
}
"""Module → what it imports, or takes functions, classes or modules from, and uses none of while it is imported."""
_lock = threading.Lock()
_blocks = 0
"""How many are in progress, in all threads."""
_original: Any = builtins.__import__
_kept = False
"""Whether somebody found `_import` in a block and calls it still: it stays in place then, below what they set."""


class Imports:
    """A block in which the imports above wait. No others do, in whatever thread."""

    def __enter__(self) -> None:
        global _blocks, _original  # noqa: PLW0603 -- as what they stand for
        with _lock:
            if not _blocks and not _kept:
                _original = builtins.__import__
                vars(builtins)["__import__"] = _import
            _blocks += 1

    def __exit__(self, *_: object) -> None:
        global _blocks, _kept  # noqa: PLW0603 -- likewise
        with _lock:
            _blocks -= 1
            if not _blocks and not _kept:
                if builtins.__import__ is _import:
                    vars(builtins)["__import__"] = _original
                else:
                    _kept = True


def _import(name: str, space: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> Any:
    if not _blocks or level or space is None or name not in WAITING.get(space.get("__name__"), ()):
        return _original(name, space, local, wanted, level)
    return _Module(name) if wanted else _Package(name.partition(".")[0])


class _Module:
    """Stands for a module that something is taken from."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        known = CONSTANTS.get(self._name)
        if known is None:
            return _Late(self._name, name)
        return known[name] if name in known else _of(self._name, name)


class _Package:
    """Stands for a package of which a module is imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return _of(self._name, name)


def _of(module: str, name: str) -> Any:
    found = getattr(import_module(module), name, None)
    return import_module(f"{module}.{name}") if found is None else found


class _Late:
    """Stands for what is called *name* in *module*, or for a module of that package."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return _of(self._module, self._name)(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(_of(self._module, self._name), name)
