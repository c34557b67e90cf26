"""Reads what cannot be recorded as it happens, in a thread of its own: a user's callback may hang, the page may not.

All sources share the thread, which is there only where there is a source. One that hangs keeps the others from being
read: the page then shows their last values, and says so after the first scrape that waited in vain.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from quarterdeck_instrumentation.meters.home import Home
    from quarterdeck_instrumentation.registry import Registry

_EVERY = 5.0
"""Seconds between two readings of sources that do not say when there is something new, between scrapes: a callback
may ask a database, and there may be many workers."""
_SHARE = 20
"""Times as long as a reading took until the next of what is new: reading takes at most a twentieth of the time."""
_WAITING = 16
"""Refreshes that wait at once, at most: where a source hangs, those that have given up are forgotten."""
_LONG = 1.0
"""Seconds that a source may take before it is said that it does."""


class Observer:
    """Reads the sources of one process."""

    def __init__(self, home: Home, registry: Registry) -> None:
        """Read the sources of *home* into *registry*."""
        self._home = home
        self._registry = registry
        self._bell = native.Bell()
        self._waiting: list[native.Bell] = []
        self._lock = native.lock()
        self._started = False

    def begin(self) -> None:
        """Read in a thread, from the first source on."""
        self._home.wake = self._wake
        if self._home.sources:
            self._wake()

    def refresh(self, seconds: float) -> bool:
        """Read all sources now, wait for that no longer than *seconds*, and say whether it is done.

        Without a thread they are read here; without sources there is nothing to do.
        """
        if not self._home.sources:
            return False
        if not self._started:
            self._read(news_alone=False)
            return True
        done = native.Bell()
        with self._lock:
            self._waiting = [*self._waiting[-_WAITING:], done]
        self._bell.ring()
        read = done.wait(seconds)
        if not read:
            failed(
                "metrics", f"metrics that are asked for did not come within {seconds:g} s, so the last ones are shown"
            )
        return read

    def _wake(self) -> None:
        if not self._started:
            self._started = True
            try:
                native.start_thread(self._run, "quarterdeck-readings")
            except RuntimeError:
                self._started = False  # the interpreter is ending: a refresh reads
        self._bell.ring()

    def _run(self) -> None:
        news = True
        may = must = time.monotonic()
        while True:
            now = time.monotonic()
            news = self._bell.wait((min(may, must) if news else must) - now) or news
            now = time.monotonic()
            with self._lock:
                waiting, self._waiting = self._waiting, []
            if waiting or now >= must:
                self._read(news_alone=False)
                must = now + _EVERY
            elif news and now >= may:
                self._read(news_alone=True)
            else:
                continue
            news = False
            for each in waiting:
                each.ring()
            finished = time.monotonic()
            spacing = max((source.spacing for source in self._home.sources), default=0.0)
            may = finished + max(spacing, _SHARE * (finished - now))

    def _read(self, *, news_alone: bool) -> None:
        for source in list(self._home.sources):
            if news_alone and not source.spacing:
                continue
            begun = time.monotonic()
            try:
                source.read(self._registry)
            except Exception as error:  # noqa: BLE001 -- a library's or a user's, who may raise anything
                failed("metrics", f"metrics of {type(source).__name__} could not be read", error)
            if time.monotonic() - begun > _LONG:
                failed("metrics", f"{type(source).__name__} takes longer than {_LONG:g} s to say what its metrics are")
