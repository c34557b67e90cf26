"""The copy of the log on this machine's disk: what the cluster's log was when this machine last wrote to it.

It shows when the cluster's log was cut off or written anew, which its own chain cannot.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class DiskCopy:
    """One file of lines, for one cluster. Errors are OSError."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine from writing; a line that a killed one left torn is cut off."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _cut_torn_line(descriptor)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Iterator[tuple[str, str]]:
        """Yield each line with where it is; nothing when there is no file."""
        if not self.file.exists():
            return
        with self.file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                yield f"line {number} of {self.file}", line.rstrip("\n")

    def last(self) -> str | None:
        """Return the last line; None when there is none."""
        found = None
        for _, found in self.read():  # noqa: B007 -- the last one is what is wanted
            pass
        return found

    def append(self, lines: Iterable[str]) -> None:
        """Append *lines*; they are on the disk when this returns."""
        data = "".join(f"{line}\n" for line in lines).encode()
        with self.file.open("ab", buffering=0) as file:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    kept = size
    while kept and os.pread(descriptor, 1, kept - 1) != b"\n":
        kept -= 1
    if kept != size:
        os.ftruncate(descriptor, kept)
