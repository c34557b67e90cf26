"""The files of a session's folder: each worker's, and the totals of those that have ended.

A worker's is a pair, `<name>.a` and `<name>.b`, written in turn and read as the newer of the two that are whole. So a
worker killed in the middle of a write, or a reader that comes in the middle of one, finds the snapshot before it;
a file that somebody truncated or scribbled on is mended by the next write, and never maps into anybody's memory.

A worker holds a lock on its `.a` from before the file has its name until the process ends, however it ends. POSIX
record locks: they are the process's own, so a forked child does not keep its parent alive. Their one trap: closing
any descriptor of a file drops the process's lock on it, so a process never opens its own files a second time.
"""

from __future__ import annotations

import fcntl
import os
import time

from quarterdeck_instrumentation.exposition.snapshot import CorruptSnapshotError, Index, Snapshot, decode

TOTALS = "totals"
"""Name of the file that holds what the ended workers counted. The worker that serves the page writes it."""
ELECTION = "page"
"""Name of the file whose lock makes a worker the one that serves the page."""
_WORKER = "worker-"
_SLOTS = (".a", ".b")
_READS = 3
_READ_AGAIN_AFTER = 0.002
"""Seconds: a writer overtook the reader twice, so give it time to finish."""


class Pair:
    """One process's own pair of files, open for writing."""

    def __init__(self, folder: str, name: str) -> None:
        self._paths = [os.path.join(folder, name + slot) for slot in _SLOTS]
        self._descriptors: list[int] = []
        self._turn = 0

    def write(self, data: bytes) -> None:
        """Write *data* over the older of the two files.

        Raises:
            OSError: the disk is full, the folder is gone, …; the newer file is as it was.
        """
        self._open()
        turn = self._turn ^ 1
        if os.pwrite(self._descriptors[turn], data, 0) != len(data):
            raise OSError(f"{self._paths[turn]} was written in part")
        self._turn = turn  # only now: on a full disk the whole file of the two stays whole, however often it is tried

    def close(self) -> None:
        """Close the files, which gives up the lock."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def _open(self) -> None:
        if self._descriptors and all(os.fstat(each).st_nlink for each in self._descriptors):
            return
        self.close()  # a cleaner of temporary files was here: the values live in memory and are written anew
        os.makedirs(os.path.dirname(self._paths[0]), 0o700, exist_ok=True)
        for path in self._paths:
            # Locked before it has its name: nobody can find the file and take its worker for dead.
            unnamed = f"{path}.{os.getpid()}"
            descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            self._descriptors.append(descriptor)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(unnamed, path)


class Folder:
    """A session's folder, as seen by the worker that serves the page."""

    def __init__(self, path: str) -> None:
        self.path = path

    def workers(self) -> list[str]:
        """Return the names of all workers that have files here."""
        names = os.listdir(self.path)
        return sorted(
            name[: -len(_SLOTS[0])] for name in names if name.startswith(_WORKER) and name.endswith(_SLOTS[0])
        )

    def lives(self, worker: str) -> bool:
        """Say whether *worker*'s process lives. Never ask for one's own: asking would drop its lock."""
        try:
            descriptor = os.open(os.path.join(self.path, worker + _SLOTS[0]), os.O_RDWR)
        except FileNotFoundError:
            return True  # it is writing its files anew at this moment
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def read(self, worker: str, known: Index | None = None) -> Snapshot | None:
        """Return the newest whole snapshot of *worker*; None when it has not written one yet.

        Raises:
            CorruptSnapshotError: there are bytes, but no whole snapshot.
            OSError: the files cannot be read.
        """
        for attempt in range(_READS):
            torn = empty = 0
            newest: Snapshot | None = None
            for slot in _SLOTS:
                data = self._bytes(worker + slot)
                empty += not data
                try:
                    snapshot = decode(data, known) if data else None
                except CorruptSnapshotError:
                    torn += 1
                    continue
                if snapshot is not None and (newest is None or snapshot.sequence > newest.sequence):
                    newest = snapshot
            if newest is not None or not torn:
                return newest
            if attempt:
                time.sleep(_READ_AGAIN_AFTER)
        if empty:
            return None  # it is in the middle of its first write
        raise CorruptSnapshotError(f"neither file of {worker} is whole")

    def forget(self, worker: str) -> None:
        """Remove the files of *worker*."""
        for slot in reversed(_SLOTS):  # `.a` last: without it the worker is no longer listed
            try:
                os.unlink(os.path.join(self.path, worker + slot))
            except FileNotFoundError:
                continue

    def read_totals(self, known: Index | None = None) -> Snapshot | None:
        """Return what the ended workers counted; None when none has ended.

        Raises:
            CorruptSnapshotError: somebody changed the file.
        """
        data = self._bytes(TOTALS)
        return decode(data, known) if data else None

    def write_totals(self, data: bytes) -> None:
        """Replace the totals at one stroke."""
        path = os.path.join(self.path, TOTALS)
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(f"{path}.new", path)

    def _bytes(self, name: str) -> bytes:
        try:
            with open(os.path.join(self.path, name), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return b""


def worker_name() -> str:
    """Return a new name for this process's files."""
    return f"{_WORKER}{os.getpid()}-{os.urandom(4).hex()}"


def await_election(folder: str) -> int:
    """Wait until no other worker serves the page, and return the descriptor that now says that this one does.

    Raises:
        OSError: the folder cannot be used.
    """
    descriptor = os.open(os.path.join(folder, ELECTION), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    return descriptor
