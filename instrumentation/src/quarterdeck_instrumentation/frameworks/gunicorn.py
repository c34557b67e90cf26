"""gunicorn: what a worker has loaded is measured, whatever framework it is of; telemetry begins and ends with it."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import asgi, runtime, wsgi

if TYPE_CHECKING:
    from types import ModuleType

_WSGI_WORKERS = frozenset({"gunicorn.workers.sync", "gunicorn.workers.gthread", "gunicorn.workers.base_async"})
"""Modules of the workers that call WSGI applications, and of those that all others of that kind derive from."""


def patch_workers(module: ModuleType) -> None:
    """Have `Worker.load_wsgi`, which runs in each worker, wrap the application, preloaded or not.

    Not in workers of another kind: uvicorn's loads its application again, in its own way.
    """
    worker = module.Worker
    load, serve = worker.load_wsgi, worker.init_process

    @wraps(load)
    def loading(self: Any) -> None:
        load(self)
        if any(kind.__module__ in _WSGI_WORKERS for kind in type(self).__mro__):
            self.wsgi = wsgi.Instrumented(self.wsgi)
        begun = runtime.current()  # the page is there before the first request
        if begun is not None:
            begun.vitals.pools.limit_requests(_slots(self))

    @wraps(serve)
    def serving(self: Any) -> None:
        try:
            serve(self)
        finally:
            runtime.end()

    worker.load_wsgi, worker.init_process = loading, serving


def patch_asgi_worker(module: ModuleType) -> None:
    """Have gunicorn's own ASGI worker wrap the application it has loaded."""
    worker = module.ASGIWorker
    load = worker.load_wsgi

    @wraps(load)
    def loading(self: Any) -> None:
        load(self)
        self.asgi = asgi.Instrumented(self.asgi)
        runtime.current()

    worker.load_wsgi = loading


def _slots(worker: Any) -> int:
    """Return how many requests *worker* serves at once; 0 when it is not gunicorn that limits them."""
    modules = {kind.__module__ for kind in type(worker).__mro__}
    if "gunicorn.workers.base_async" in modules:
        return int(worker.cfg.worker_connections)
    if "gunicorn.workers.gthread" in modules:
        return int(worker.cfg.threads)
    return 1 if "gunicorn.workers.sync" in modules else 0
