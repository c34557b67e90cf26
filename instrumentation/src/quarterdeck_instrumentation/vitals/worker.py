"""All of a worker's vital signs, brought up to date together before its values are written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import CONTEXT_SWITCH_TYPE
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.vitals import process
from quarterdeck_instrumentation.vitals.event_loop import EventLoops
from quarterdeck_instrumentation.vitals.garbage import Collections
from quarterdeck_instrumentation.vitals.saturation import ListenQueues, Pools

if TYPE_CHECKING:
    from quarterdeck_instrumentation.http_server import HttpServerMetrics
    from quarterdeck_instrumentation.registry import Registry


class Vitals:
    """The vital signs of this process."""

    def __init__(self, registry: Registry, http: HttpServerMetrics, page_port: int) -> None:
        """Record into *registry*; *http* knows the running requests, and *page_port* is the metrics page's."""
        registry.cell(metrics.PROCESS_START_TIME).set(process.start_time(time.time()))
        self._cpu = registry.cell(metrics.PROCESS_CPU_TIME)
        self._memory = registry.cell(metrics.PROCESS_MEMORY_USAGE)
        self._threads = registry.cell(metrics.PROCESS_THREADS)
        self._files = registry.cell(metrics.PROCESS_OPEN_FILES)
        self._files_share = registry.cell(metrics.PROCESS_OPEN_FILES_UTILIZATION)
        self._switches = [registry.cell(metrics.PROCESS_CONTEXT_SWITCHES, kind) for kind in CONTEXT_SWITCH_TYPE.values]
        self._collections = Collections(registry)
        self.loops = EventLoops(registry)
        """The event loops of this process: whoever serves has the one it runs in noticed."""
        self.pools = Pools(registry, http.running)
        """What serves one thing at a time: whoever serves says how many there are."""
        self._queues = ListenQueues(registry, page_port)

    def start(self) -> None:
        """Watch what has to be watched all the time: garbage collections."""
        self._collections.start()

    def stop(self) -> None:
        """Watch no more."""
        self._collections.stop()

    def update(self) -> None:
        """Bring the values up to date."""
        self._cpu.set(process.cpu_seconds())
        self._memory.set(process.resident_bytes())
        try:
            self._update_the_rest()
        except Exception as error:  # noqa: BLE001 -- of the host's own objects; all other values are still written
            failed("vitals", "the runtime's metrics are not up to date", error)

    def _update_the_rest(self) -> None:
        self._threads.set(process.threads() or 0)
        files, limit = process.open_files() or 0, process.open_files_limit()
        self._files.set(files)
        self._files_share.set(files / limit if limit else 0.0)
        for cell, count in zip(self._switches, process.context_switches(), strict=True):
            cell.set(count)
        self._collections.update()
        self.loops.update()
        self.pools.update(self.loops.running())
        self._queues.update(time.monotonic())
