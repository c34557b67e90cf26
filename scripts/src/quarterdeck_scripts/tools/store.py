"""The cache: one folder a tool and version, published whole, and verified before it is used.

    <cache>/<tool>/<version>/<tool>          the binary
    <cache>/<tool>/<version>/manifest.json   its SHA-256, where it came from, and the stamp of the last check
    <cache>/.work/                           what is being made; whatever is here under a free lock is waste
    <cache>/.lock                            held while anything is made

A folder is made in `.work`, flushed to disk and renamed into place, so a name is there whole or not at all. On
every look-up the file's stamp is compared: size, inode, and the times of its last write and last change. No
program can set the time of last change, so an equal stamp that was noted later than that means the very file that was
hashed; any other stamp (also a restored back-up's) means hashing it again. Hashing every tool takes a second,
comparing none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

MANIFEST = "manifest.json"
"""Beside each binary: a `Manifest` as JSON."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a cached file."""

    version: str
    """The version it reported when it was published."""
    platform: str
    """`os/arch` it runs on."""
    recipe: str
    """Everything that says how it is made, as a digest: with another one it is made again."""
    origin: str
    """Where it came from, for people: a URL, or a module and the Go that built it."""
    sha256: str
    """SHA-256 of the file, or of the names and digests of all files of a folder."""
    stamp: tuple[int, ...] = ()
    """Size, inode, time of last write and of last change when `sha256` was last found right; see `stamp_of`."""


@dataclass(frozen=True, slots=True)
class Cached:
    """A look-up's result: the file to use, or why there is none."""

    path: Path | None
    problem: str = ""
    """Why a file that is there is not used; empty when there is simply none."""
    origin: str = ""
    """Where the file came from."""


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's file names and their digests."""
    if path.is_dir():
        files = sorted(entry for entry in path.rglob("*") if entry.is_file())
        lines = "".join(f"{digest_of(entry)}  {entry.relative_to(path)}\n" for entry in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return what changes whenever the file is written or replaced; empty for a folder, which has none."""
    if path.is_dir():
        return ()
    status = path.stat()
    return (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def is_known(stamp: tuple[int, ...], known: tuple[int, ...], noted: int) -> bool:
    """Return whether a file with *stamp* is the one whose stamp *known* was noted at *noted*, in ns since the epoch.

    Clocks of file systems tick every few milliseconds: a file that is changed twice within a tick has the same stamp.
    One that was noted within the tick of the last change says nothing.

    >>> is_known((9, 1, 50, 70), (9, 1, 50, 70), 71), is_known((9, 1, 50, 70), (9, 1, 50, 70), 70)
    (True, False)
    """
    return bool(stamp) and stamp == known and stamp[-1] < noted


class Store:
    """The cache below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._work = root / ".work"

    def folder(self, name: str, version: str) -> Path:
        """Return the folder of one tool's version."""
        return self.root / name / version

    def look_up(self, name: str, version: str, *, recipes: Collection[str], platform: str) -> Cached:
        """Return the verified file *name* of *version*, made by one of *recipes*, or why it can not be used."""
        folder = self.folder(name, version)
        if not folder.is_dir():
            return Cached(None)
        path = folder / name
        try:
            manifest = _read_manifest(folder / MANIFEST)
            noted = (folder / MANIFEST).stat().st_ctime_ns
            stamp = stamp_of(path)
        except (OSError, ValueError, TypeError, KeyError):
            return Cached(None, "a file is missing or its manifest is unreadable")
        if manifest.platform != platform:
            return Cached(None, f"it is for {manifest.platform}")
        if manifest.recipe not in recipes:
            return Cached(None, "it was made from other versions, flags or checksums")
        if not is_known(stamp, manifest.stamp, noted):
            if digest_of(path) != manifest.sha256:
                return Cached(None, "it is not the file that was verified, its SHA-256 differs")
            # A cache that this user can not write is as good, only hashed each time.
            with contextlib.suppress(OSError):
                _write_manifest(folder / MANIFEST, _stamped(manifest, stamp))
        return Cached(path, origin=manifest.origin)

    def publish(self, made: Path, name: str, manifest: Manifest) -> Path:
        """Move *made*, a file or folder within `workspace`, to its place, with a manifest; return its new path.

        Call it with the lock held. Whatever was there before is moved away first.
        """
        fresh, old = self._work / "new", self._work / "old"
        for waste in (fresh, old):
            shutil.rmtree(waste, ignore_errors=True)
        fresh.mkdir()
        made.rename(fresh / name)
        _flush(fresh)
        _write_manifest(fresh / MANIFEST, _stamped(manifest, stamp_of(fresh / name)))
        place = self.folder(name, manifest.version)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.rename(old)
        fresh.rename(place)
        _flush_folder(place.parent)
        shutil.rmtree(old, ignore_errors=True)
        return place / name

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the cache's lock; clear what a killed installation left; call *waiting* if another holds it now."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(exist_ok=True)
            try:
                yield
            finally:
                shutil.rmtree(self._work, ignore_errors=True)

    @contextlib.contextmanager
    def workspace(self, name: str) -> Iterator[Path]:
        """Give a fresh folder on the cache's own file system, and remove it afterwards. Needs the lock."""
        folder = self._work / name
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _stamped(manifest: Manifest, stamp: tuple[int, ...]) -> Manifest:
    return Manifest(**{**asdict(manifest), "stamp": stamp})


def _read_manifest(path: Path) -> Manifest:
    known = json.loads(path.read_text())
    return Manifest(**{**known, "stamp": tuple(known["stamp"])})


def _write_manifest(path: Path, manifest: Manifest) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Have the files of *folder* on disk before a rename makes them visible.

    Those further down are not: what is cached as a folder has no stamp, so each use hashes all of it.
    """
    for entry in folder.iterdir():
        if entry.is_file():
            with entry.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
