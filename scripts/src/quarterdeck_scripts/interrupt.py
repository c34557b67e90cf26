"""Ctrl-C and SIGTERM where something must not be cut in half."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a command to stop."""


@contextmanager
def held_back() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the body is done: half a clean-up is what they would leave.

    By handlers and not by the thread's signal mask: the kernel hands a signal to any thread that does not block
    it, a spinner's or a customer's, and Python then interrupts the main thread whatever that one blocks.
    Threads other than the main one are never interrupted, so there is nothing to hold back in them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        del frame
        came.append(signum)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
