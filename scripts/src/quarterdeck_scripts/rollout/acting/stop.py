"""Ctrl-C, SIGTERM and a terminal that is gone: the first stops in safety, the second at once."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.steps.actions import Interrupted
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from quarterdeck_scripts.rollout.steps.actions import Outcome

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a run to stop: also the end of its terminal or of the connection that it came by, which would kill it and
leave the canary to itself."""


class StopRequest:
    """Whether somebody asked to stop, here or by an abort from elsewhere.

    Asked between steps and while waiting, so no change is cut in half.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        """The signal that asked."""
        self._shielded = False
        self._abort = ""

    @property
    def is_shielded(self) -> bool:
        """Whether everything is being put back already."""
        return self._shielded

    def ask_to_abort(self, reason: str) -> None:
        """Note that somebody asks for everything to be put back, for *reason*."""
        self._abort = reason

    def ask(self, signum: int) -> None:
        """Note that somebody asked."""
        self.signal = signum

    def shield(self) -> None:
        """From now on everything is being put back: stopping would only leave it half done."""
        self._shielded = True

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Interrupted: somebody asked to stop.
        """
        if self._shielded:
            return
        if self._abort:
            self._shielded = True
            raise Interrupted(Ending.INTERRUPTED, self._abort)
        if self.signal is not None:
            self._shielded = True
            name = "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name
            raise Interrupted(Ending.INTERRUPTED, f"stopped by {name}")

    def exit_code(self, outcome: Outcome) -> int:
        """Return the exit code of *outcome*: of what a signal interrupted 128 and its number, as shells have it."""
        if self.signal is not None and outcome.ending is Ending.INTERRUPTED:
            return 128 + self.signal
        return outcome.exit_code


@contextmanager
def listening(stop: StopRequest, say: Callable[[str], None]) -> Iterator[None]:
    """Turn signals into a request to *stop* while the body runs; a second one ends the process.

    One that is ignored already, as `nohup` has it, stays so.

    What is said begins on a line of its own: a spinner's may be there.
    """

    def asked(signum: int, frame: FrameType | None) -> None:
        del frame
        if stop.signal is not None:
            say("\nStopped at once. What is left is taken up by the same command, or put back by `rollout abort`.")
            sys.stderr.flush()
            os._exit(128 + signum)  # not sys.exit: a step may be in a call that lasts
        stop.ask(signum)
        say("\nStopping: everything is put back on the stable version first. Once more stops at once.")

    heard = [signum for signum in _SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]
    before = {signum: signal.signal(signum, asked) for signum in heard}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
