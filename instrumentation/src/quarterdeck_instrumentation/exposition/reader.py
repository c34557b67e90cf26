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
                living, ended = self._workers(folder)
                totals = self._totals = folder.read_totals(before.index) or Snapshot()
            except (CorruptSnapshotError, OSError) as error:
                failed("page", "the workers' values cannot be read, so there is no page", error)
                raise UnreadableError("the workers' values cannot be read") from error
            if totals.sequence <= before.sequence + 1:
                unfolded = {name: each for name, each in ended.items() if name not in totals.index.folded}
                return {**living, **unfolded, "": totals}
        failed("page", "workers end faster than their values can be read, so there is no page")
        raise UnreadableError("workers end faster than their values can be read")

    def _workers(self, folder: Folder) -> tuple[dict[str, Snapshot], dict[str, Snapshot]]:
        """Return the values of the workers that live, and what those leave behind that have ended."""
        living: dict[str, Snapshot] = {}
        ended: dict[str, Snapshot] = {}
        read: dict[str, Snapshot] = {}
        for name in folder.workers():
            if name == self._own_name:
                continue
            last = self._read.get(name)
            lives = folder.lives(name)  # asked before reading: what an ended worker wrote is final
            snapshot = folder.read(name, last.index if last is not None else None)
            if snapshot is None:
                continue  # it has written nothing yet, or was folded at this moment
            read[name] = snapshot
            if lives:
                living[name] = snapshot
            else:
                ended[name] = fold(Snapshot(), {name: snapshot})
        self._read = read
        return living, ended
