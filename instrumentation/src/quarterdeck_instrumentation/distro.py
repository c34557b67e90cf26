"""What plain `opentelemetry-instrument` loads where `OTEL_PYTHON_DISTRO` and `OTEL_PYTHON_CONFIGURATOR` name us.

Also how the OpenTelemetry operator starts us, from a copied folder. Loaded through entry points alone: nothing else
here imports `opentelemetry.instrumentation`, which few services have.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]  # it is there, untyped

from quarterdeck_instrumentation import activation, contrib

_HOOKED = frozenset(name for library in activation.LIBRARIES for name in contrib.entry_point_names(library))
"""Instrumentors that are loaded when their library is."""


class Distro(BaseDistro):  # type: ignore[misc]  # likewise
    """Activates the instrumentation, and keeps each instrumentor's failure to itself."""

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Instrument now what has no hook of ours, and leave the rest to the hooks."""
        if activation.enabled_here() and entry_point.name not in _HOOKED:
            contrib.instrument(entry_point, **kwargs)

    def _configure(self, **kwargs: Any) -> None:
        del kwargs
        activation.lead()
        activation.activate()


class Configurator:
    """Configures nothing ahead: each worker begins its telemetry when a server first calls an application in it."""

    def configure(self, **kwargs: Any) -> None:
        """Leave everything to the worker, which is forked later than this."""
