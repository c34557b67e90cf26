"""Inside the command that the doctor runs: says what is instrumented here, again and again until the process ends.

Started by `bootstrap/sitecustomize.py` right after activation, so what is imported by then was imported before us.
Reads what other modules know; imports nothing that the service has not imported, and changes nothing.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from contextlib import suppress
from typing import Any

from quarterdeck_instrumentation import activation, failures

FOLDER = "QUARTERDECK_DOCTOR_FOLDER"
"""Environment variable with the folder that each process writes its report to. Set by the doctor, not by users."""
_EVERY = 0.2
"""Seconds between two reports."""
_AGENTS = {
    "ddtrace": "Datadog",
    "newrelic": "New Relic",
    "elasticapm": "Elastic APM",
    "elasticotel": "Elastic's OpenTelemetry distribution",
    "splunk_otel": "Splunk's OpenTelemetry distribution",
    "logfire": "Logfire",
    "scout_apm": "Scout",
}
"""Module → whose agent it is: each of them patches what is patched here."""
_INSTRUMENTORS = "opentelemetry.instrumentation."
_OF_LIBRARIES = "quarterdeck_instrumentation.contrib:"
"""What the patches of libraries begin with: they load an instrumentor, if there is one and spans are wanted."""


def start() -> None:
    """Report from now on, in this process and in those it forks."""
    early = [name for name in activation.FRAMEWORKS if name in sys.modules]
    folder = os.environ[FOLDER]

    def begin() -> None:
        threading.Thread(target=keep, name="quarterdeck-doctor", daemon=True).start()

    def keep() -> None:
        ended = threading.Event()
        while not ended.wait(_EVERY):
            write(folder, early)

    begin()
    atexit.register(write, folder, early)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin)


def write(folder: str, early: list[str]) -> None:
    """Write this process's report, whole or not at all."""
    with suppress(Exception):  # the folder is gone, or a module is half imported: the next report says it
        path = os.path.join(folder, f"{os.getpid()}.json")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(report(early), file)
        os.replace(f"{path}.new", path)


def report(early: list[str]) -> dict[str, Any]:
    """Return what is so in this process at this moment."""
    modules = list(sys.modules)
    provider = _provider()
    return {
        "pid": os.getpid(),
        "arguments": " ".join(getattr(sys, "orig_argv", sys.argv)),
        "hooks": [[name, name in early] for name in hooked() if name in modules],
        "instrumentors": sorted(
            {name.split(".")[2] for name in modules if name.startswith(_INSTRUMENTORS)}
            & {name.rpartition(".")[2] for name in _instrumentor_modules(modules)}
        ),
        "failures": failures.said(),
        "provider": f"{type(provider).__module__}.{type(provider).__qualname__}" if provider is not None else "",
        "why_sdk": getattr(provider, "why", ""),
        "native_fastapi": _native_fastapi(),
        **_meters(),
        "agents": [*(whose for name, whose in _AGENTS.items() if name in modules), *_sentry()],
        "settings": _settings(),
        "began": _began(),
    }


def hooked() -> list[str]:
    """Return the modules that something of ours is patched in; a library's instrumentor is told by itself."""
    if not activation.enabled_here():
        return []
    return [name for name, patch in activation.FRAMEWORKS.items() if not patch.startswith(_OF_LIBRARIES)]


def _instrumentor_modules(modules: list[str]) -> list[str]:
    """Return the modules among *modules* that have an instrumentor which is at work."""
    found = []
    for name in modules:
        if name.startswith(_INSTRUMENTORS) and name.count(".") == 2:  # noqa: PLR2004 -- the instrumentor's own module
            for kind in list(vars(sys.modules[name]).values()):
                instance = getattr(kind, "_instance", None) if isinstance(kind, type) else None
                if getattr(instance, "is_instrumented_by_opentelemetry", False):
                    found.append(name)
    return found


def _provider() -> Any:
    """Return the tracer provider that is set; None if none is."""
    trace = sys.modules.get("opentelemetry.trace")
    return getattr(trace, "_TRACER_PROVIDER", None)  # asking for it would set one


def _native_fastapi() -> str:
    hooks = sys.modules.get("quarterdeck_instrumentation.frameworks.fastapi")
    return "" if hooks is None else str(hooks.native_telemetry())


def _sentry() -> list[str]:
    """Return Sentry, if it makes spans; most services have it for errors alone."""
    sentry = sys.modules.get("sentry_sdk")
    client = sentry.get_client() if sentry is not None and hasattr(sentry, "get_client") else None
    options = getattr(client, "options", None) or {}
    traces = options.get("traces_sample_rate") or options.get("traces_sampler")
    return ["Sentry's tracing"] if traces else []


def _meters() -> dict[str, Any]:
    takeover = sys.modules.get("quarterdeck_instrumentation.meters.takeover")
    known = {} if takeover is None else takeover.facts()
    return {
        "meter_provider": known.get("meter_provider") or "",
        "why_meter_provider": known.get("because", ""),
        "off_the_page": {str(name): str(why) for name, why in known.get("not_on_the_page", {}).items()},
    }


def _settings() -> dict[str, list[str]]:
    settings = sys.modules.get("quarterdeck_instrumentation.settings")
    if settings is None:
        return {}
    effective = settings.effective(os.environ)
    return {name: [settings.shown(effective, name), who] for name, who in settings.origins(os.environ).items()}


def _began() -> bool:
    runtime = sys.modules.get("quarterdeck_instrumentation.runtime")
    return runtime is not None and bool(runtime.begun())
