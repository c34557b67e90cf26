"""Ask a binary which version it is, and judge the answer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_scripts.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.tools.catalogue import Tool
    from quarterdeck_scripts.tools.settings import Settings

_VERSION = re.compile(r"(?<![\w.])v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
"""A semantic version that no letter precedes, so that `go1.26.8` is none."""


def version_in(output: str) -> str | None:
    """Return the version that a binary's first line of output names.

    >>> version_in("kwok version v0.8.0 go1.26.8 (linux/amd64)")
    '0.8.0'
    >>> version_in("prometheus, version  (branch: , revision: unknown)") is None
    True
    """
    line = next((line for line in output.splitlines() if line.strip()), "")
    match = _VERSION.search(line)
    return match[1] if match else None


def compatible(pinned: str, found: str) -> bool:
    """Whether *found* may stand in for *pinned*: the same minor version, and no pre-release.

    >>> compatible("1.36.3", "1.36.1"), compatible("1.36.3", "1.35.3"), compatible("3.16.0", "3.16.0-rc.1")
    (True, False, False)
    """
    return "-" not in found and found.split(".")[:2] == pinned.split(".")[:2]


def version_of(binary: Path, tool: Tool, settings: Settings) -> str | None:
    """Return the version *binary* reports, or None when it does not run, says none, or takes too long."""
    try:
        asked = run(
            [binary, *tool.version_arguments],
            environment=settings.environment,
            silence=settings.probe_deadline,
        )
    except OSError:
        return None
    return version_in(asked.tail) if asked.code == 0 else None


def on_path(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return the executable called *name* on the PATH of *environment*."""
    found = shutil.which(name, path=environment.get("PATH", ""))
    return Path(found).absolute() if found else None
