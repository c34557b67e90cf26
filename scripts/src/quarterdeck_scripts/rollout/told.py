"""Which moments of a rollout people are told of, by what its flow asks for and is answered. Pure.

A flow that is told about is the same flow: every action passes through, and every answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, QuarterdeckError
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone
from quarterdeck_scripts.rollout import actions as do
from quarterdeck_scripts.rollout.state import Direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.record import RolloutRecord
    from quarterdeck_scripts.rollout.state import State

_TONES = {EXIT_DONE: Tone.SUCCESS, EXIT_FAILED: Tone.ERROR}
"""Exit code of an ending to how it is to be taken; any other is a warning."""


@dataclass(frozen=True)
class Herald:
    """Tells of one rollout."""

    record: RolloutRecord
    """Which one."""
    now: Callable[[], float]
    """Unix seconds."""
    tell: Callable[[Notice], None]
    """Takes each notice at once, whatever becomes of it."""

    def follow(self, flow: do.Flow) -> do.Flow:
        """Return *flow*, told about from its first change until it ends."""
        changing = False
        taken_up: State | None = None
        step = flow.send
        given: Any = None
        while True:
            try:
                action = step(given)
            except StopIteration as stop:
                outcome: do.Outcome = stop.value
                self._ended(outcome)
                return outcome
            except Exception as error:
                if changing:
                    self._left(error)
                raise
            if _changes(action):
                if taken_up is not None:
                    self._say(Occasion.TAKEN_UP, Tone.INFO, f"rollout of {self._version} taken up again", taken_up.by)
                changing, taken_up = True, None
            try:
                given, step = (yield action), flow.send
            except Exception as error:  # noqa: BLE001 -- the flow decides what any failure means
                given, step = error, flow.throw
                continue
            if isinstance(action, do.Inspect) and not action.any_state:
                taken_up = given.state
            elif isinstance(action, do.SaveState) and not given:  # or a pause stood in its way
                self._turned(action.state)

    @property
    def _version(self) -> str:
        return workloads.version_of(self.record.image) if self.record.image else ""

    def _turned(self, state: State) -> None:
        match state.direction:
            case Direction.UNDECIDED:
                self._say(Occasion.BEGAN, Tone.INFO, f"rollout of {self._version} began", f"it runs {state.origin}")
            case Direction.FORWARD:
                self._say(Occasion.PROMOTING, Tone.INFO, f"promoting {self._version}", state.reason)
            case Direction.BACK:
                self._say(Occasion.GOING_BACK, Tone.WARNING, f"going back from {self._version}", state.reason)

    def _ended(self, outcome: do.Outcome) -> None:
        tone = _TONES.get(outcome.ending.exit_code, Tone.WARNING)
        self._say(Occasion.ENDED, tone, f"{outcome.ending} {self._version}", outcome.reason)

    def _left(self, error: Exception) -> None:
        reason = error.found if isinstance(error, QuarterdeckError) else type(error).__name__
        title = f"rollout of {self._version} left as it is, somebody has to look"
        self._say(Occasion.LEFT, Tone.ERROR, title, reason)

    def _say(self, occasion: Occasion, tone: Tone, title: str, text: str) -> None:
        record = self.record
        self.tell(
            Notice(
                occasion=occasion,
                tone=tone,
                title=f"{record.service}: {title.strip()} ({record.environment})",
                text=text,
                at=self.now(),
                run=record.id,
                service=record.service,
                namespace=record.namespace,
                environment=record.environment,
                version=self._version,
                by=record.by,
                began=record.began,
            )
        )


def _changes(action: do.Action) -> bool:
    """Return whether *action* is past the point where a run may be refused with nothing done."""
    if isinstance(action, do.SaveState):
        return action.state.direction is not Direction.UNDECIDED
    return not isinstance(action, do.AcquireLock | do.ReleaseLock | do.Inspect)
