"""uvicorn: what it has loaded is measured, whatever framework it is of, and telemetry begins with the worker."""

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
        runtime.current()  # the page is there before the first request

    config.load = loading
