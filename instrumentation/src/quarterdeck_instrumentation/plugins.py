"""Parts that other packages provide, by the names they registered them under as entry points of OpenTelemetry's."""

from __future__ import annotations

from typing import Any


def load(group: str, name: str) -> Any:
    """Return what is registered as *name* in *group*.

    Raises:
        LookupError: nothing is.
        Exception: whatever importing it raises.
    """
    for entry in _entries(group, name):
        return entry.load()
    raise LookupError("no package that is installed has it")


def is_installed(group: str, name: str) -> bool:
    """Say whether something is registered as *name* in *group*; it is not imported."""
    return bool(_entries(group, name))


def _entries(group: str, name: str) -> Any:
    from importlib.metadata import entry_points  # noqa: PLC0415 -- few services need parts of other packages

    return entry_points(group=group, name=name)
