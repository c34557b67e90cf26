"""Writes a worker's values down as they change, where they survive it, and gives them to its own page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_instrumentation.exposition.store import Pair
    from quarterdeck_instrumentation.registry import Registry

_WRITE_EVERY = 0.2
"""Seconds between two writes while values change: with the write itself, the most that SIGKILL can lose."""
_HEARTBEAT = 5.0
"""Seconds between two writes while nothing changes: processor time and memory still do."""


class Writer:
    """The values of one worker."""

    def __init__(self, registry: Registry, update: Callable[[], None]) -> None:
        """Write what is in *registry*, after *update* has brought up to date what is only known when asked."""
        self._registry = registry
        self._update = update
        self.pair: Pair | None = None
        """The files; None: the values are in memory alone."""
        self._sequence = 0
        self._latest = b""
        self._lock = native.lock()
        self._changed = native.Bell()
        self._index = snapshot.Index()

    def start(self) -> None:
        """Write now, and from now on as values change, in a thread."""
        self._registry.wake = self._changed.ring
        self.write()
        native.start_thread(self._run, "quarterdeck-values")

    def write(self) -> None:
        """Write the values down."""
        try:
            with self._lock:
                self._update()
                self._sequence += 1
                self._latest = snapshot.encode(self._sequence, *self._registry.snapshot())
                if self.pair is not None:
                    self.pair.write(self._latest)
        except Exception as error:  # noqa: BLE001 -- a full disk, for one: the values stay in memory and are tried again
            failed("store", "the values cannot be written down; it is tried again", error)
            self._registry.changed = True

    def detach(self) -> None:
        """Keep the values in memory alone from now on; a write that is under way is waited for."""
        with self._lock:  # or it would find its files gone, and make them anew
            self.pair = None

    def values(self) -> snapshot.Snapshot:
        """Return the values, written down first: a page shows nothing that a kill could take back."""
        if self._registry.changed or not self._latest:
            self.write()
        with self._lock:  # a write that is under way is waited for
            latest = self._latest
        own = snapshot.decode(latest, self._index)
        self._index = own.index
        return own

    def _run(self) -> None:
        while True:
            self._changed.wait(_HEARTBEAT)
            self.write()
            native.sleep(_WRITE_EVERY)
