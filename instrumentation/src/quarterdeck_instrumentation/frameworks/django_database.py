"""Django's database connections: traced where Django executes, not by a proxy around all that a driver has.

OpenTelemetry's instrumentors for drivers wrap connections and cursors, and build what they say of a statement anew each
time: two thirds of what a query's span costs. Of a connection of Django's their proxy is taken away again, and what it
would have said is said here, by their own code, once for each statement. Spans and metrics are the same.
"""

from __future__ import annotations

import sys
from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import current
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_DBAPI = "opentelemetry.instrumentation.dbapi"
_TRACED = "_quarterdeck_traced"
"""Attribute of Django's connection wrapper: what traces its statements, if they are to be."""
_STATEMENTS = 500
"""Statements of one connection that are kept: Django's have placeholders, so a service has some hundreds."""
_LONGEST = 4096
"""Characters of a statement that is kept."""


def patch_connections(module: ModuleType) -> None:
    """Have `BaseDatabaseWrapper.connect` take the instrumentors' proxy off the connection that it made."""
    wrapper = module.BaseDatabaseWrapper
    connect = wrapper.connect

    @wraps(connect)
    def connecting(self: Any) -> None:
        setattr(self, _TRACED, None)  # while it connects, the proxy is still there
        connect(self)
        try:
            _take_over(self)
        except Exception as mistake:  # noqa: BLE001 -- then the proxy stays, and traces as it always did
            failed("hooks", "a database connection of Django's stays with its instrumentor", mistake)

    wrapper.connect = connecting


def patch_cursors(module: ModuleType) -> None:
    """Have `CursorWrapper` execute within a span, on connections that were taken over."""
    wrapper = module.CursorWrapper
    for name in ("_execute", "_executemany"):
        setattr(wrapper, name, _executing(getattr(wrapper, name)))


def _executing(execute: Any) -> Any:
    @wraps(execute)
    def executing(self: Any, sql: Any, *arguments: Any) -> Any:
        traced = getattr(self.db, _TRACED, None)
        if traced is None or type(sql) is not str or current.is_suppressed():
            return execute(self, sql, *arguments)
        name, begin = traced.statements.get(sql) or traced.statement(sql)
        error = None
        with begin():
            began = perf_counter()
            try:
                return execute(self, sql, *arguments)
            except Exception as raised:
                error = raised
                raise
            finally:
                traced.record(self.cursor, name, began, error)

    return executing


def _take_over(wrapper: Any) -> None:
    dbapi = sys.modules.get(_DBAPI)
    connection = wrapper.connection
    if dbapi is None or type(connection) is not dbapi.TracedConnectionProxy:
        return  # no instrumentor, or one that has the driver make cursors of its own
    integration = connection._self_db_api_integration  # noqa: SLF001 -- wrapt's name for what is the proxy's own
    if integration is None or integration.enable_commenter or integration.capture_parameters:
        return  # what is said of these depends on more than the statement
    traced = _Traced(dbapi, integration)
    wrapper.connection = connection.__wrapped__
    setattr(wrapper, _TRACED, traced)


class _Traced:
    """One connection whose statements are traced, as its instrumentor has it."""

    def __init__(self, dbapi: Any, integration: Any) -> None:
        instrumentor = self._instrumentor = dbapi.CursorTracer(integration)
        instrumentor._get_metric_attributes = _remembering(instrumentor._get_metric_attributes)  # noqa: SLF001 -- ours alone
        self._fallback = integration.database or integration.name
        self._tracer = integration._tracer  # noqa: SLF001 -- the connection's own
        self._kind = dbapi.SpanKind.CLIENT
        self.statements: dict[str, tuple[str, Callable[[], Any]]] = {}

    def statement(self, sql: str) -> tuple[str, Callable[[], Any]]:
        """Return the name of a span for *sql*, and what begins one: it says what the instrumentor says of it."""
        said = _Said()
        self._instrumentor._populate_span(said, None, sql)  # noqa: SLF001 -- its own words, by its own code
        operation = self._instrumentor.get_operation_name(None, (sql,))
        name = operation or self._fallback
        found = (name, self._begins(name, said.attributes))
        if len(self.statements) >= _STATEMENTS:
            self.statements.clear()
        if len(sql) <= _LONGEST:
            self.statements[sql] = found
        return found

    def _begins(self, name: str, attributes: dict[str, Any]) -> Callable[[], Any]:
        tracer = getattr(self._tracer, "_tracer", self._tracer)  # of the API's, the one behind it
        described: Callable[[Any], Callable[[], Any]] | None = getattr(tracer, "described", None)
        if described is None:
            return partial(self._tracer.start_as_current_span, name, kind=self._kind, attributes=attributes)
        from quarterdeck_instrumentation.spans.described import Description  # noqa: PLC0415 -- where spans are lean, it is there

        return described(Description(name, self._kind, attributes))

    def record(self, cursor: Any, name: str, began: float, error: Exception | None) -> None:
        """Record the instrumentor's metrics of one execution."""
        operation = "" if name is self._fallback else name
        self._instrumentor._record_metrics(cursor, operation, began, error)  # noqa: SLF001 -- likewise


def _remembering(attributes: Callable[[str, Exception | None], dict[str, Any]]) -> Any:
    """Return *attributes* of an instrumentor's metrics, made once for each operation that does not fail."""
    kept: dict[str, dict[str, Any]] = {}

    def remembering(operation: str, error: Exception | None) -> dict[str, Any]:
        if error is not None:
            return attributes(operation, error)
        found = kept.get(operation)
        if found is None:
            found = attributes(operation, None)
            if len(kept) < _STATEMENTS:
                kept[operation] = found
        return found

    return remembering


class _Said:
    """Stands for a span while an instrumentor says what it has to say."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.set_attributes = self.attributes.update
        self.set_attribute = self.attributes.__setitem__

    def is_recording(self) -> bool:
        """Have everything said."""
        return True
