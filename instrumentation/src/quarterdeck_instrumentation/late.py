"""Imports of other packages' modules that wait until what they bring is used.

OpenTelemetry's instrumentors import `packaging` and `importlib.metadata`, 15 ms of a start, for what few of them
ever call. In the modules that are named here, what they take from there is stood for until it is called.
"""

from __future__ import annotations

import builtins
import threading
from importlib import import_module
from typing import Any

WAITING = {
    "opentelemetry.instrumentation._semconv": "packaging",
    "opentelemetry.instrumentation.dbapi": "opentelemetry.util._importlib_metadata",
    "opentelemetry.instrumentation.instrumentor": "opentelemetry.instrumentation.dependencies",
    "wrapt.importer": "importlib.metadata",
}
"""Module → what it imports, or takes functions, classes or modules from, and uses none of while it is imported."""
_lock = threading.Lock()
_blocks = 0
"""How many are in progress, in all threads."""
_original: Any = builtins.__import__


class Imports:
    """A block in which the imports above wait. No others do, in whatever thread."""

    def __enter__(self) -> None:
        global _blocks, _original  # noqa: PLW0603 -- as what they stand for
        with _lock:
            if not _blocks:
                _original = builtins.__import__
                vars(builtins)["__import__"] = _import
            _blocks += 1

    def __exit__(self, *_: object) -> None:
        global _blocks  # noqa: PLW0603 -- likewise
        with _lock:
            _blocks -= 1
            if not _blocks and builtins.__import__ is _import:
                vars(builtins)["__import__"] = _original


def _import(name: str, space: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> Any:
    if level or space is None or WAITING.get(space.get("__name__")) != name:
        return _original(name, space, local, wanted, level)
    return _Module(name) if wanted else _Package(name.partition(".")[0])


class _Module:
    """Stands for a module that something is taken from."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> _Late:
        return _Late(self._name, name)


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
