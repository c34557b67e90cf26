"""Drop-in instrumentation: what a Python service is started under, and never has to know.

Belongs here: everything that runs inside the service's own processes — activation, the record path, spans, the
`/metrics` page — and what its tests need. Does not belong here: anything an operator runs.

Three rules hold in every module. Importing changes nothing: `activate` does. What fails in here never reaches the
service: it is said once, counted, and the service goes on. And every start of every Python child pays for what is
imported, so modules import late and little.

    bootstrap, launcher, auto, distro → activation → frameworks, contrib → asgi, wsgi → request, call → runtime
        → exposition, tracing → registry
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it; importing it from typing costs every Python child 11 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from quarterdeck_instrumentation.meters.sdk import PageReader

__all__ = ["PageReader", "activate", "configure", "metrics_asgi_app", "metrics_django_view", "metrics_wsgi_app"]


def activate() -> None:
    """Instrument this process: frameworks already imported now, the others when they are imported.

    A second call does nothing. Nothing is measured, opened or started before a server calls an application.
    """
    from quarterdeck_instrumentation import activation  # noqa: PLC0415 -- importing the package must cost nothing

    activation.activate()


def configure(**chosen: Any) -> None:
    """Instrument this process with settings of the service's own choice, which come before the environment's.

    To be called before the server calls the application; later, a choice comes too late, which is said and counted.

    Args:
        chosen: fields of `quarterdeck_instrumentation.settings.Settings`, for example `health_paths={"/up"}`.

    Raises:
        TypeError: there is no such setting.
    """
    from quarterdeck_instrumentation import activation, runtime, settings  # noqa: PLC0415 -- see `activate`

    settings.choose(**chosen)
    if chosen and runtime.begun():
        from quarterdeck_instrumentation.failures import failed  # noqa: PLC0415 -- likewise

        failed("settings", "configure was called after telemetry had begun, so it changes nothing")
    activation.activate()


def metrics_wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve the page of all workers: a WSGI application to mount, for example in a `DispatcherMiddleware`."""
    from quarterdeck_instrumentation import mount  # noqa: PLC0415 -- see `activate`

    return mount.wsgi_app(environ, start_response)


class _MetricsAsgiApp:
    """An object, not a function, so that Starlette's `Route` takes it for the application that it is."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from quarterdeck_instrumentation import mount  # noqa: PLC0415 -- see `activate`

        await mount.asgi_app(scope, receive, send)


metrics_asgi_app = _MetricsAsgiApp()
"""Serves the page of all workers: an ASGI application, for example for `Route("/metrics", metrics_asgi_app)`."""


def metrics_django_view(request: Any) -> Any:
    """Answer with the page of all workers: a Django view, for `path("metrics", metrics_django_view)`."""
    from quarterdeck_instrumentation import mount  # noqa: PLC0415 -- see `activate`

    return mount.django_view(request)


def __getattr__(name: str) -> Any:
    """Import what needs OpenTelemetry's SDK only for whoever asks for it."""
    if name == "PageReader":
        from quarterdeck_instrumentation.meters.sdk import PageReader  # noqa: PLC0415 -- see `activate`

        return PageReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
