"""uvicorn: what it has loaded is measured, whatever framework it is of; telemetry begins and ends with the server."""

from __future__ import annotations

import threading
from functools import wraps
from typing import Any

from quarterdeck_instrumentation import exits, runtime
from quarterdeck_instrumentation.frameworks import serving


def patch_server(module: Any) -> None:
    """Have `uvicorn.server.Server` begin with telemetry, and bring it to safety when all requests have been served.

    When it is made already, SIGTERM is told to wait for that: it may run in a thread, where no handler can be set. At
    `startup`, which follows the application's import: that may be what has us imported. And at `shutdown`, because
    an application without a lifespan hears nothing of its end, and uvicorn then raises the signal it got.
    """
    server = module.Server
    make, startup, shutdown = server.__init__, server.startup, server.shutdown

    @wraps(make)
    def making(self: Any, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        # A worker's thread that answers the supervisor makes a server as well if it comes first, and the one made last
        # is asked whether it has started: nothing may make that thread slower than the one that serves.
        if threading.current_thread() is threading.main_thread():
            exits.expect()

    @wraps(startup)
    async def starting_up(self: Any, *arguments: Any, **options: Any) -> None:
        self.config.loaded_app = serving.asgi(self.config.loaded_app)
        serving.begin(self.config.limit_concurrency or 0)
        await startup(self, *arguments, **options)

    @wraps(shutdown)
    async def shutting_down(self: Any, *arguments: Any, **options: Any) -> None:
        try:
            await shutdown(self, *arguments, **options)
        finally:
            runtime.end()

    server.__init__, server.startup, server.shutdown = making, starting_up, shutting_down
