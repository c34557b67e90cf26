"""hypercorn: what a worker has loaded is measured; telemetry begins and ends with its serving, on either event loop."""

from __future__ import annotations

from functools import wraps
from typing import Any

from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.frameworks import serving


def patch_run(module: Any) -> None:
    """Have `worker_serve`, of asyncio's module or trio's, which runs in each worker, begin and end with telemetry."""
    serve = module.worker_serve

    @wraps(serve)
    async def serving_(app: Any, *arguments: Any, **options: Any) -> None:
        measured = serving.wsgi if type(app).__name__ == "WSGIWrapper" else serving.asgi
        app.app = measured(app.app)
        serving.begin()
        try:
            await serve(app, *arguments, **options)
        finally:
            runtime.end()

    module.worker_serve = serving_
