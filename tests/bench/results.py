"""docs/benchmarks.json: what the benches have measured, from which `tools/reference.py` writes docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import venvs

FILE = Path(__file__).parent.parent.parent / "docs" / "benchmarks.json"
_NAMED = ("ddtrace", "django", "djangorestframework", "fastapi", "flask", "opentelemetry-sdk", "opentelemetry-distro")
_EXPORTERS = (
    "django-prometheus",
    "prometheus-client",
    "prometheus-fastapi-instrumentator",
    "prometheus-flask-exporter",
)


def write(part: str, rows: list[dict[str, Any]], key: tuple[str, ...]) -> None:
    """Put *rows* into *part* of the file, in place of those with the same values of *key*."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    kept = {tuple(row[name] for name in key): row for row in found.get(part, [])}
    found[part] = list({**kept, **{tuple(row[name] for name in key): row for row in rows}}.values())
    found["machine"] = {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    found["versions"] = _versions()
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> dict[str, str]:
    installed: dict[str, str] = {}
    for name in venvs.NAMES:
        installed |= venvs.versions(name)
    return {name: installed[name] for name in sorted((*_NAMED, *_EXPORTERS)) if name in installed}
