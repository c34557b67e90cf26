"""What a service logs is counted by severity, whatever it does with its handlers, and is logged as ever."""

from __future__ import annotations

import io
import logging
import logging.config
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.metrics import LOG_RECORDS
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.logs import LogRecords
from quarterdeck_instrumentation.registry import VALUE, Registry
from quarterdeck_instrumentation.runtime import Runtime
from quarterdeck_instrumentation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(logging.Handler):
    """Keeps what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.seen.append(record.getMessage())


class Counted:
    """A worker's registry, and a logger with one handler."""

    def __init__(self) -> None:
        self.registry = Registry(label_sets=10)
        self.records = LogRecords(self.registry)
        self.handler = Handler()
        self.logger = logging.Logger("shop")  # noqa: LOG001 -- of this test alone
        self.logger.addHandler(self.handler)

    def __call__(self) -> tuple[float, ...]:
        """Return how many warnings, errors and fatal errors were counted."""
        cells = (self.registry.cell(LOG_RECORDS, severity) for severity in ("WARN", "ERROR", "FATAL"))
        return tuple(cell.values[VALUE] for cell in cells)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Return what is counted from now on until the test has ended."""
    monkeypatch.setattr(logging.Logger, "callHandlers", logging.Logger.callHandlers)
    found = Counted()
    found.records.start()
    yield found
    found.records.stop()


def test_each_severity_is_counted_from_warnings_on(counted: Counted) -> None:
    """A level of one's own belongs to the next lower one; who waits for changes hears of each."""
    counted.registry.changed = False
    for level in (5, logging.DEBUG, logging.INFO, 29):
        counted.logger.log(level, "nothing")
    assert (counted(), counted.registry.changed) == ((0.0, 0.0, 0.0), False)

    for level in (logging.WARNING, 35, logging.ERROR, 45, 49, logging.CRITICAL, 70):
        counted.logger.log(level, "something")

    assert (counted(), counted.registry.changed) == ((2.0, 3.0, 2.0), True)
    assert len(counted.handler.seen) == 11


def test_what_no_logger_lets_through_is_not_counted(counted: Counted) -> None:
    """Its level, its filters, its being disabled, and `logging.disable`: nobody would read of it."""
    counted.logger.setLevel(logging.CRITICAL)
    counted.logger.error("below its level")
    counted.logger.setLevel(logging.NOTSET)
    counted.logger.addFilter(lambda record: "secret" not in record.getMessage())
    counted.logger.error("a secret")
    counted.logger.disabled = True
    counted.logger.error("by a logger that is disabled")
    counted.logger.disabled = False

    assert (counted(), counted.handler.seen) == ((0.0, 0.0, 0.0), [])


def test_a_record_is_counted_once_however_many_handlers_it_reaches(counted: Counted) -> None:
    """Its logger's and its parents'; also with none at all."""
    parent = logging.Logger("parent")  # noqa: LOG001 -- of this test alone
    parent.addHandler(counted.handler)
    counted.logger.parent = parent
    counted.logger.addHandler(Handler())

    counted.logger.error("once")
    counted.logger.handlers.clear()
    counted.logger.propagate = False
    counted.logger.addHandler(logging.NullHandler())
    counted.logger.error("for nobody")

    assert (counted(), counted.handler.seen) == ((0.0, 2.0, 0.0), ["once", "once"])


def test_handlers_may_be_replaced_at_any_time(counted: Counted, restored_root: io.StringIO) -> None:
    """By `dictConfig`, as Django does when it is set up and uvicorn for loggers that do not propagate."""
    configuration: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stream": {"class": "logging.StreamHandler", "stream": restored_root}},
        "loggers": {"quay.server": {"handlers": ["stream"], "propagate": False}},
        "root": {"handlers": ["stream"]},
    }
    logging.config.dictConfig(configuration)
    logging.getLogger("quay.server").error("not propagated")
    logging.basicConfig(force=True, stream=restored_root)
    logging.getLogger("quay").critical("at the root")

    assert counted() == (0.0, 1.0, 1.0)
    assert restored_root.getvalue() == "not propagated\nCRITICAL:quay:at the root\n"


@pytest.fixture
def restored_root() -> Iterator[io.StringIO]:
    """Return a stream to log to; the root's handlers are what they were when the test has ended."""
    handlers = logging.root.handlers[:]
    yield io.StringIO()
    logging.root.handlers[:] = handlers


@pytest.mark.parametrize("name", ["quarterdeck", "quarterdeck.page", "opentelemetry.sdk.trace.export"])
def test_what_telemetry_logs_is_not_the_services(counted: Counted, name: str) -> None:
    """Our failures have a counter of their own, and a collector may be away while the service is well."""
    counted.logger.name = name
    counted.logger.error("the collector is away")

    assert (counted(), counted.handler.seen) == ((0.0, 0.0, 0.0), ["the collector is away"])


def test_a_record_that_cannot_be_counted_is_logged(counted: Counted) -> None:
    """Whatever somebody makes of a record: that it is not counted is said once, and is a failure of ours."""
    for _ in range(2):
        counted.logger.handle(logging.makeLogRecord({"name": None, "levelno": 40, "msg": "as ever"}))

    assert (counted(), counted.handler.seen) == ((0.0, 0.0, 0.0), ["as ever", "as ever"])
    assert failures.counts() == {"hooks": 2}


def test_what_a_handler_raises_is_raised(counted: Counted) -> None:
    """As `logging` itself lets it, which catches only what handlers hand to it."""

    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise LookupError(record.getMessage())

    counted.logger.addHandler(Broken())
    with pytest.raises(LookupError, match="as ever"):
        counted.logger.error("as ever")

    assert (counted(), failures.counts()) == ((0.0, 1.0, 0.0), {})


def test_loggers_are_wrapped_once_and_count_for_who_came_last(counted: Counted) -> None:
    """A worker that is forked counts for itself, and not again for the process that it was forked from."""
    wrapped = logging.Logger.callHandlers
    with another() as other:
        counted.logger.error("for the other")
    counted.logger.error("for nobody")

    assert logging.Logger.callHandlers is wrapped
    assert (counted(), other()) == ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0))


@contextmanager
def another() -> Iterator[Counted]:
    """Return what is counted by another worker, until the block ends."""
    other = Counted()
    other.records.start()
    yield other
    other.records.stop()


def test_a_service_may_do_without() -> None:
    """Switched off there is no series of it, of which a rollout would take the silence for a good sign."""
    pages = {
        wanted: {entry.name for entry in Runtime(Settings(log_records=wanted)).registry._described}
        for wanted in (True, False)
    }

    assert pages[True] - pages[False] == {"quarterdeck.log.records"}
