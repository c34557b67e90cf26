"""Which variables anybody reads, so that a misspelt one can be told from one that says something."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from quarterdeck_instrumentation import declarative, providers, settings
from quarterdeck_instrumentation.contrib import OURS
from quarterdeck_instrumentation.environment import VARIABLES
from quarterdeck_instrumentation.exposition import session
from quarterdeck_instrumentation.push import pusher
from quarterdeck_instrumentation.spans import target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIXES = ("OTEL_", "QUARTERDECK_")
_INSTRUMENTORS = ("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_RESOURCE_PROVIDERS_")
"""What variables of single instrumentors and of other languages begin with: too many to know."""
_SIGNALS = ("OTEL_LOGS_", "OTEL_BLRP_", "OTEL_LOGRECORD_", "OTEL_EXPORTER_OTLP_LOGS_")


class _Asked(dict[str, str]):
    """An environment without a variable, which notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # of one type here
        self.names.add(name)
        return default

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return False


def unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables of *environ* that look like OpenTelemetry's or ours, and that nobody reads."""
    ours = {name for name in environ if name.startswith(_PREFIXES)}
    left = {name for name in ours if not name.startswith(_INSTRUMENTORS + _SIGNALS)}
    return tuple(sorted(left - known() - set(_of_packages())))


_IGNORED = {
    "OTEL_LOGS_EXPORTER": "logs are sent nowhere",
    "OTEL_PYTHON_LOG_CORRELATION": "logs are left as they are",
    "OTEL_PYTHON_TRACER_CONFIGURATOR": "every tracer makes spans",
    "OTEL_PYTHON_EXCLUDED_URLS": "QUARTERDECK_HEALTH_PATHS names whole paths",
}
"""Variable that is not heeded → what is so instead."""
_NOTHING = frozenset(("", "none", "false"))


def ignored(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the variables of *environ* that OpenTelemetry's own instrumentation heeds and this one does not."""
    instead = dict(_IGNORED)
    for name in OURS:
        instead[f"OTEL_PYTHON_{name.upper().replace('-', '_')}_EXCLUDED_URLS"] = _IGNORED["OTEL_PYTHON_EXCLUDED_URLS"]
    asked = {name for name in instead if environ.get(name, "").strip().lower() not in _NOTHING}
    return tuple((name, instead[name]) for name in sorted(asked))


def known() -> frozenset[str]:
    """Return the variables that are read here."""
    asked = _Asked()
    settings.read(asked)
    target.read(asked)
    pusher.plan(asked)
    providers.readable(asked)
    return frozenset(asked.names) | VARIABLES.keys() | {session.VARIABLE, declarative.VARIABLE}


def _of_packages() -> Iterator[str]:
    """Return the variables that installed packages say they read, by OpenTelemetry's own convention."""
    for entry in entry_points(group="opentelemetry_environment_variables"):
        try:
            yield from (name for name in vars(entry.load()) if name.startswith("OTEL_"))
        except Exception:  # noqa: BLE001, S112 -- a package that cannot be imported reads nothing
            continue
