"""Drop-in instrumentation: what a Python service is started under, and never has to know.

Belongs here: everything that runs inside the service's own processes — activation, the record path, spans, the
`/metrics` page — and what its tests need. Does not belong here: anything an operator runs.

Three rules hold in every module. Importing changes nothing: `activate` does. What fails in here never reaches the
service: it is said once, counted, and the service goes on. And every start of every Python child pays for what is
imported, so modules import late and little.

    bootstrap, launcher, auto → activation → frameworks → asgi, wsgi → runtime → exposition, tracing → registry
"""

from __future__ import annotations

__all__ = ["activate"]


def activate() -> None:
    """Instrument this process: frameworks already imported now, the others when they are imported.

    A second call does nothing. Nothing is measured, opened or started before a server calls an application.
    """
    from quarterdeck_instrumentation import activation  # noqa: PLC0415 -- importing the package must cost nothing

    activation.activate()
