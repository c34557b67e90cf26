"""Containers' logs on disk: where each is, and how it is read, its end only or as it grows."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local.state import START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_scripts.local.state import Layout

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


def choose(layout: Layout, name: str, namespace: str | None, container: str | None, *, previous: bool) -> Path:
    """Return the log that a person means.

    Args:
        layout: of the environment.
        name: a pod's, or a part's.
        namespace: the pod's; None when the name is enough.
        container: None when the pod has one only.
        previous: the run before the present one.

    Raises:
        UsageError: none is meant, or several are; the message lists them.
    """
    if namespace is None and layout.log(name).is_file():
        return layout.log(name)
    folders = pod_folders(layout.pods, namespace or "*", name)
    namespaces = {folder.name.split("_")[0] for folder in folders}
    if len(namespaces) != 1:
        pods = ", ".join(sorted("/".join(folder.name.split("_")[:2]) for folder in layout.pods.glob("*_*")))
        parts = ", ".join(sorted(log.stem for log in layout.logs.glob("*.log")))
        if not pods and not parts:
            raise UsageError("a running local environment", "none in this folder", f"start one with {START}")
        raise UsageError(
            f"the name of a pod ({pods or 'there is none'}) or of a part ({parts or 'there is none'})",
            f"{name!r}, which {'is in ' + ', '.join(sorted(namespaces)) if namespaces else 'is neither'}",
            "name one of these, with --namespace where several have it",
        )
    found = {log.stem: log for log in folders[0].glob("*.log") if "." not in log.stem}
    if container is None and len(found) == 1:
        container = next(iter(found))
    log = found.get(container or "")
    log = previous_log(log) if log and previous else log
    if log is None or not log.is_file():
        raise UsageError(
            f"a container of {name} that has {'run before' if previous else 'run'}: {', '.join(sorted(found))}",
            repr(container) if container else "no container named",
            "name one with --container",
        )
    return log


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
