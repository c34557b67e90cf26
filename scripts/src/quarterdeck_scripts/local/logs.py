"""Containers' logs on disk: where each is, and how it is read, its end only or as it grows."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLLOW_POLL = 0.3
"""Seconds between two looks at a log that is followed."""
_CHUNK = 64 * 1024


def pod_folders(pods: Path, namespace: str, pod: str) -> list[Path]:
    """Return the folders of the pods that have had this name and are still kept, the newest first."""
    found = pods.glob(f"{namespace}_{pod}_*")  # names of namespaces and pods have no underscore
    return sorted(found, key=lambda folder: folder.stat().st_ctime, reverse=True)


def container_log(folder: Path, container: str) -> Path:
    """Return where the present run of a container writes, in its pod's folder."""
    return folder / f"{container}.log"


def previous_log(log: Path) -> Path:
    """Return where the log of the run before is kept."""
    return log.with_name(f"{log.stem}.previous.log")


def read(log: Path, *, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
    """Yield a log's content.

    Args:
        log: the file.
        tail: how many lines from its end; None for all.
        follow: go on until the container is started anew or its pod is gone.
    """
    with log.open("rb") as file:
        file.seek(0 if tail is None else _offset_of_tail(file, tail))
        while True:
            if chunk := file.read(_CHUNK):
                yield chunk
            elif follow and _is_at(log, file):
                time.sleep(_FOLLOW_POLL)
            else:
                return


def _offset_of_tail(file: BinaryIO, lines: int) -> int:
    """Return where the last *lines* lines begin, reading from the end."""
    position = file.seek(0, os.SEEK_END)
    held = b""
    while position > 0 and held.count(b"\n") <= lines:
        size = min(_CHUNK, position)
        position = file.seek(position - size)
        held = file.read(size) + held
    wanted = held.splitlines(keepends=True)[-lines:] if lines else []
    return position + len(held) - sum(map(len, wanted))


def _is_at(log: Path, file: BinaryIO) -> bool:
    """Say whether the open *file* is still the one at *log*."""
    try:
        return os.path.samestat(log.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
