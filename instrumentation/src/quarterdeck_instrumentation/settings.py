"""What the environment says, read once in each process when its telemetry starts.

OpenTelemetry's own variables keep their meaning; what it has no variable for begins with `QUARTERDECK_`. A value
that cannot be read is said and counted, and its default is used: a typing error never stops a service.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck_contract.kubernetes import METRICS_PORT
from quarterdeck_contract.records import record
from quarterdeck_instrumentation import declarative
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
N = TypeVar("N", int, float)

HEALTH_PATHS = ("/healthz", "/livez", "/readyz", "/health")
"""Paths of probes, unless `QUARTERDECK_HEALTH_PATHS` names others."""


@record(frozen=True, slots=True)
class Settings:
    """Every choice a service's owner has, with its default."""

    metrics_page: bool = True
    """Whether the values are kept and shown: `OTEL_METRICS_EXPORTER`, `prometheus` or nothing. `none` says no, and
    `otlp` alone does: `prometheus,otlp` is both."""
    metrics_push: bool = False
    """Whether each worker posts its values over OTLP, in protobuf over HTTP: `OTEL_METRICS_EXPORTER`, `otlp` or
    `prometheus,otlp`. Where to and how often: OpenTelemetry's own variables. Off, because what is scraped and pushed
    is there twice."""
    metrics_host: str = "localhost"
    """Address the page listens on: `OTEL_EXPORTER_PROMETHEUS_HOST`. The default is the specification's: reachable
    from this machine alone, because a page nobody asked for should not be open to a network. An address of IPv6 may
    be in brackets; `*` is any of IPv4."""
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
    log_records: bool = True
    """Whether what the service logs is counted, by severity: `QUARTERDECK_LOG_RECORDS`. `off` leaves Python's `logging`
    as it is; a rollout then does not look at what a new version logs."""
    traces_exporters: tuple[str, ...] = ()
    """Where spans go: `OTEL_TRACES_EXPORTER`, for example `otlp` or `console`; `none` or nothing: nowhere. Unlike the
    specification's default, `otlp` must be asked for, by this variable or by an endpoint
    (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`): a service without a collector should not
    spend its days calling one."""
    flush_timeout: float = 0.75
    """Seconds a worker that is told to end may spend on sending its last spans: `QUARTERDECK_FLUSH_TIMEOUT`. So many:
    long enough for a collector that answers, and little enough that servers, of which some look only once a second
    whether they are told to end or their workers have ended, are gone two seconds after SIGTERM without one."""
    disabled_instrumentations: frozenset[str] = frozenset()
    """Instrumentors of OpenTelemetry's that are not loaded, by their entry points' names, or `*` for all of them:
    `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`, separated by commas."""


_chosen: dict[str, Any] = {}
"""What the service chose in code."""


def choose(**chosen: Any) -> None:
    """Have *chosen*, fields of `Settings`, come before the environment from now on.

    Raises:
        TypeError: there is no such field, or it is of another type.
        ValueError: the value is outside its range.
    """
    replace(Settings(), **chosen)
    for name, value in chosen.items():
        _check(name, value, getattr(Settings(), name))
    _chosen.update(chosen)


