"""The cases: an application, and a way to instrument it. What each is and how it is started is stated here alone."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import venvs

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
DRIVE = _HERE / "drive.py"
SITES = _HERE / "sites"
OURS = _HERE.parent.parent / "instrumentation" / "src"
_NEVER = "600000"
"""Milliseconds: spans wait for the flush, so that two threads never contend in a counted run, at random."""


@dataclass(frozen=True)
class Variant:
    """One way to instrument an application."""

    what: str
    """For the reader of a table."""
    venv: str = venvs.OURS
    """Name of the virtual environment it runs in."""
    bootstrap: str = ""
    """Folder of a `sitecustomize`, inside site-packages: what the variant's own launcher puts on PYTHONPATH."""
    ends: str = "nothing"
    """Whose exports are flushed at the end, in `drive.py`'s words."""
    environ: dict[str, str] = field(default_factory=dict)
    """Set besides; `{sink}` is where exports go."""
    peer: bool = False
    """Whether it is somebody else's."""


_OTLP = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_BSP_SCHEDULE_DELAY": _NEVER,
    "OTEL_BSP_MAX_QUEUE_SIZE": "8192",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096",
    "OTEL_METRIC_EXPORT_INTERVAL": _NEVER,
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_SERVICE_NAME": "bench",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
}
_RATIO = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
_BOOTSTRAP = "quarterdeck_instrumentation/bootstrap"
_DISTRO = "opentelemetry/instrumentation/auto_instrumentation"
_ALONE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "sqlite3"}


def _ours(what: str, **environ: str) -> Variant:
    return Variant(what, bootstrap=_BOOTSTRAP, ends="quarterdeck", environ=environ)


def _distro(what: str, others: str, **environ: str) -> Variant:
    """Return the distro with the instrumentors of *others* left out, as in a service that has them not installed."""
    disabled = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": others}
    return Variant(what, "opentelemetry", _DISTRO, "opentelemetry", {**_OTLP, **disabled, **environ}, peer=True)


