"""OpenTelemetry's own instrumentors, for what is not ours: each loaded when its library is, each failing alone.

They come with `quarterdeck-instrumentation[contrib]`. They make spans, so without a place for spans none is loaded.
"""

from __future__ import annotations

import os
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import late
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.settings import effective

if TYPE_CHECKING:
    from types import ModuleType

OURS = frozenset(
    {"aiohttp-server", "asgi", "django", "falcon", "fastapi", "flask", "pyramid", "starlette", "tornado", "wsgi"}
    | {"grpc_aio_server", "grpc_server"}
)
"""Instrumentors that are never loaded: what they do is done here, and twice would be two spans for a request."""
_NAMES = {
    "MySQLdb": ("mysqlclient",),
    "aio_pika": ("aio-pika",),
    "aiohttp": ("aiohttp-client",),
    "grpc": ("grpc_client", "grpc_aio_client"),
    "mysql.connector": ("mysql",),
    "urllib.request": ("urllib",),
}
"""Module of a library → names of its instrumentors' entry points, where that is not the module's own."""
_PACKAGE = "opentelemetry.instrumentation."
PLACES = {
    "aio-pika": "aio_pika:AioPikaInstrumentor",
    "aiobotocore": "botocore:AiobotocoreInstrumentor",
    "aiohttp-client": "aiohttp_client:AioHttpClientInstrumentor",
    "aiokafka": "aiokafka:AIOKafkaInstrumentor",
    "asyncpg": "asyncpg:AsyncPGInstrumentor",
    "botocore": "botocore:BotocoreInstrumentor",
    "cassandra": "cassandra:CassandraInstrumentor",
    "celery": "celery:CeleryInstrumentor",
    "confluent_kafka": "confluent_kafka:ConfluentKafkaInstrumentor",
    "grpc_aio_client": "grpc:GrpcAioInstrumentorClient",
    "grpc_client": "grpc:GrpcInstrumentorClient",
    "httpx": "httpx:HTTPXClientInstrumentor",
    "httpx2": "httpx:HTTPX2ClientInstrumentor",
    "kafka": "kafka:KafkaInstrumentor",
    "mysql": "mysql:MySQLInstrumentor",
    "mysqlclient": "mysqlclient:MySQLClientInstrumentor",
    "pika": "pika:PikaInstrumentor",
    "psycopg": "psycopg:PsycopgInstrumentor",
    "psycopg2": "psycopg2:Psycopg2Instrumentor",
    "pymemcache": "pymemcache:PymemcacheInstrumentor",
    "pymongo": "pymongo:PymongoInstrumentor",
    "pymssql": "pymssql:PyMSSQLInstrumentor",
    "pymysql": "pymysql:PyMySQLInstrumentor",
    "redis": "redis:RedisInstrumentor",
    "requests": "requests:RequestsInstrumentor",
    "sqlalchemy": "sqlalchemy:SQLAlchemyInstrumentor",
    "sqlite3": "sqlite3:SQLite3Instrumentor",
    "urllib": "urllib:URLLibInstrumentor",
    "urllib3": "urllib3:URLLib3Instrumentor",
}
"""Name of an instrumentor's entry point → where it is: to look that up takes reading the metadata of every package."""
_SEMANTICS = "OTEL_SEMCONV_STABILITY_OPT_IN"


def patch_library(module: ModuleType) -> None:
    """Load the instrumentor of *module*, which has just been imported, if it is installed and spans are wanted."""
    disabled = effective(os.environ).disabled_instrumentations
    names = [name for name in entry_point_names(module.__name__) if not disabled & {name, "*"}]
    if not names or not _spans_are_wanted():
        return
    for name in names:
        known = Known(name, *PLACES[name].split(":"))
        if known.is_installed():
            instrument(known)


class Known:
    """What stands for the entry point of an instrumentor whose place is known."""

    def __init__(self, name: str, module: str, kind: str) -> None:
        """Stand for the entry point *name*: the class *kind* in a *module* of OpenTelemetry's package for them."""
        self.name = name
        self.module = module
        self.kind = kind

    def is_installed(self) -> bool:
        """Say whether there is such a module."""
        try:
            return find_spec(_PACKAGE + self.module) is not None
        except ModuleNotFoundError:
            return False  # nor any other

    def load(self) -> Any:
        """Return the class.

        Raises:
            AttributeError: a release of the package has no such class.
            Exception: whatever importing it raises.
        """
        return getattr(import_module(_PACKAGE + self.module), self.kind)


def entry_point_names(library: str) -> tuple[str, ...]:
    """Return the names of the entry points of *library*'s instrumentors."""
    return _NAMES.get(library, (library,))


def instrument(entry_point: Any, **options: Any) -> None:
    """Load one instrumentor and have it instrument, unless the library is ours; never raises.

    Args:
        entry_point: its entry point.
        options: what its `instrument` is called with.
    """
    if entry_point.name in OURS:
        return
    os.environ.setdefault(_SEMANTICS, "http,database")  # read once, by the first instrumentor: stable names only
    try:
        with late.Imports():
            _withhold_queries()
            instrumentor = entry_point.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            # Or else a library whose release it does not fit is left as it is, and that is only logged.
            options = {"raise_exception_on_conflict": True, **options}
            if not instrumentor.instrumentation_dependencies():  # nothing to compare, so nothing to compare with either
                options["skip_dep_check"] = True
            instrumentor.instrument(**options)
    except Exception as error:  # noqa: BLE001 -- one instrumentor must not take the others, or the service, with it
        failed("hooks", f"the instrumentor {entry_point.name} could not be loaded", error)


def _withhold_queries() -> None:
    """Have the instrumentors of HTTP clients say a URL without its query, as our own server spans do.

    Secrets travel in queries, and OpenTelemetry's own list knows four names of them. All instrumentors take the
    function from one module, by name, so it is replaced before the first of them is imported.
    """
    from opentelemetry.instrumentation import _semconv  # noqa: PLC0415 -- only where there is an instrumentor

    say = _semconv._set_http_url  # noqa: SLF001 -- there is no public place that all URLs pass
    if hasattr(say, "__wrapped__"):
        return

    @wraps(say)
    def saying(result: Any, url: str, *mode: Any, **named: Any) -> None:
        say(result, without_query(url), *mode, **named)

    _semconv._set_http_url = saying  # noqa: SLF001 -- likewise


def without_query(url: str) -> str:
    """Return *url* with neither the values nor the names of its query.

    >>> without_query("http://shop/stock?token=SECRET")
    'http://shop/stock?REDACTED'
    """
    start, mark, _ = url.partition("?")
    return f"{start}?REDACTED" if mark else url


def _spans_are_wanted() -> bool:
    if effective(os.environ).traces_exporters:
        return True
    from opentelemetry import trace  # noqa: PLC0415 -- likewise

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)
