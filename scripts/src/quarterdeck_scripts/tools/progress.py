"""How an installation tells what it does: the part of `quarterdeck_scripts.console` that it uses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Step(Protocol):
    """Something that runs and can say where it stands."""

    def update(self, detail: str) -> None:
        """Say where it stands, as in `312 of 1121 packages`."""


class Progress(Protocol):
    """Where messages go. The module `quarterdeck_scripts.console` is one."""

    def say(self, text: str) -> None:
        """Write one message."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Show *title* while the body runs."""


class Recorded:
    """A `Progress` that keeps what it is told: the fake for tests, and silence for whoever wants none of it."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        """Each message."""
        self.steps: list[str] = []
        """Each step's title, as it begins."""
        self.details: list[str] = []
        """Where the steps stood, in order."""

    def say(self, text: str) -> None:
        """Keep a message."""
        self.messages.append(text)

    @contextmanager
    def step(self, title: str) -> Iterator[Recorded]:
        """Keep a step's title."""
        self.steps.append(title)
        yield self

    def update(self, detail: str) -> None:
        """Keep where a step stands."""
        self.details.append(detail)