def _native(what: str, **environ: str) -> Variant:
    automatic = {"FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    return Variant(what, "opentelemetry", "", "opentelemetry", {**_OTLP, **automatic, **environ}, peer=True)


_DDTRACE = Variant(
    "ddtrace-run",
    "ddtrace",
    "ddtrace/bootstrap",
    "ddtrace",
    {
        "DD_TRACE_AGENT_URL": "{sink}",
        "DD_SERVICE": "bench",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
        "DD_TRACE_WRITER_INTERVAL_SECONDS": "600",
    },
    peer=True,
)
_BARE = Variant("not instrumented")


def _metrics_only(package: str) -> Variant:
    return Variant(f"{package}: metrics only", "prometheus", environ={"BENCH_SETUP": "prometheus"}, peer=True)


CASES: dict[str, dict[str, Variant]] = {
    "fastapi": {
        "bare": _BARE,
        "silent": Variant("likewise, with FastAPI's own telemetry switched off", environ={"BENCH_SETUP": "silent"}),
        "metrics": _ours("request metrics"),
        "unsampled": _ours("request metrics, 1 % of requests traced", **_OTLP, **_RATIO),
        "span": _ours("request metrics, one span, exemplars", **_OTLP),
        "distro": _distro("OpenTelemetry distro", "flask,django,sqlite3"),
        "distro-unsampled": _distro("OpenTelemetry distro, 1 % traced", "flask,django,sqlite3", **_RATIO),
        "native": _native("FastAPI's own telemetry"),
        "native-one-span": _native("FastAPI's own telemetry without operation spans", BENCH_SETUP="one-span"),
        "ddtrace": _DDTRACE,
        "prometheus": _metrics_only("prometheus-fastapi-instrumentator"),
    },
    "flask": {
        "bare": _BARE,
        "metrics": _ours("request metrics"),
        "unsampled": _ours("request metrics, 1 % of requests traced", **_OTLP, **_RATIO),
        "span": _ours("request metrics, one span, exemplars", **_OTLP),
        "distro": _distro("OpenTelemetry distro", "fastapi,django,sqlite3"),
        "distro-unsampled": _distro("OpenTelemetry distro, 1 % traced", "fastapi,django,sqlite3", **_RATIO),
        "ddtrace": _DDTRACE,
        "prometheus": _metrics_only("prometheus-flask-exporter"),
    },
    "django": {
        "bare": _BARE,
        "metrics": _ours("request metrics"),
        "unsampled": _ours("request metrics, 1 % of requests traced, sqlite3's instrumentor", **_OTLP, **_RATIO),
        "server-span": _ours("request metrics, one span, exemplars; without [contrib]", **_OTLP, **_ALONE),
        "span": _ours("the same, and a database span by contrib's instrumentor for sqlite3", **_OTLP),
        "distro": _distro("OpenTelemetry distro, with a database span", "fastapi,flask"),
        "distro-unsampled": _distro("OpenTelemetry distro, 1 % traced", "fastapi,flask", **_RATIO),
        "ddtrace": _DDTRACE,
        "prometheus": _metrics_only("django-prometheus"),
    },
    "child": {
        "bare": Variant("the loop alone"),
        "span": _ours("a span of ten attributes, begun, ended, encoded, posted", **_OTLP, BENCH_SETUP="spans"),
        "sdk": Variant(
            "the same by OpenTelemetry's SDK",
            "opentelemetry",
            _DISTRO,
            "opentelemetry",
            {**_OTLP, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*", "BENCH_SETUP": "spans"},
            peer=True,
        ),
    },
}
"""Application → name → variant. `bare` is what all others of it are compared with."""


def chosen(words: list[str]) -> list[tuple[str, str]]:
    """Return the cases that *words* name: each an application, a variant, or both with a `/` between; none: all.

    Raises:
        SystemExit: a word names none.
    """
    every = [(application, variant) for application, variants in CASES.items() for variant in variants]
    for word in words:
        if not any(word in _names(case) for case in every):
            raise SystemExit(f"Error: Expected an application, a variant, or APPLICATION/VARIANT.\nFound {word}.")
    return [case for case in every if not words or any(word in _names(case) for word in words)]


def _names(case: tuple[str, str]) -> tuple[str, str, str]:
    return (*case, "/".join(case))


def environment(variant: Variant, database: Path, sink: str, python: Path) -> dict[str, str]:
    """Return the environment of a process that runs *variant* with *python*.

    Args:
        variant: how it is instrumented.
        database: the file with Django's items.
        sink: URL that exports are posted to.
        python: the variant's interpreter, in its virtual environment.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "QUARTERDECK_", "DD_", "PYTHON", "COVERAGE", "BENCH_"))
    }
    path = [SITES]
    if variant.bootstrap:
        path.insert(0, _found(variant.bootstrap, python))
    if variant.bootstrap == _BOOTSTRAP:
        path.insert(1, OURS)
    return {
        **inherited,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "DJANGO_SETTINGS_MODULE": "django_site",
        "BENCH_DATABASE": str(database),
        "QUARTERDECK_METRICS_DIR": str(database.parent / "metrics"),
        **{name: value.format(sink=sink) for name, value in variant.environ.items()},
    }


def _found(folder: str, python: Path) -> Path:
    if folder == _BOOTSTRAP:
        return OURS / folder
    (site_packages,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return site_packages / folder


def python_of(variant: Variant) -> Path:
    """Return the interpreter that runs *variant*."""
    return venvs.interpreter(variant.venv)


def own_python(variant: Variant) -> Path:
    """Return this interpreter, for ours and bare cases measured where no peer is installed."""
    if variant.peer:
        raise ValueError(f"{variant.what} is not installed here")
    return Path(sys.executable)


@contextmanager
def database() -> Iterator[Path]:
    """Give a file with the one item that the Django service is asked for."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as folder:
        file = Path(folder) / "shop.sqlite3"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("CREATE TABLE shop_item (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
            connection.execute("INSERT INTO shop_item VALUES (7, 'seven')")
        yield file
