"""Takes notices to listeners beside the run: whoever is slow, deaf or gone never holds it up.

Each listener has a thread of its own, so that one that does not answer keeps none of the others waiting.
"""

from __future__ import annotations

import threading
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.notices.ports import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quarterdeck_scripts.notices.notice import Notice
    from quarterdeck_scripts.notices.ports import Listener

PATIENCE = 15.0
"""Seconds that a run which is over waits for the last notices to be taken: two tries of any listener."""


class Courier:
    """Delivers one run's notices."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        """*listeners* are not called before the first notice."""
        self._rounds = [_Round(listener) for listener in listeners]

    def tell(self, notice: Notice) -> None:
        """Have every listener hear *notice*, in its own time."""
        for each in self._rounds:
            each.tell(notice)

    def close(self, patience: float = PATIENCE) -> tuple[str, ...]:
        """Wait at most *patience* seconds until all is told; return what was not, a sentence each."""
        deadline = monotonic() + patience
        for each in self._rounds:
            each.finish()
        return tuple(line for each in self._rounds for line in each.missing(deadline))


class _Round:
    """One listener's notices."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._waiting: SimpleQueue[Notice | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._untold: list[str] = []
        self._lapsing = ""
        """Why the lease could not be prolonged the last time; empty when it was."""

    def tell(self, notice: Notice) -> None:
        self._waiting.put(notice)
        if self._thread is None:
            # A daemon: a listener that never answers must not keep the process alive.
            self._thread = threading.Thread(target=self._go, name=f"telling {self._listener.name}", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        self._waiting.put(None)

    def missing(self, deadline: float) -> list[str]:
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - monotonic()))
            if self._thread.is_alive():
                return [*self._untold, f"{self._listener.name} had not taken everything when the run was over"]
        return self._untold

    def _go(self) -> None:
        lease = self._listener if isinstance(self._listener, Lease) else None
        due = monotonic() + lease.every if lease else 0.0
        while True:
            try:
                notice = self._waiting.get(timeout=max(0.0, due - monotonic()) if lease else None)
            except Empty:
                if lease:
                    self._keep(lease)
                    due = monotonic() + lease.every
                continue
            if notice is None:
                return
            found = _failure_of(partial(self._listener.hear, notice))
            if found:
                self._untold.append(f"{self._listener.name} was not told “{notice.title}”: {found}")

    def _keep(self, lease: Lease) -> None:
        found = _failure_of(lease.keep)
        if found and not self._lapsing:
            self._untold.append(f"{self._listener.name} could not be prolonged for a while: {found}")
        self._lapsing = found


def _failure_of(call: Callable[[], None]) -> str:
    """Return why *call* failed; empty when it did not."""
    try:
        call()
    except QuarterdeckError as error:
        return error.found
    except Exception as error:  # noqa: BLE001 -- whatever a listener does, the run goes on
        return type(error).__name__  # no more of it: its text may have the address, which of a webhook is a secret
    return ""
