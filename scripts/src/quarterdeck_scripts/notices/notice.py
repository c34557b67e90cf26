"""What is told: one moment of one run. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Occasion(enum.StrEnum):
    """Which moment of a run it is."""

    BEGAN = "began"
    TAKEN_UP = "taken up"
    """Somebody goes on with a run that was left."""
    PAUSED = "paused"
    """Somebody wants it to go no further for now."""
    PROMOTING = "promoting"
    """The evidence let the new version in; it is not in everywhere yet."""
    GOING_BACK = "going back"
    """Everything is being put back; it is not all back yet."""
    ENDED = "ended"
    """It has come to an end that is whole."""
    LEFT = "left"
    """It could not be brought to an end: a person is needed."""

    @property
    def is_last(self) -> bool:
        """Whether the process that tells it does nothing more."""
        return self in {Occasion.ENDED, Occasion.LEFT}


class Tone(enum.StrEnum):
    """How it is to be taken: Datadog's words for it."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """One moment of one run."""

    occasion: Occasion
    tone: Tone
    title: str
    """What happened, in a line: `checkout: promoted v2 (prod)`."""
    text: str
    """Why, or nothing."""
    at: float
    """Unix seconds."""
    run: str
    """The run's id: the same in all its notices, whoever takes it up."""
    service: str
    namespace: str
    environment: str
    version: str
    """The version that is let in; empty where none is."""
    by: str
    """Who runs it: a person and a machine."""
    began: float
    """Unix seconds when the run that tells this began."""
    kind: str = "Deployment"
    """Kind of the service's workload."""
