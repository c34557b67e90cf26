"""Write a volume's files so that a reader sees all old or all new ones: the kubelet's symlink swap.

`file -> ..data/file`, `..data -> ..1736000000.123/`: exchanging the one link `..data` exchanges every file.
Programs that watch for changes (Prometheus' reloader, for one) watch for exactly this.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.local.pods.payload import File

_DATA = "..data"
_FOLDER_MODE = 0o755


def write(folder: Path, files: Mapping[str, File]) -> bool:
    """Make *files* the content of *folder*; return whether anything changed."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    data = folder / _DATA
    before = data.resolve() if data.is_symlink() else None
    if before is not None and _content(before) == {path: file.content for path, file in files.items()}:
        return False
    fresh = Path(tempfile.mkdtemp(prefix=f"..{time.time():.3f}.", dir=folder))
    fresh.chmod(_FOLDER_MODE)
    for path, file in files.items():
        target = fresh / path
        target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    swap = folder / f"{_DATA}_tmp"
    swap.symlink_to(fresh.name)
    swap.replace(data)
    _link(folder, {PurePosixPath(path).parts[0] for path in files})
    if before is not None:
        shutil.rmtree(before)
    return True


def _link(folder: Path, names: set[str]) -> None:
    """Have a link for each of *names*, and none to what is no longer there."""
    for name in names:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{_DATA}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and entry.name != _DATA and entry.name not in names:
            entry.unlink()


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
