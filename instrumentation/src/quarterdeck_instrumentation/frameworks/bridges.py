"""WSGI applications mounted in ASGI applications: the request outside stays in charge of the one inside."""

from __future__ import annotations

from functools import wraps
from typing import Any

from quarterdeck_instrumentation import asgi, wsgi


def patch_environ(module: Any) -> None:
    """Have `build_environ`, in Starlette and a2wsgi alike, hand the request on from the scope to the environ."""
    build = module.build_environ

    @wraps(build)
    def building(scope: Any, *arguments: Any, **options: Any) -> Any:
        environ = build(scope, *arguments, **options)
        if asgi.MARK in scope:
            environ[wsgi.MARK] = scope[asgi.MARK]
        return environ

    module.build_environ = building
