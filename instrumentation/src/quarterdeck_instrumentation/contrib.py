"""OpenTelemetry's own instrumentors, for what is not ours: each loaded when its library is, each failing alone.

They come with `quarterdeck-instrumentation[contrib]`. They make spans, so without a place for spans none is loaded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.settings import effective

if TYPE_CHECKING:
    from types import ModuleType

OURS = frozenset(
    {"aiohttp-server", "asgi", "django", "falcon", "fastapi", "flask", "pyramid", "starlette", "tornado", "wsgi"}
)
"""Instrumentors that are never loaded: what they do is done here, and twice would be two spans for a request."""
_NAMES = {"aiohttp": "aiohttp-client"}
"""Module of a library → name of its instrumentor's entry point, where that is not the module's own."""
_ENTRY_POINTS = "opentelemetry_instrumentor"
_SEMANTICS = "OTEL_SEMCONV_STABILITY_OPT_IN"


def patch_library(module: ModuleType) -> None:
    """Load the instrumentor of *module*, which has just been imported, if it is installed and spans are wanted."""
    name = entry_point_name(module.__name__)
    disabled = effective(os.environ).disabled_instrumentations
    if disabled & {name, "*"} or not _spans_are_wanted():
        return
    from importlib.metadata import entry_points  # noqa: PLC0415 -- only services that trace pay for it

    for entry_point in entry_points(group=_ENTRY_POINTS, name=name):
        instrument(entry_point)


def entry_point_name(library: str) -> str:
    """Return the name of the entry point of *library*'s instrumentor."""
    return _NAMES.get(library, library)


def instrument(entry_point: Any, **options: Any) -> None:
    """Load one instrumentor and have it instrument, unless the library is ours; never raises.

    Args:
        entry_point: its entry point.
        options: what its `instrument` is called with.
    """
    if entry_point.name in OURS:
        return
    os.environ.setdefault(_SEMANTICS, "http,database")  # read once, by the first instrumentor: stable names only
    try:
        instrumentor = entry_point.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(**options)
    except Exception as error:  # noqa: BLE001 -- one instrumentor must not take the others, or the service, with it
        failed("hooks", f"the instrumentor {entry_point.name} could not be loaded", error)


def _spans_are_wanted() -> bool:
    if effective(os.environ).traces_exporters:
        return True
    from opentelemetry import trace  # noqa: PLC0415 -- likewise

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)
