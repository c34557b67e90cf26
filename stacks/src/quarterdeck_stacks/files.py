"""Writes a rendering into a folder, clears away the one before it, and reads it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quarterdeck_stacks.manifests import Manifest

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


def read(folder: Path) -> list[Manifest]:
    """Return the objects of the rendering in *folder*; files that no rendering wrote are passed over.

    Raises:
        UsageError: there is no rendering, or a file of it is no longer YAML of objects.
    """
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    found: list[Manifest] = []
    for path, text in texts.items():
        if not text.startswith(_MARK):
            continue
        try:
            document = yaml.load(text, Loader=_LOADER)  # noqa: S506 -- a safe loader, whichever of the two
        except yaml.YAMLError as error:
            raise UsageError(f"{path} to be YAML", " ".join(str(error).split()), "render it anew with --out") from error
        if not (isinstance(document, dict) and document.keys() >= {"apiVersion", "kind", "metadata"}):
            raise UsageError(f"a Kubernetes object in {path}", "something else", "render it anew with --out")
        found.append(document)
    if not found:
        raise UsageError(f"a rendering in {folder}", "none", "make one with --out, and commit it")
    return found


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where PyYAML was built with libyaml."""
