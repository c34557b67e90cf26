"""What the environment says, read once in each process when its telemetry starts.

OpenTelemetry's own variables keep their meaning; what it has no variable for begins with `QUARTERDECK_`. A value
that cannot be read is said and counted, and its default is used: a typing error never stops a service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck_contract.kubernetes import METRICS_PORT
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

HEALTH_PATHS = ("/healthz", "/livez", "/readyz", "/health")
"""Paths of probes, unless `QUARTERDECK_HEALTH_PATHS` names others."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice a service's owner has, with its default."""

    metrics_page: bool = True
    """Whether the values are kept and shown. `OTEL_METRICS_EXPORTER=none` says no."""
    metrics_host: str = "localhost"
    """Address the page listens on: `OTEL_EXPORTER_PROMETHEUS_HOST`. The default is the specification's: reachable
    from this machine alone, because a page nobody asked for should not be open to a network."""
    metrics_port: int = METRICS_PORT
    """Port the page listens on: `OTEL_EXPORTER_PROMETHEUS_PORT`. The default is the specification's."""
    metrics_server: bool = True
    """Whether the page has that port: `QUARTERDECK_METRICS_SERVER`. `off` where the service mounts the page itself."""
    created_timestamps: bool = True
    """Whether OpenMetrics pages say when each counter began: `QUARTERDECK_CREATED_TIMESTAMPS`. A Prometheus without
    the contract's feature flags makes series of these lines; `off` spares it them, and loses first events."""
    health_paths: frozenset[str] = frozenset(HEALTH_PATHS)
    """Whole paths that are neither measured nor traced, nor anything below them in the call:
    `QUARTERDECK_HEALTH_PATHS`, separated by commas; empty measures everything."""
    label_sets: int = 2000
    """Label sets a metric may have in one worker; all others share one overflow series:
    `QUARTERDECK_LABEL_SETS`. The default is the OpenTelemetry SDK's."""
    traces_exporters: tuple[str, ...] = ()
    """Where spans go: `OTEL_TRACES_EXPORTER`, for example `otlp` or `console`; `none` or nothing: nowhere. Unlike the
    specification's default, `otlp` must be asked for, by this variable or by an endpoint
    (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`): a service without a collector should not
    spend its days calling one."""
    flush_timeout: float = 1.0
    """Seconds a worker that is told to end may spend on sending its last spans: `QUARTERDECK_FLUSH_TIMEOUT`. One:
    well within the shortest grace period in use, and long enough for a collector that answers."""


_chosen: dict[str, Any] = {}
"""What the service chose in code."""


def choose(**chosen: Any) -> None:
    """Have *chosen*, fields of `Settings`, come before the environment from now on.

    Raises:
        TypeError: there is no such field.
    """
    replace(Settings(), **chosen)
    _chosen.update(chosen)


def effective(environ: Mapping[str, str]) -> Settings:
    """Return what the service chose in code, else what *environ* says."""
    settings = replace(read(environ), **_chosen)
    return replace(
        settings,
        health_paths=frozenset(settings.health_paths),
        traces_exporters=tuple(settings.traces_exporters),
    )


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings from *environ*."""
    default = Settings()
    return Settings(
        metrics_page=_words(environ, "OTEL_METRICS_EXPORTER") != ("none",),
        metrics_host=environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "").strip() or default.metrics_host,
        metrics_port=_parsed(environ, "OTEL_EXPORTER_PROMETHEUS_PORT", _port, default.metrics_port),
        metrics_server=_parsed(environ, "QUARTERDECK_METRICS_SERVER", _switch, default.metrics_server),
        created_timestamps=_parsed(environ, "QUARTERDECK_CREATED_TIMESTAMPS", _switch, default.created_timestamps),
        health_paths=_health_paths(environ),
        label_sets=_parsed(environ, "QUARTERDECK_LABEL_SETS", _positive, default.label_sets),
        traces_exporters=_traces_exporters(environ),
        flush_timeout=_parsed(environ, "QUARTERDECK_FLUSH_TIMEOUT", _seconds, default.flush_timeout),
    )


def _health_paths(environ: Mapping[str, str]) -> frozenset[str]:
    if "QUARTERDECK_HEALTH_PATHS" not in environ:
        return frozenset(HEALTH_PATHS)
    return frozenset(_words(environ, "QUARTERDECK_HEALTH_PATHS"))


def _traces_exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    named = _words(environ, "OTEL_TRACES_EXPORTER")
    if named:
        return tuple(name for name in named if name != "none")
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return ("otlp",) if any(environ.get(endpoint) for endpoint in endpoints) else ()


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in environ.get(name, "").split(",")) if word)


def _parsed(environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        failed("settings", f"{name}={text} cannot be read, so {default} is used", error)
        return default


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 1 << 16:
        raise ValueError("a port is a number from 1 to 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("a number of at least 1 is needed")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 60:  # noqa: PLR2004 -- longer than any grace period
        raise ValueError("a number of seconds from 0 to 60 is needed")
    return seconds


def _switch(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("on or off is needed")
    return words[text.lower()]
