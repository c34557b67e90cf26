"""The same page in any worker: it reads what the elected one keeps, folds nothing, and so competes with nobody.

Between the moment it lists the workers and the moment it has read them, the elected worker may fold one that has
ended. The totals name those folded last, so they are read after the workers, and whoever they name is left out; had
there been two folds in between, all is read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_instrumentation.exposition.collector import Sums, fold
from quarterdeck_instrumentation.exposition.snapshot import CorruptSnapshotError, Snapshot
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_instrumentation.exposition.collector import Sum
    from quarterdeck_instrumentation.exposition.store import Folder

_READS = 5
"""Times that all is read before a service is given up whose workers end faster than they can be read."""


class UnreadableError(Exception):
    """There is no truthful page to be had at this moment."""


class Reader:
    """What a worker that mounts the page knows of all workers; used by one thread at a time."""

    def __init__(self, folder: Folder | None, own_name: str, own: Callable[[], Snapshot]) -> None:
        """Read *folder*; *own* gives this worker's own values. Without a folder there is this worker alone."""
        self._folder = folder
        self._own_name = own_name
        self._own = own
        self._sums = Sums()
        self._read: dict[str, Snapshot] = {}
        self._totals = Snapshot()

    def collect(self) -> tuple[Iterable[Metric], list[Sum]]:
        """Return every metric, and the sums over all workers there are and were.

        Raises:
            UnreadableError: what others wrote cannot be read; without it, counters would go backwards.
        """
        others = self._others(self._folder) if self._folder is not None else {}
        sums = self._sums.of({**others, self._own_name: self._own()})
        return self._sums.metrics.values(), sums

    def _others(self, folder: Folder) -> dict[str, Snapshot]:
        for _ in range(_READS):
            try:
                before = folder.read_totals(self._totals.index) or Snapshot()
                workers, missing = self._workers(folder)
                totals = self._totals = folder.read_totals(before.index) or Snapshot()
            except (CorruptSnapshotError, OSError) as error:
                failed("page", "the workers' values cannot be read, so there is no page", error)
                raise UnreadableError("the workers' values cannot be read") from error
            folded = totals.index.folded
            if totals.sequence <= before.sequence + 1 and missing <= folded:
                return {"": totals, **{name: each for name, each in workers.items() if name not in folded}}
        failed("page", "the workers' values change faster than they can be read, so there is no page")
        raise UnreadableError("the workers' values change faster than they can be read")

    def _workers(self, folder: Folder) -> tuple[dict[str, Snapshot], set[str]]:
        """Return the values of all workers, of the ended what they leave behind, and whose values are gone."""
        workers: dict[str, Snapshot] = {}
        missing: set[str] = set()
        read: dict[str, Snapshot] = {}
        for name in folder.workers():
            if name == self._own_name:
                continue
            last = self._read.get(name)
            lives = folder.lives(name)  # asked before reading: what an ended worker wrote is final
            snapshot = folder.read(name, last.index if last is not None else None)
            if snapshot is not None:
                read[name] = snapshot
                workers[name] = snapshot if lives else fold(Snapshot(), {name: snapshot})
            elif last is not None:
                read[name] = last
                missing.add(name)  # folded at this moment, or destroyed; else it has written nothing yet
        self._read = read
        return workers, missing
