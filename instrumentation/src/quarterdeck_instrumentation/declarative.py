"""`OTEL_CONFIG_FILE`: OpenTelemetry's declarative configuration, read with its own package where that is installed.

Who is asked, in this order:

1. what the service chose in code;
2. the file: its `tracer_provider`, `logger_provider`, `propagator`, `resource` and the pushing readers of its
   `meter_provider` are the SDK's to make; a reader `pull: exporter: prometheus/development:` says where our page
   listens; `instrumentation/development: python: {name: {enabled: false}}` disables an instrumentor; settings of ours
   are `distribution: quarterdeck:`, by their variables' names without `QUARTERDECK_` and in small letters;
3. variables that begin with `QUARTERDECK_`.

As the specification has it, variables that begin with `OTEL_` are then not asked, except where the file refers to them
by `${NAME}`; `OTEL_SDK_DISABLED` is, because it decides whether anything here runs at all. A file that cannot be used
is said once, and the environment is asked as if there were none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE = "OTEL_CONFIG_FILE"
"""Path of the file."""
EXPORTER = "declarative"
"""What stands in `OTEL_TRACES_EXPORTER` for the exporters that the file describes."""
PACKAGE = "opentelemetry-configuration"
"""Reads the file."""
_DISTRIBUTION = "quarterdeck"
_OURS = "QUARTERDECK_"

_loaded: dict[str, Any] = {}
"""By path: what was read, or None."""


def asked(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment that says what the file says; *environ* itself where there is none to be used."""
    config = _config(environ)
    return environ if config is None else translated(config, environ)


def translated(config: Any, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that says what *config* says.

    Args:
        config: an `OpenTelemetryConfiguration` of the package.
        environ: what is asked after it.
    """
    said = {name: value for name, value in environ.items() if not name.startswith("OTEL_")}
    traces = config.tracer_provider is not None and not config.disabled
    said["OTEL_TRACES_EXPORTER"] = EXPORTER if traces else "none"
    if config.disabled:
        said["OTEL_METRICS_EXPORTER"] = "none"
    for reader in config.meter_provider.readers if config.meter_provider is not None else ():
        page = _page(reader)
        if page is not None:
            said["OTEL_EXPORTER_PROMETHEUS_HOST"] = page.host or ""
            said["OTEL_EXPORTER_PROMETHEUS_PORT"] = "" if page.port is None else str(page.port)
    said["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = ",".join(_disabled(config.instrumentation_development))
    for key, value in ((config.distribution or {}).get(_DISTRIBUTION) or {}).items():
        said[_OURS + key.upper()] = _text(value)
    return said


def apply(environ: Mapping[str, str]) -> None:
    """Have the SDK make what the file describes, for this process; never raises."""
    config = _config(environ)
    if config is None or config.disabled:
        return
    import atexit  # noqa: PLC0415 -- few services have such a file
    from dataclasses import replace  # noqa: PLC0415 -- likewise

    from opentelemetry import trace  # noqa: PLC0415 -- likewise

    chosen = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    try:
        from opentelemetry.configuration import configure_sdk  # noqa: PLC0415 -- likewise

        configure_sdk(
            replace(
                config,
                tracer_provider=None if chosen else config.tracer_provider,  # the service's own stays
                meter_provider=_pushing(config.meter_provider, replace),
                instrumentation_development=None,  # each instrumentor is loaded when its library is
            )
        )
    except Exception as error:  # noqa: BLE001 -- an exporter that is not installed, for one
        failed("traces", f"{VARIABLE}: the SDK cannot make what the file describes", error)
    provider: Any = trace.get_tracer_provider()
    if not chosen and hasattr(provider, "shutdown"):
        atexit.unregister(provider.shutdown)  # which waits as long as the exporter likes: the runtime flushes, in time


def used(environ: Mapping[str, str]) -> bool:
    """Say whether there is a file, and it could be read."""
    return _config(environ) is not None


def _config(environ: Mapping[str, str]) -> Any:
    path = environ.get(VARIABLE, "").strip()
    if path and path not in _loaded:
        _loaded[path] = _load(path)
    return _loaded[path] if path else None


def _load(path: str) -> Any:
    instead = "the environment is asked instead"
    try:
        from opentelemetry.configuration import load_config_file  # noqa: PLC0415 -- few services have such a file
    except ImportError as error:
        failed("settings", f"{VARIABLE}: expected {PACKAGE} to read {path} with; it is missing; {instead}", error)
        return None
    try:
        return load_config_file(os.path.abspath(path))
    except Exception as error:  # noqa: BLE001 -- anything may be in a file
        failed("settings", f"{VARIABLE}: expected a declarative configuration; {path} is none; {instead}", error)
        return None


def _page(reader: Any) -> Any:
    return reader.pull.exporter.prometheus_development if reader.pull is not None else None


def _pushing(meter_provider: Any, replace: Any) -> Any:
    """Return *meter_provider* without the readers that our page stands for; None if there are no others."""
    readers = [each for each in meter_provider.readers if _page(each) is None] if meter_provider is not None else []
    return replace(meter_provider, readers=readers) if readers else None


def _disabled(instrumentation: Any) -> Iterable[str]:
    of_python = instrumentation.python if instrumentation is not None else None
    return (name for name, options in (of_python or {}).items() if (options or {}).get("enabled") is False)


def _text(value: Any) -> str:
    """Return *value* as an environment variable says it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
