"""Who can be told, and who can be kept quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from quarterdeck_scripts.notices.notice import Notice


class Listener(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """What a person calls it: `Slack`."""
        ...

    def hear(self, notice: Notice) -> None:
        """Take *notice*; it may come twice, after a run that died.

        Raises:
            QuarterdeckError: it was not taken, or nobody knows.
        """
        ...


@runtime_checkable
class Lease(Listener, Protocol):
    """A listener that holds something for as long as the run lives."""

    @property
    def every(self) -> float:
        """Seconds between two calls of `keep`."""
        ...

    def keep(self) -> None:
        """Prolong what is held, if anything is.

        Raises:
            QuarterdeckError: it may lapse.
        """
        ...


class FakeListener:
    """Remembers what it was told, and fails when it is told to. For tests of ours and of users."""

    name = "the listener"

    def __init__(self, failure: Exception | None = None) -> None:
        self.heard: list[Notice] = []
        """Every notice so far, in order."""
        self.failure = failure

    def hear(self, notice: Notice) -> None:
        """Remember *notice*."""
        if self.failure:
            raise self.failure
        self.heard.append(notice)
