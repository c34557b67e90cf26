"""CPython's garbage collector: how long each collection stopped everything, and what it found."""

from __future__ import annotations

import atexit
import gc
from time import perf_counter
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import GC_GENERATION

if TYPE_CHECKING:
    from typing import Any

    from quarterdeck_instrumentation.registry import Registry

_COUNTED = {
    "collections": metrics.GC_COLLECTIONS,
    "collected": metrics.GC_COLLECTED,
    "uncollectable": metrics.GC_UNCOLLECTABLE,
}
"""Key in `gc.get_stats()` → metric."""


class Collections:
    """The collector's hook, and its statistics since telemetry began: a fork inherits its parent's."""

    def __init__(self, registry: Registry) -> None:
        generations = GC_GENERATION.values
        self._pauses = [registry.distribution(metrics.GC_DURATION, each) for each in generations]
        self._cells = [{key: registry.cell(metric, each) for key, metric in _COUNTED.items()} for each in generations]
        self._before = gc.get_stats()
        self._began = 0.0

    def start(self) -> None:
        """Time collections from now on.

        The hook takes no lock and allocates next to nothing: it runs wherever a collection does, in whichever
        thread, with whatever locks that holds. Only one collection runs at a time, so nobody else writes its values.
        """
        gc.callbacks.append(self._timed)
        atexit.register(self.stop)  # the interpreter's last collections find modules without their names

    def stop(self) -> None:
        """Time them no more."""
        atexit.unregister(self.stop)
        if self._timed in gc.callbacks:
            gc.callbacks.remove(self._timed)

    def update(self) -> None:
        """Bring the counters up to date."""
        for cells, now, before in zip(self._cells, gc.get_stats(), self._before, strict=False):
            for key, cell in cells.items():
                cell.set(now[key] - before[key])

    def _timed(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = perf_counter()
        else:
            self._pauses[info["generation"]].observe(perf_counter() - self._began)
