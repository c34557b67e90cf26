"""What hooks into servers have in common: the application is measured, and telemetry begins before the first request.

Most applications would be measured all the same, by the hook into their framework; a plain callable has none.
"""

from __future__ import annotations

from typing import Any

from quarterdeck_instrumentation import asgi as asgi_
from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation import wsgi as wsgi_


def asgi(app: Any) -> Any:
    """Return *app*, an ASGI application, measured; None, which a server will complain of, as it is."""
    return app if app is None or isinstance(app, asgi_.Instrumented) else asgi_.Instrumented(app)


def wsgi(app: Any) -> Any:
    """Return *app*, a WSGI application, measured; None as it is."""
    return app if app is None or isinstance(app, wsgi_.Instrumented) else wsgi_.Instrumented(app)


def begin(at_once: int = 0) -> None:
    """Begin telemetry, in the process that serves and in its main thread.

    Args:
        at_once: how many requests the server lets this process serve at once; 0: it sets no limit.
    """
    begun = runtime.current()
    if begun is not None:
        begun.vitals.pools.limit_requests(at_once)
