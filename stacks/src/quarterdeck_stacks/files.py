"""Writes a rendering into a folder, and clears away the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MARK = "# Rendered by `"
"""Every file of a rendering begins so; only such files are ever removed."""


def write(files: Mapping[str, str], folder: Path, *, origin: str) -> int:
    """Write *files* into *folder*, remove what an earlier rendering left there, and return how many are written.

    A file that is gone from the rendering must go from the folder: a ConfigMap is named after its content, and
    the old one beside the new one would be applied again. A file that already has its text is not touched.

    Raises:
        UsageError: a file of a rendering's name is in the folder and no rendering wrote it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = {path.name: path for path in folder.glob("*.yaml")}
    ours = {name for name, path in present.items() if path.read_text(encoding="utf-8").startswith(_MARK)}
    foreign = sorted((present.keys() - ours) & files.keys())
    if foreign:
        raise UsageError(
            f"a folder for the rendering, {folder}", f"a {foreign[0]} that is none of it", "choose another --out"
        )
    for name in ours - files.keys():
        present[name].unlink()
    for name, text in files.items():
        path, whole = folder / name, f"{_MARK}{origin}`. Do not edit.\n{text}"
        if name not in ours or path.read_text(encoding="utf-8") != whole:
            path.write_text(whole, encoding="utf-8")
    return len(files)
