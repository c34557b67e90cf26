"""One thing that the doctor has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How much a finding matters."""

    NOTE = 0
    """Good to know."""
    WARNING = 1
    """A person should look at it: telemetry may be missing, doubled or dear."""
    BROKEN = 2
    """Something that is asked for does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. The three texts are clauses without a full stop."""

    name: str
    """Stays the same from release to release, for machines."""
    level: Level
    found: str
    why: str
    """Why it matters."""
    next_step: str = ""
    """What to do, an imperative; nothing for what is good."""
