"""Listeners that are slow, deaf or broken: told of at the end, and never in the run's way."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.programs import until

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.notices.courier import Courier
from quarterdeck_scripts.notices.ports import FakeListener

if TYPE_CHECKING:
    from quarterdeck_scripts.notices.notice import Notice


class Stuck(FakeListener):
    """Never comes back."""

    name = "the stuck one"

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let_go = threading.Event(), threading.Event()

    def hear(self, notice: Notice) -> None:
        """Wait."""
        self.reached.set()
        self.let_go.wait(60)


class Held(FakeListener):
    """A lease that says when it is prolonged."""

    name = "the lease"
    every = 0.01

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.kept = threading.Semaphore(0)
        self.failures = failures

    def keep(self) -> None:
        """Count, and fail as often as asked to."""
        self.kept.release()
        if self.failures:
            self.failures -= 1
            raise QuarterdeckError("it", "too busy", "wait")


def test_everybody_hears_everything_in_order(began: Notice, ended: Notice) -> None:
    """And nothing is left to be said."""
    listeners = [FakeListener(), FakeListener()]
    courier = Courier(listeners)

    courier.tell(began)
    courier.tell(ended)

    assert courier.close() == ()
    assert [listener.heard for listener in listeners] == [[began, ended], [began, ended]]


def test_one_that_never_answers_keeps_nobody_waiting(began: Notice, ended: Notice) -> None:
    """The run goes on at once, the others hear it, and it is named at the end."""
    stuck, other = Stuck(), FakeListener()
    courier = Courier([stuck, other])

    courier.tell(began)
    courier.tell(ended)
    assert stuck.reached.wait(60)

    # The others have no more time than the stuck one lets pass, which on a busy machine may be too little at first.
    until(lambda: courier.close(patience=0.2) == ("the stuck one had not taken everything when the run was over",))
    assert other.heard == [began, ended]
    stuck.let_go.set()


def test_what_was_not_taken_is_said_with_its_cause(began: Notice) -> None:
    """Without what an unforeseen error says, which may have an address in it that is a secret."""
    refused = FakeListener(QuarterdeckError("it to be taken", "HTTP 403: no", "mend it"))
    broken = FakeListener(ValueError("https://hooks.example/a-secret"))
    courier = Courier([refused, broken])

    courier.tell(began)

    title = "checkout: rollout of v2 began (prod)"
    assert courier.close() == (
        f"the listener was not told “{title}”: HTTP 403: no",
        f"the listener was not told “{title}”: ValueError",
    )


def test_a_lease_is_prolonged_while_nothing_happens(began: Notice, ended: Notice) -> None:
    """And a prolongation that fails is tried again, and said once."""
    held = Held(failures=3)
    courier = Courier([held])

    courier.tell(began)
    assert all(held.kept.acquire(timeout=60) for _ in range(5))
    courier.tell(replace(ended))

    assert courier.close() == ("the lease could not be prolonged for a while: too busy",)
    assert held.heard == [began, ended]


def test_nobody_is_called_when_nothing_is_told() -> None:
    """A run that was refused leaves no thread behind."""
    before = {*threading.enumerate()}

    assert Courier([FakeListener(), Held()]).close() == ()
    assert {*threading.enumerate()} <= before  # of another test's one may end meanwhile
