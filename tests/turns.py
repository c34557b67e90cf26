"""Two commands of which one goes on whenever the other one waits: never both at once, on one clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE = 120.0
"""Seconds that one of them may take until it waits: by then it hangs."""


class Beside:
    """A command beside the one that waits on a world's clock; it begins when `begin` is called."""

    def __init__(self, world: Any, command: Callable[[], Any]) -> None:
        self._clock, self._command = world.clock, command
        self._passing = world.clock.sleep
        self._turns = {True: threading.Semaphore(0), False: threading.Semaphore(0)}
        """Whose turn it is: the other command's, or that of the one that was there before."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answer: Any = None
        """What the command returned, or raised; None until then."""

    def begin(self) -> None:
        """Let the command go on until it waits; from then on they take turns."""
        self._clock.sleep = self._sleep
        self._thread.start()
        self._take(mine=True)

    def join(self) -> Any:
        """Let the command come to its end alone, and return what it returned."""
        while self._thread.is_alive() and self.answer is None:
            self._take(mine=True)
        self._thread.join(DEADLINE)
        return self.answer

    def _sleep(self, seconds: float) -> None:
        self._passing(seconds)
        self._take(mine=threading.current_thread() is not self._thread)

    def _take(self, *, mine: bool) -> None:
        """Give the turn to the other one, and wait until it comes back."""
        if mine and self.answer is not None:
            return
        self._turns[mine].release()
        assert self._turns[not mine].acquire(timeout=DEADLINE)

    def _run(self) -> None:
        assert self._turns[True].acquire(timeout=DEADLINE)
        try:
            self.answer = self._command()
        except BaseException as error:  # noqa: BLE001 -- whoever asks for the answer sees it
            self.answer = error
        self._turns[False].release()
