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
    """Have the functions that prepare an application, in each worker, measure it."""
    for name, measured in (("_asgi_call_wrap", serving.asgi), ("_wsgi_call_wrap", serving.wsgi)):
        prepare = getattr(module, name, None)
        if prepare is not None:
            setattr(module, name, _measuring(prepare, measured))


def patch_signals(module: Any) -> None:
    """Have telemetry begin when a worker has set its handlers; until then it is deaf to what its parent says."""
    for name in ("set_loop_signals", "set_sync_signals"):
        setattr(module, name, _beginning(getattr(module, name)))


def _measuring(prepare: Callable[..., Any], measured: Callable[[Any], Any]) -> Callable[..., Any]:
    @wraps(prepare)
    def preparing(app: Any, *arguments: Any, **options: Any) -> Any:
        return prepare(measured(app), *arguments, **options)

    return preparing


def _beginning(set_handlers: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(set_handlers)
    def setting(*arguments: Any, **options: Any) -> Any:
        event = set_handlers(*arguments, **options)
        serving.begin()
        return event

    return setting
