"""uvicorn: what it has loaded is measured, whatever framework it is of; telemetry begins and ends with the worker."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.asgi import Instrumented

if TYPE_CHECKING:
    from types import ModuleType


def patch_config(module: ModuleType) -> None:
    """Have `uvicorn.config.Config.load`, which runs in each worker, wrap the application."""
    config = module.Config
    load = config.load

    @wraps(load)
    def loading(self: Any) -> None:
        load(self)
        self.loaded_app = Instrumented(self.loaded_app)
        begun = runtime.current()  # the page is there before the first request
        if begun is not None:
            begun.vitals.pools.limit_requests(self.limit_concurrency or 0)

    config.load = loading


def patch_server(module: ModuleType) -> None:
    """Have `uvicorn.server.Server.shutdown` bring telemetry to safety when all requests have been served.

    An application without a lifespan hears nothing of its end, and uvicorn then raises the signal it got.
    """
    server = module.Server
    shutdown = server.shutdown

    @wraps(shutdown)
    async def shutting_down(self: Any, *arguments: Any, **options: Any) -> None:
        try:
            await shutdown(self, *arguments, **options)
        finally:
            runtime.end()

    server.shutdown = shutting_down