def effective(environ: Mapping[str, str]) -> Settings:
    """Return what the service chose in code, else what `OTEL_CONFIG_FILE` says, else what *environ* says."""
    settings = replace(read(declarative.asked(environ)), **_chosen)
    return replace(
        settings,
        disabled_instrumentations=frozenset(settings.disabled_instrumentations),
        health_paths=frozenset(settings.health_paths),
        metrics_host=_address(settings.metrics_host),
        traces_exporters=tuple(settings.traces_exporters),
    )


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings from *environ*."""
    default = Settings()
    metrics_exporters = _metrics_exporters(environ)
    return Settings(
        metrics_page=not metrics_exporters or "prometheus" in metrics_exporters,
        metrics_push="otlp" in metrics_exporters,
        metrics_host=environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "").strip() or default.metrics_host,
        metrics_port=_parsed(environ, "OTEL_EXPORTER_PROMETHEUS_PORT", _port, default.metrics_port),
        metrics_server=_parsed(environ, "QUARTERDECK_METRICS_SERVER", _switch, default.metrics_server),
        created_timestamps=_parsed(environ, "QUARTERDECK_CREATED_TIMESTAMPS", _switch, default.created_timestamps),
        health_paths=_health_paths(environ),
        label_sets=_parsed(environ, "QUARTERDECK_LABEL_SETS", _positive, default.label_sets),
        log_records=_parsed(environ, "QUARTERDECK_LOG_RECORDS", _switch, default.log_records),
        traces_exporters=_traces_exporters(environ),
        flush_timeout=_parsed(environ, "QUARTERDECK_FLUSH_TIMEOUT", _seconds, default.flush_timeout),
        disabled_instrumentations=frozenset(_words(environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")),
    )


def _address(host: str) -> str:
    """Return the address of *host* as sockets take it; people write it as in a URL, or as other servers have it."""
    return "0.0.0.0" if host == "*" else host.removeprefix("[").removesuffix("]")  # noqa: S104 -- as its owner says


def shown(settings: Settings, name: str) -> str:
    """Return the setting called *name* as a person reads it."""
    value = getattr(settings, name)
    return ", ".join(sorted(value)) if isinstance(value, frozenset | tuple) else str(value)


def origins(environ: Mapping[str, str]) -> dict[str, str]:
    """Return, for each setting that differs from its default, who says so: `code`, `file` or a variable of *environ*.

    A variable says so if the setting would be another without it.
    """
    asked = declarative.asked(environ)
    whole, found = _fields(read(asked)), dict[str, str]()
    for variable in sorted(name for name in asked if name.startswith(("OTEL_", "QUARTERDECK_"))):
        without = _fields(read({name: value for name, value in asked.items() if name != variable}))
        who = variable if asked.get(variable) == environ.get(variable) else "file"
        found |= {name: who for name, value in whole.items() if without[name] != value}
    return found | dict.fromkeys(_chosen, "code")


def _fields(settings: Settings) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in fields(settings)}


def _health_paths(environ: Mapping[str, str]) -> frozenset[str]:
    if "QUARTERDECK_HEALTH_PATHS" not in environ:
        return frozenset(HEALTH_PATHS)
    return frozenset(_words(environ, "QUARTERDECK_HEALTH_PATHS"))


def _metrics_exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    named = _words(environ, "OTEL_METRICS_EXPORTER")
    known = tuple(name for name in named if name in ("prometheus", "otlp", "none"))
    if len(known) != len(named):
        expected = "OTEL_METRICS_EXPORTER: expected prometheus, otlp or none"
        failed("settings", f"{expected}; found {','.join(named)}; {','.join(known) or 'prometheus'} is used")
    return known


def _traces_exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    named = _words(environ, "OTEL_TRACES_EXPORTER")
    if named:
        return tuple(name for name in named if name != "none")
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return ("otlp",) if any(environ.get(endpoint) for endpoint in endpoints) else ()


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in environ.get(name, "").split(",")) if word)


def _check(name: str, value: Any, default: Any) -> None:
    """Raise where *value*, chosen in code, cannot be the setting called *name*."""
    if isinstance(default, frozenset | tuple):
        # A lone text would be taken for a set of its letters.
        fits = not isinstance(value, str | bytes) and all(isinstance(each, str) for each in value)
        expected = "texts, in a set, list or tuple"
    else:
        numbers = (int, float) if isinstance(default, float) else type(default)
        fits = isinstance(value, numbers) and (isinstance(default, bool) or not isinstance(value, bool))
        expected = type(default).__name__
    if not fits:
        raise TypeError(f"{name}: expected {expected}; found {value!r}")
    within = _RANGES.get(name)
    if within is not None:
        try:
            within(str(value))
        except ValueError as error:
            raise ValueError(f"{name}: expected {error}; found {value!r}") from None


def _parsed(environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        failed("settings", f"{name}: expected {error}; found {text}; {default} is used")
        return default


def _port(text: str) -> int:
    return _within(text, int, 1, (1 << 16) - 1, "a port, a number from 1 to 65535")


def _positive(text: str) -> int:
    return _within(text, int, 1, 1 << 63, "a number of at least 1")


def _seconds(text: str) -> float:
    return _within(text, float, 0.0, 60.0, "a number of seconds from 0 to 60")  # longer than any grace period


def _within(text: str, kind: Callable[[str], N], least: N, most: N, expected: str) -> N:
    try:
        number = kind(text)
    except ValueError:
        raise ValueError(expected) from None
    if not least <= number <= most:
        raise ValueError(expected)
    return number


def _switch(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("on or off")
    return words[text.lower()]


_RANGES: dict[str, Callable[[str], Any]] = {
    "metrics_port": _port,
    "label_sets": _positive,
    "flush_timeout": _seconds,
}
"""Setting → who raises for a value outside its range."""
