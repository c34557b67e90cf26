"""Where foreign measurements of this process go, from before its telemetry begins until after it is forked.

Instruments are made while modules are imported: before there are settings, threads or a folder, and with gunicorn's
`--preload` in another process than the one that uses them. So there is a registry from the first instrument on, which
the telemetry takes over when it begins. A forked child has a new one: counters begin at zero there, because what the
parent counted is the parent's to show. A gauge's value is a fact, not a count, and comes along.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol

from quarterdeck_instrumentation.meters.names import Names
from quarterdeck_instrumentation.registry import Registry
from quarterdeck_instrumentation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


class Follower(Protocol):
    """What records in the registry of this process, whichever that is."""

    def moved(self, registry: Registry) -> None:
        """Record in *registry* from now on."""


class Source(Protocol):
    """What cannot be recorded as it happens, only read from time to time."""

    spacing: float
    """Seconds at least between two readings, of a source that says when there is something new. 0: it does not say,
    and is read every few seconds."""

    def read(self, registry: Registry) -> None:
        """Bring the children in *registry* up to date; may raise, and may take long, as a user's callback may."""


class Home:
    """The registry of this process, and who records in it."""

    def __init__(self) -> None:
        self._registry: Registry | None = None
        self._followers: weakref.WeakSet[Follower] = weakref.WeakSet()
        self.names = Names()
        self.sources: list[Source] = []
        self.wake: Callable[[], None] = _nobody
        """Called when there is a new source, or one has something new; must return at once."""

    def registry(self) -> Registry:
        """Return the registry, made at first use."""
        if self._registry is None:
            self._registry = Registry(Settings().label_sets)  # the service's own choice comes with its telemetry
        return self._registry

    def follow(self, follower: Follower) -> Registry:
        """Return the registry, and have *follower* know of any other that takes its place; not kept alive by this."""
        self._followers.add(follower)
        return self.registry()

    def move(self, registry: Registry | None) -> Registry | None:
        """Have everything recorded in *registry* from now on, a new one if there is none; return what was before."""
        before, self._registry = self._registry, registry
        for follower in list(self._followers):
            follower.moved(self.registry())
        return before

    def taken_over(self, label_sets: int) -> Registry:
        """Return the registry, for the telemetry that begins, with the number of label sets that it has settled on."""
        registry = self.registry()
        registry.label_sets = label_sets
        return registry

    def when_measured(self, begin: Callable[[], object]) -> None:
        """Have *begin* called by the first measurement, once; what it begins puts itself in the place of this."""

        def first() -> None:
            registry.wake = self.wake = _nobody
            begin()

        registry = self.registry()
        registry.wake = self.wake = first

    def add(self, source: Source) -> None:
        """Have *source* read."""
        self.sources.append(source)
        self.wake()


def _nobody() -> None:
    """Nobody reads yet."""


home = Home()
"""This process's."""
