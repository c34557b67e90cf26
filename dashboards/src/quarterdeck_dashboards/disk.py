"""Trees of generated files on disk: written so that nothing foreign is touched, or compared with what is there."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path


def write(tree: Mapping[str, str], folder: Path, present: AbstractSet[str]) -> list[str]:
    """Write *tree*, relative path to text, into *folder*; return the changed paths.

    Args:
        tree: what is to be there.
        folder: where.
        present: the paths in *folder* that an earlier tree left; those that *tree* lacks are removed.
    """
    changed = []
    for path in sorted({*tree, *present}):
        target = folder / path
        if path not in tree:
            target.unlink()
        elif target.exists() and target.read_text(encoding="utf-8") == tree[path]:
            continue
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(tree[path], encoding="utf-8")
        changed.append(path)
    return changed


def differences(tree: Mapping[str, str], folder: Path, present: AbstractSet[str]) -> str:
    """Return the unified diff from what is in *folder* to *tree*; empty when they are the same."""
    parts: list[str] = []
    for path in sorted({*tree, *present}):
        target = folder / path
        old = target.read_text(encoding="utf-8").splitlines(keepends=True) if target.exists() else []
        new = tree.get(path, "").splitlines(keepends=True)
        parts += unified_diff(old, new, str(target) if old else "/dev/null", str(target) if new else "/dev/null")
    return "".join(parts)
