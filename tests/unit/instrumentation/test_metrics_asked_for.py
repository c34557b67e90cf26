"""What has to be asked for is read in a thread of its own: whatever hangs there, the page does not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.meters.home import Home
from quarterdeck_instrumentation.meters.observer import Observer
from quarterdeck_instrumentation.registry import VALUE, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 20.0
"""Seconds in which anything that happens at all has happened."""
READ = Metric("readings", "", Kind.COUNTER, "How often it was read.")


class Source:
    """Something that is read."""

    def __init__(self, work: Callable[[], None], *, eager: bool = False) -> None:
        self.spacing = 0.01 if eager else 0.0
        self.reads = threading.Semaphore(0)
        self._work = work

    def read(self, registry: Registry) -> None:
        """Do the work, and count it."""
        self._work()
        registry.cell(READ).add(1)
        self.reads.release()


def readers() -> list[threading.Thread]:
    """Return the threads of all observers there are, which end with the process."""
    return [thread for thread in threading.enumerate() if thread.name == "quarterdeck-readings"]


def fails() -> None:
    """Fail as a user's callback may."""
    raise LookupError("gone")


def nothing() -> None:
    """Succeed."""


@pytest.fixture
def home() -> Home:
    """Return a home of the test's own."""
    failures.forget()
    return Home()


def test_a_page_waits_for_a_reading_and_no_longer_than_it_wants(home: Home) -> None:
    """A source that hangs is said to; the page has the values that there are."""
    go, registry = threading.Event(), Registry(10)
    home.sources.append(Source(lambda: bool(go.wait(LONG)) and None))
    observer = Observer(home, registry)
    observer.begin()

    observer.refresh(0.05)
    assert registry.cell(READ).values[VALUE] == 0.0
    assert failures.counts() == {"metrics": 1}

    go.set()
    observer.refresh(LONG)
    assert registry.cell(READ).values[VALUE] >= 2.0
    assert failures.counts()["metrics"] <= 2  # the first reading may have taken longer than it should


def test_an_eager_source_is_read_as_soon_as_it_has_something_new(home: Home) -> None:
    """And alone: what would rather be asked seldom is not."""
    eager, patient, registry = Source(nothing, eager=True), Source(nothing), Registry(10)
    home.sources += [patient, eager]
    Observer(home, registry).begin()
    assert patient.reads.acquire(timeout=LONG)
    assert eager.reads.acquire(timeout=LONG)

    def read_alone() -> bool:
        home.wake()
        assert eager.reads.acquire(timeout=LONG)
        return not patient.reads.acquire(blocking=False)

    # Every few seconds all are read, and what is new waits for that where a reading was held up.
    until(read_alone, "a reading of what is new alone")


def test_a_source_that_comes_later_is_read(home: Home) -> None:
    """Instruments are made whenever the service makes them; before the first there is no thread."""
    observer = Observer(home, Registry(10))
    before = readers()
    observer.begin()
    assert readers() == before

    late = Source(nothing)
    home.add(late)

    assert late.reads.acquire(timeout=LONG)


def test_one_that_fails_keeps_no_other_from_being_read(home: Home) -> None:
    """It is counted, each time."""
    registry = Registry(10)
    home.sources += [Source(fails), Source(nothing)]

    Observer(home, registry).refresh(LONG)

    assert registry.cell(READ).values[VALUE] == 1.0
    assert failures.counts() == {"metrics": 1}
