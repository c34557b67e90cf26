"""Patches frameworks when they are imported, whatever the order: classes are changed in place, never replaced.

So `from fastapi import FastAPI` before activation names the same, instrumented class. Before a framework is
imported all this costs is one dictionary look-up for each import.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from quarterdeck_instrumentation.failures import failed

TYPE_CHECKING = False  # as type checkers read it; importing it from typing costs every Python child 11 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

LIBRARIES = (
    *("MySQLdb", "aio_pika", "aiobotocore", "aiohttp", "aiokafka", "asyncpg", "botocore", "cassandra", "celery"),
    *("confluent_kafka", "grpc", "httpx", "httpx2", "kafka", "mysql.connector", "pika", "psycopg", "psycopg2"),
    *("pymemcache", "pymongo", "pymssql", "pymysql", "redis", "requests", "sqlalchemy", "sqlite3", "urllib.request"),
    "urllib3",
)
"""Modules of libraries that OpenTelemetry's own instrumentors are for, if they are installed and spans are wanted."""
FRAMEWORKS = {
    "starlette.applications": "quarterdeck_instrumentation.frameworks.starlette:patch_applications",
    "starlette.middleware.base": "quarterdeck_instrumentation.frameworks.starlette:patch_middleware",
    "starlette.routing": "quarterdeck_instrumentation.frameworks.starlette:patch_routing",
    "fastapi.applications": "quarterdeck_instrumentation.frameworks.fastapi:patch_applications",
    "fastapi.routing": "quarterdeck_instrumentation.frameworks.fastapi:patch_routing",
    "uvicorn.server": "quarterdeck_instrumentation.frameworks.uvicorn:patch_server",
    "django.core.handlers.asgi": "quarterdeck_instrumentation.frameworks.django:patch_asgi",
    "django.core.handlers.base": "quarterdeck_instrumentation.frameworks.django:patch_routing",
    "django.core.handlers.exception": "quarterdeck_instrumentation.frameworks.django:patch_errors",
    "django.core.handlers.wsgi": "quarterdeck_instrumentation.frameworks.django:patch_wsgi",
    "django.db.backends.base.base": "quarterdeck_instrumentation.frameworks.django_database:patch_connections",
    "django.db.backends.utils": "quarterdeck_instrumentation.frameworks.django_database:patch_cursors",
    "django.test.client": "quarterdeck_instrumentation.frameworks.clients:patch_django",
    "flask.app": "quarterdeck_instrumentation.frameworks.flask:patch_application",
    "falcon.app": "quarterdeck_instrumentation.frameworks.falcon:patch_wsgi",
    "falcon.asgi.app": "quarterdeck_instrumentation.frameworks.falcon:patch_asgi",
    "litestar.app": "quarterdeck_instrumentation.frameworks.litestar:patch_applications",
    "litestar._asgi.asgi_router": "quarterdeck_instrumentation.frameworks.litestar:patch_routing",
    "litestar.routes.asgi": "quarterdeck_instrumentation.frameworks.litestar:patch_mounts",
    "litestar.middleware._internal.exceptions.middleware": (
        "quarterdeck_instrumentation.frameworks.litestar:patch_errors"
    ),
    "pyramid.router": "quarterdeck_instrumentation.frameworks.pyramid:patch_router",
    "quart.app": "quarterdeck_instrumentation.frameworks.quart:patch_application",
    "aiohttp.web_protocol": "quarterdeck_instrumentation.frameworks.aiohttp:patch_protocol",
    "aiohttp.web_response": "quarterdeck_instrumentation.frameworks.aiohttp:patch_responses",
    "aiohttp.web_runner": "quarterdeck_instrumentation.frameworks.aiohttp:patch_runners",
    "grpc._server": "quarterdeck_instrumentation.frameworks.grpc:patch_servers",
    "grpc.aio._server": "quarterdeck_instrumentation.frameworks.grpc:patch_asyncio_servers",
    "tornado.routing": "quarterdeck_instrumentation.frameworks.tornado:patch_routing",
    "tornado.tcpserver": "quarterdeck_instrumentation.frameworks.tornado:patch_servers",
    "tornado.web": "quarterdeck_instrumentation.frameworks.tornado:patch_handlers",
    "tornado.websocket": "quarterdeck_instrumentation.frameworks.tornado:patch_websockets",
    "gunicorn.workers.base": "quarterdeck_instrumentation.frameworks.gunicorn:patch_workers",
    "hypercorn.asyncio.run": "quarterdeck_instrumentation.frameworks.hypercorn:patch_run",
    "hypercorn.trio.run": "quarterdeck_instrumentation.frameworks.hypercorn:patch_run",
    "granian._signals": "quarterdeck_instrumentation.frameworks.granian:patch_signals",
    "granian.server.mp": "quarterdeck_instrumentation.frameworks.granian:patch_server",
    "granian.server.mt": "quarterdeck_instrumentation.frameworks.granian:patch_server",
    "granian.server.embed": "quarterdeck_instrumentation.frameworks.granian:patch_server",
    "waitress.server": "quarterdeck_instrumentation.frameworks.wsgi_servers:patch_waitress",
    "werkzeug.serving": "quarterdeck_instrumentation.frameworks.wsgi_servers:patch_werkzeug",
    "werkzeug.test": "quarterdeck_instrumentation.frameworks.clients:patch_werkzeug",
    "wsgiref.simple_server": "quarterdeck_instrumentation.frameworks.wsgi_servers:patch_wsgiref",
    "gevent.pywsgi": "quarterdeck_instrumentation.frameworks.wsgi_servers:patch_gevent",
    "uwsgidecorators": "quarterdeck_instrumentation.frameworks.uwsgi:patch_decorators",
    "starlette.middleware.wsgi": "quarterdeck_instrumentation.frameworks.bridges:patch_environ",
    "a2wsgi.wsgi": "quarterdeck_instrumentation.frameworks.bridges:patch_environ",
    "opentelemetry.instrumentation.aiohttp_server": (
        "quarterdeck_instrumentation.frameworks.peers:patch_aiohttp_server"
    ),
    "opentelemetry.instrumentation.asgi": "quarterdeck_instrumentation.frameworks.peers:patch_asgi",
    "opentelemetry.instrumentation.django.middleware.otel_middleware": (
        "quarterdeck_instrumentation.frameworks.peers:patch_django"
    ),
    "opentelemetry.instrumentation.falcon": "quarterdeck_instrumentation.frameworks.peers:patch_falcon",
    "opentelemetry.instrumentation.grpc._aio_server": "quarterdeck_instrumentation.frameworks.peers:patch_grpc",
    "opentelemetry.instrumentation.grpc._server": "quarterdeck_instrumentation.frameworks.peers:patch_grpc",
    "opentelemetry.instrumentation.pyramid.callbacks": "quarterdeck_instrumentation.frameworks.peers:patch_exclusions",
    "opentelemetry.instrumentation.tornado": "quarterdeck_instrumentation.frameworks.peers:patch_exclusions",
    "opentelemetry.instrumentation.wsgi": "quarterdeck_instrumentation.frameworks.peers:patch_wsgi",
    "prometheus_client.values": "quarterdeck_instrumentation.meters.prometheus:patch_values",
    "opentelemetry.metrics": "quarterdeck_instrumentation.meters.takeover:patch_api",
    "opentelemetry.sdk.metrics": "quarterdeck_instrumentation.meters.takeover:patch_sdk",
    "opentelemetry.sdk.resources": "quarterdeck_instrumentation.spans.resource:patch_sdk",
    "celery.signals": "quarterdeck_instrumentation.frameworks.celery:patch_signals",
    "opentelemetry.metrics._internal.instrument": "quarterdeck_instrumentation.frameworks.api:patch_instruments",
    "opentelemetry.propagators.composite": "quarterdeck_instrumentation.frameworks.api:patch_propagators",
    "opentelemetry.trace": "quarterdeck_instrumentation.frameworks.api:patch_trace",
    **dict.fromkeys(LIBRARIES, "quarterdeck_instrumentation.contrib:patch_library"),
}
"""Module to watch for → function that patches it, called with the module once its body has run."""
EMBEDDING = {"uwsgi": "quarterdeck_instrumentation.frameworks.uwsgi:patch_process"}
"""The same for modules that are there without being imported, in the process of a server with Python inside: looked
for when one of the others is patched, because when Python starts they are not there yet."""

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def enabled(environ: Mapping[str, str]) -> bool:
    """Say whether instrumentation is wanted: `OTEL_SDK_DISABLED` and `QUARTERDECK_ENABLED` can say no."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() in _TRUE:
        return False
    return environ.get("QUARTERDECK_ENABLED", "").strip().lower() not in _FALSE


def enabled_here() -> bool:
    """Say whether instrumentation is wanted in this process."""
    return enabled(os.environ)


def lead() -> None:
    """Make this process the leader of a session, if none is: what it forks or starts counts on one page with it.

    For starts without `quarterdeck-instrument`, which does this itself before it becomes the command.
    """
    from quarterdeck_instrumentation.exposition import session  # noqa: PLC0415 -- not needed when disabled

    if not enabled_here() or os.environ.get(session.VARIABLE):
        return
    try:
        os.environ[session.VARIABLE] = session.create(os.environ)
    except OSError as error:
        failed("store", "there is no folder to share, so workers are not added up", error)


def activate() -> None:
    """Patch what is imported already, and watch for the rest."""
    if not enabled(os.environ) or any(isinstance(finder, _PostImport) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _PostImport(dict(FRAMEWORKS)))
    for name, patch in FRAMEWORKS.items():
        module = sys.modules.get(name)
        if module is not None:
            _patch(module, patch)
    _patch_embedding()
    _join_a_session()


class _PostImport:
    """A meta path finder that finds nothing itself: it has others find the module and patches it when loaded."""

    def __init__(self, patches: dict[str, str]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        patch = self._patches.get(name)
        if patch is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                _patch_when_loaded(spec, patch)
                return spec
        return None


def _patch_when_loaded(spec: ModuleSpec, patch: str) -> None:
    loader: Any = spec.loader
    run = getattr(loader, "exec_module", None)
    if run is None:
        failed("hooks", f"{spec.name} has a loader that cannot be watched, so it is not instrumented")
        return

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # the instance attribute below: the loader is as it was
        run(module)
        _patch(module, patch)
        _patch_embedding()

    # On the instance, not a loader of our own: whoever asks the loader for source or resources gets the real one.
    loader.exec_module = exec_module


def _patch(module: ModuleType, patch: str) -> None:
    from quarterdeck_instrumentation import native  # noqa: PLC0415 -- a child that imports none of them does without

    where, _, function = patch.partition(":")
    try:
        with native.Uncollected():
            getattr(import_module(where), function)(module)
    except Exception as error:  # noqa: BLE001 -- a framework we do not understand must still work
        failed("hooks", f"{module.__name__} could not be instrumented", error)


def _patch_embedding() -> None:
    for name in [name for name in _embedding if name in sys.modules]:
        _patch(sys.modules[name], _embedding.pop(name))


_embedding = dict(EMBEDDING)


def _join_a_session() -> None:
    """Have what this process forks count with it, and the folder removed when the process that leads it ends."""
    from quarterdeck_instrumentation.exposition import session  # noqa: PLC0415 -- not needed when disabled

    session.join(os.environ)
    import atexit  # noqa: PLC0415 -- only here

    atexit.register(session.disband, os.environ, os.getpid())
