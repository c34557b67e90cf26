"""Which process a span is of: what the SDK's `Resource.create` finds, without the SDK where nothing more is asked for.

That imports a pool of threads for two look-ups in the environment.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

DETECTORS = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"
"""Names entry points of other packages that find more attributes."""
SDK = "opentelemetry.sdk.resources"
_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
_SERVICE_NAME = "OTEL_SERVICE_NAME"
_INSTANCE = "service.instance.id"


class Whose(Protocol):
    """What is asked of either resource."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its attributes."""

    @property
    def schema_url(self) -> str:
        """Which schema they follow; empty: none."""


class Resource:
    """Who made a span; it reads like the SDK's `Resource`."""

    schema_url = ""

    def __init__(self, environ: Mapping[str, str]) -> None:
        from opentelemetry.sdk.version import __version__  # noqa: PLC0415 -- not for whoever only wants `patch_sdk`

        self._telemetry = {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": __version__,
        }
        self._said = _said(environ)

    @property
    def attributes(self) -> dict[str, Any]:
        """Return its attributes; a forked child is another instance."""
        return {**self._telemetry, _INSTANCE: _Instance.of_this_process(), **self._said}


def simple(environ: Mapping[str, str]) -> bool:
    """Say whether the SDK would find nothing that is not found here; where it is imported, it may as well be asked."""
    return SDK not in sys.modules and not environ.get(DETECTORS, "").strip()


def patch_sdk(module: ModuleType) -> None:
    """Have the SDK call this process what it is called here, so that spans and its metrics are of one instance."""
    sdk: Any = module
    if hasattr(sdk, "_service_instance_id_pid"):  # from SDK 1.42
        sdk._service_instance_id = _Instance.of_this_process()  # noqa: SLF001 -- there is no public way
        sdk._service_instance_id_pid = os.getpid()  # noqa: SLF001 -- likewise


class _Instance:
    id = ""
    pid = 0

    @classmethod
    def of_this_process(cls) -> str:
        """Return a random UUID, the same one in all of a process's life."""
        if cls.pid != os.getpid():
            import uuid  # noqa: PLC0415 -- once in a process that makes spans

            cls.id, cls.pid = str(uuid.uuid4()), os.getpid()
        return cls.id


def _said(environ: Mapping[str, str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for pair in filter(None, environ.get(_ATTRIBUTES, "").split(",")):
        name, equals, value = pair.partition("=")
        if equals:
            said[name.strip()] = unquote(value.strip())
        else:
            failed("settings", f"{_ATTRIBUTES}: expected name=value, separated by commas; found {pair}")
    service = environ.get(_SERVICE_NAME) or said.get("service.name")
    said["service.name"] = service or f"unknown_service:{os.path.basename(sys.executable)}"
    return {name: value for name, value in said.items() if name}
