"""granian: what a worker has loaded is measured, of ASGI and WSGI; of RSGI, which has no frameworks, nothing is.

A worker ends as `multiprocessing` has it, which telemetry is brought to safety before without a hook.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.frameworks import serving

if TYPE_CHECKING:
    from collections.abc import Callable


def patch_server(module: Any) -> None:
    """Have the functions that prepare an application, in each worker and its main thread, measure it."""
    for name, measured in (("_asgi_call_wrap", serving.asgi), ("_wsgi_call_wrap", serving.wsgi)):
        prepare = getattr(module, name, None)
        if prepare is not None:
            setattr(module, name, _measuring(prepare, measured))


def _measuring(prepare: Callable[..., Any], measured: Callable[[Any], Any]) -> Callable[..., Any]:
    @wraps(prepare)
    def preparing(app: Any, *arguments: Any, **options: Any) -> Any:
        serving.begin()
        return prepare(measured(app), *arguments, **options)

    return preparing
