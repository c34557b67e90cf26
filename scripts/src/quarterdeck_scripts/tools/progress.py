"""How an installation tells what it does: the part of `quarterdeck_scripts.console` that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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
