"""The evidence of one rollout as one folder that stands alone: to be read, attached to a ticket, judged again.

    record.json             the rollout's record: steps, queries, counts, raw samples, the verdict
    answers.jsonl.gz        what the metrics' server answered, look by look: see `tape`
    report.html             the same for people, with charts
    later.json              the record of a later run that measured nothing: it aborted or ended what was judged
    1-promote/              what the cluster had before pods went, one folder a moment: see `scene`
    1-promote/about.json    when that was, and what could not be had

Each file and each moment's folder is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quarterdeck_scripts.rollout.acting.scene import Scene

RECORD, ANSWERS, REPORT, LATER = "record.json", "answers.jsonl.gz", "report.html", "later.json"
_ABOUT = "about.json"

MOST_BYTES = 64 << 20
"""Size of a bundle. What would make it larger is left out: a ticket takes so much, and a laptop many of them."""
MOST_MOMENTS = 5
"""Moments that are kept; a rollout that is killed and taken up again and again has more."""


class Bundle:
    """One bundle on disk."""

    def __init__(self, folder: Path, most: int = MOST_BYTES) -> None:
        """*folder* need not exist; the folder that it is in is never made."""
        self.folder = folder
        self._most = most

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    @property
    def is_judged(self) -> bool:
        """Whether it has what a verdict was made of."""
        return (self.folder / ANSWERS).is_file()

    @property
    def moments(self) -> list[Path]:
        """The moments' folders, in their order."""
        found = [
            folder for folder in self.folder.glob("*-*") if folder.is_dir() and folder.name.split("-")[0].isdigit()
        ]
        return sorted(found, key=lambda folder: int(folder.name.split("-")[0]))

    def put(self, name: str, content: bytes) -> bool:
        """Write a file, in place of what it was; return whether there was room for it."""
        file = self.folder / name
        taken = file.stat().st_size if file.is_file() else 0
        if self.size - taken + len(content) > self._most:
            return False
        self.folder.mkdir(exist_ok=True)
        draft = self.folder / f".{name}.{os.getpid()}"
        draft.write_bytes(content)
        draft.replace(file)
        return True

    def add(self, moment: str, scene: Scene, about: Mapping[str, Any]) -> Path | None:
        """Add what was found at *moment*; return its folder, or None when there was no room for it.

        Args:
            moment: a word or two, as in a file's name.
            scene: what was found.
            about: what else is known of it, as JSON has it.
        """
        moments = self.moments
        if len(moments) >= MOST_MOMENTS or self.size + scene.size > self._most:
            return None
        number = int(moments[-1].name.split("-")[0]) + 1 if moments else 1
        self.folder.mkdir(exist_ok=True)
        draft = self.folder / f".moment.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        told = json.dumps({**about, "missing": scene.missing}, indent=1, sort_keys=True) + "\n"
        for name, content in {**scene.files, _ABOUT: told.encode()}.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return draft.rename(self.folder / f"{number}-{moment}")


def read(folder: Path) -> tuple[str, bytes]:
    """Return a bundle's record and answers as they were written.

    Raises:
        UsageError: it has not both.
    """
    found = []
    for name in (RECORD, ANSWERS):
        try:
            found.append((folder / name).read_bytes())
        except OSError as error:
            raise UsageError(
                f"a bundle with {RECORD} and {ANSWERS}",
                f"{error.strerror}: {folder / name}",
                "name the folder of a rollout that was judged, as its last line has it",
            ) from error
    record, answers = found
    return record.decode(errors="replace"), answers
