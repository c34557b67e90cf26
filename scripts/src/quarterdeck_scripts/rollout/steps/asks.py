"""What somebody asks of a rollout that is under way: an annotation beside its state. Pure.

Whoever runs the rollout reads it at the next step; when nobody does, the next command does. It names the rollout
it is meant for, so one that was left behind asks nothing of a later rollout.
"""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import ROLLOUT_ASK

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


class Wish(enum.StrEnum):
    """What can be asked for while a rollout is under way."""

    PAUSE = "pause"
    """Go no further: judge on, put everything back on a FAIL, but promote nothing, however long it lasts."""
    PROMOTE = "promote"
    """Promote at the next look, without waiting for a PASS."""
    ABORT = "abort"
    """Put everything back at the next look, also while it is promoted."""


FREEZE = "a freeze"
"""Who asks for a pause, where nobody does: what holds every rollout holds this one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the annotation says."""

    wish: Wish
    rollout: str
    """Id of the rollout that is meant."""
    by: str
    """Who asked: a person and a machine."""
    at: str
    """When, RFC 3339."""
    why: str
    """The reason given; empty when none was."""

    def to_annotation(self) -> str:
        """Return the annotation's text."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    def repeats(self, other: Ask | None) -> bool:
        """Return whether it says what *other* says, but for when."""
        return other is not None and replace(self, at=other.at) == other

    def __str__(self) -> str:
        return f"{self.wish} asked for by {self.by} at {self.at}" + (f": {self.why}" if self.why else "")


def read_ask(workload: Json, rollout: str) -> Ask | None:
    """Return what is asked of the rollout with the id *rollout*; None when nothing is.

    What cannot be read counts as a pause: somebody wanted something, and waiting loses nothing.
    """
    text = (workload["metadata"].get("annotations") or {}).get(ROLLOUT_ASK)
    if not text:
        return None
    try:
        fields = json.loads(text)
        ask = Ask(**{**fields, "wish": Wish(fields["wish"])})
    except (ValueError, TypeError, KeyError):
        return Ask(Wish.PAUSE, rollout, "somebody", "an unknown time", f"the annotation {ROLLOUT_ASK} cannot be read")
    return ask if ask.rollout == rollout else None
