"""Celery: a worker and each process of its pool have telemetry from their start to their end.

The page is there before the first task and shows the pool's processes together. What makes spans is decided when the
first one is made, so that a worker that sets a provider of its own in `worker_process_init` may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import runtime

if TYPE_CHECKING:
    from types import ModuleType


def patch_signals(module: ModuleType) -> None:
    """Have Celery's own signals begin and end telemetry, whatever the pool: prefork, solo, threads, gevent."""
    for begins in (module.worker_init, module.worker_process_init):
        begins.connect(_begin, weak=False, dispatch_uid="quarterdeck-begin")
    for ends in (module.worker_process_shutdown, module.worker_shutdown):
        ends.connect(_end, weak=False, dispatch_uid="quarterdeck-end")


def _begin(**_: Any) -> None:
    runtime.current()


def _end(**_: Any) -> None:
    runtime.end()
