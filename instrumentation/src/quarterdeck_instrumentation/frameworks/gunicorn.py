"""gunicorn: what a worker has loaded is measured, whatever framework it is of; telemetry begins and ends with it."""

from __future__ import annotations

from functools import wraps
from typing import Any

from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.exposition import session
from quarterdeck_instrumentation.frameworks import serving

_WSGI_WORKERS = frozenset({"gunicorn.workers.sync", "gunicorn.workers.gthread", "gunicorn.workers.base_async"})
"""Modules of the workers that call WSGI applications, and of those that all others of that kind derive from."""
_TOLD = ("handle_exit", "handle_exit_signal")
"""Methods by which a worker hears of SIGTERM. Those of gevent and of ASGI look a second later whether it was said."""
_RUNS = "_quarterdeck_runs"
"""Attribute of a worker whose `run` has been called: a subclass's calls that of the class above."""


def patch_workers(module: Any) -> None:
    """Have `run` of each class of workers, there is or will be, begin and end with telemetry.

    `run` is what follows the import of the application, which may be what has us imported.
    """
    worker = module.Worker

    def made(cls: Any, /, **options: Any) -> None:
        super(worker, cls).__init_subclass__(**options)
        _patch_told(cls)
        _patch_run(cls)

    worker.__init_subclass__ = classmethod(made)
    _patch_told(worker)
    _patch_all(worker)


def _patch_all(worker: Any) -> None:
    for each in worker.__subclasses__():
        _patch_told(each)
        _patch_run(each)
        _patch_all(each)


def _patch_told(worker: Any) -> None:
    for name in _TOLD:
        if name in vars(worker):
            setattr(worker, name, _telling(vars(worker)[name]))


def _patch_run(worker: Any) -> None:
    run = vars(worker).get("run")
    if run is None:
        return

    @wraps(run)
    def running(self: Any) -> None:
        if vars(self).get(_RUNS):
            run(self)
            return
        setattr(self, _RUNS, True)
        session.led_by(self.ppid)
        _measure(self)
        serving.begin(_slots(self))
        try:
            run(self)
        finally:
            runtime.end()

    worker.run = running


def _telling(told: Any) -> Any:
    @wraps(told)
    def telling(*arguments: Any) -> None:
        runtime.begin_end()
        told(*arguments)

    return telling


def _measure(worker: Any) -> None:
    """Have *worker*'s application measured, unless it is loaded again in a way of its own, as uvicorn's worker does."""
    modules = _modules(worker)
    if modules & _WSGI_WORKERS:
        worker.wsgi = serving.wsgi(worker.wsgi)
    elif "gunicorn.workers.gasgi" in modules:
        worker.asgi = serving.asgi(worker.asgi)


def _slots(worker: Any) -> int:
    """Return how many requests *worker* serves at once; 0 when it is not gunicorn that limits them."""
    modules = _modules(worker)
    if "gunicorn.workers.base_async" in modules:
        return int(worker.cfg.worker_connections)
    if "gunicorn.workers.gthread" in modules:
        return int(worker.cfg.threads)
    return 1 if "gunicorn.workers.sync" in modules else 0


def _modules(worker: Any) -> set[str]:
    return {kind.__module__ for kind in type(worker).__mro__}
