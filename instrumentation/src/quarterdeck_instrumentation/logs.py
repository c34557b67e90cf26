"""Counts what the service logs through Python's `logging`, by severity, from warnings on.

Counted is what a logger hands to its handlers: what its level, its filters and `disable` have let through, once each,
wherever it goes from there. So `Logger.callHandlers` is where it is seen, and not

* a handler at the root, which `dictConfig` and `basicConfig(force=True)` take away, and which loggers that do not
  propagate (uvicorn's, Django's) never reach; nor
* the factory of records, of which there is one, that the service may set, and which makes also what filters drop.

What telemetry itself logs is not the service's: our failures have a counter of their own, and a collector that is away
says nothing of the service. A process whose telemetry has not begun, as gunicorn's master, counts nothing.
"""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import LOG_SEVERITY
from quarterdeck_contract.metrics import LOG_RECORDS
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.registry import VALUE

if TYPE_CHECKING:
    from quarterdeck_instrumentation.registry import Registry

OF_TELEMETRY = frozenset({"quarterdeck", "opentelemetry"})
"""First parts of the names of loggers that are not the service's."""

_counting: LogRecords | None = None
"""Who counts in this process; a forked child has nobody until its own telemetry begins."""


class LogRecords:
    """The records of one worker, in its registry."""

    def __init__(self, registry: Registry) -> None:
        """Have each severity's counter in *registry*, so that the first record counts in full."""
        self._registry = registry
        self._warnings, self._errors, self._fatal = (
            registry.cell(LOG_RECORDS, severity).values for severity in LOG_SEVERITY.values
        )

    def start(self) -> None:
        """Count from now on, instead of who counted before."""
        global _counting  # noqa: PLW0603 -- loggers are one for each process, too
        _watch()
        _counting = self

    def stop(self) -> None:
        """Count no more. Loggers are left as they are: somebody else may have wrapped them meanwhile."""
        global _counting  # noqa: PLW0603 -- see above
        if _counting is self:
            _counting = None

    def count(self, record: logging.LogRecord) -> None:
        """Count *record*, of a warning or worse. Takes no lock and logs nothing: a destructor may log at any moment."""
        if record.name.partition(".")[0] in OF_TELEMETRY:
            return
        if record.levelno < logging.ERROR:
            values = self._warnings
        else:
            values = self._errors if record.levelno < logging.CRITICAL else self._fatal
        values[VALUE] += 1.0
        self._registry.touch()


def _watch() -> None:
    """Have loggers tell who counts; once for each process, whatever is forked from it."""
    inherited = logging.Logger.callHandlers
    if getattr(inherited, "_is_quarterdecks", False):
        return

    @wraps(inherited)
    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        if _counting is not None:
            try:
                if record.levelno >= logging.WARNING:
                    _counting.count(record)
            except Exception as error:  # noqa: BLE001 -- whatever a record is like, it has to be logged
                failed("hooks", "a record that was logged is not counted", error)
        inherited(self, record)

    call_handlers._is_quarterdecks = True  # type: ignore[attr-defined]  # noqa: SLF001 -- ours, see above
    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]  # seen by all loggers, of any class
