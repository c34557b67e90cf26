"""Generated dashboards against the types of `@grafana/schema`, by TypeScript's own compiler."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_dashboards import dashboards
from quarterdeck_dashboards.catalogue import load
from quarterdeck_dashboards.dashboards import grafana

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools

SCHEMA = Path(__file__).parent / "grafana_schema"
"""What is installed, exactly, and what a dashboard has to be."""


@pytest.fixture(scope="module")
def installed() -> Path:
    """Return a folder with TypeScript and Grafana's types, kept in the cache."""
    lock = (SCHEMA / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck" / "grafana-schema"
    folder = cache / hashlib.sha256(lock).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SCHEMA / name, folder / name)
            npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, check=False, timeout=200)
            assert done.returncode == 0, done.stderr
            (folder / "complete").touch()
    return folder


@pytest.fixture
def compiled(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function from documents to what the compiler says of them: nothing when they are as they should be."""

    def compile_all(*documents: grafana.Json) -> str:
        for name in ("checked.ts", "tsconfig.json"):
            shutil.copy(SCHEMA / name, tmp_path / name)
        (tmp_path / "node_modules").symlink_to(installed / "node_modules")
        lines = ['import type { Checked } from "./checked";']
        lines += [f"export const d{n}: Checked = {json.dumps(each)};" for n, each in enumerate(documents)]
        (tmp_path / "documents.ts").write_text("\n".join(lines), encoding="utf-8")
        compiler = installed / "node_modules" / ".bin" / "tsc"
        done = subprocess.run(
            [compiler, "-p", tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
        )
        return done.stdout

    return compile_all


def test_every_generated_dashboard_is_one_to_grafana(compiled: Callable[..., str], root: Path) -> None:
    """Every panel's options and fields too, and no key that Grafana does not know."""
    made = dashboards.of(load(root / "services.yaml"))

    assert compiled(*map(grafana.render, made)) == ""


def test_a_panel_that_grafana_does_not_know_is_found(compiled: Callable[..., str], root: Path) -> None:
    """So that nothing found means something: here a colour mode that does not exist."""
    document = grafana.render(dashboards.of(load(root / "services.yaml"))[0])
    panels = [panel for panel in document["panels"] if panel["type"] == "timeseries"]

    panels[0]["fieldConfig"]["defaults"]["color"]["mode"] = "rainbow"
    assert '"rainbow"' in compiled(document)


def test_a_key_that_grafana_does_not_know_is_found(compiled: Callable[..., str], root: Path) -> None:
    """Misspelt, it would be ignored in silence."""
    document = grafana.render(dashboards.of(load(root / "services.yaml"))[0])
    next(panel for panel in document["panels"] if panel["type"] == "timeseries")["options"]["legned"] = {}

    assert "legned" in compiled(document)
