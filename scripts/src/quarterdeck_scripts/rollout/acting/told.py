"""Which moments of a rollout people are told of, by what its flow asks for and is answered. Pure.

A flow that is told about is the same flow: every action passes through, and every answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, QuarterdeckError
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps.asks import Wish
from quarterdeck_scripts.rollout.steps.state import Direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.steps.asks import Ask
    from quarterdeck_scripts.rollout.steps.state import State

_CHANGES = (do.CreateCanary, do.Promote, do.RestoreStable, do.DeleteCanary, do.WaitReady, do.Measure)
"""What is asked for only once a rollout is under way, whatever its strategy. To clear its note alone tells nobody."""
_TONES = {EXIT_DONE: Tone.SUCCESS, EXIT_FAILED: Tone.ERROR}
"""Exit code of an ending to how it is to be taken; any other is a warning."""


@dataclass
class Herald:
    """Tells of one rollout."""

    record: RolloutRecord
    """Which one."""
    now: Callable[[], float]
    """Unix seconds."""
    tell: Callable[[Notice], None]
    """Takes each notice at once, whatever becomes of it."""
    _kind: str = field(default="Deployment", init=False)
    _changing: bool = field(default=False, init=False)
    """Whether it is past the point where it may be refused with nothing done."""
    _left_by: str = field(default="", init=False)
    """Who began what is about to be taken up."""
    _paused: bool = field(default=False, init=False)
    _held: bool = field(default=False, init=False)
    """Whether it was told that the error budget holds the next step."""

    def follow(self, flow: do.Flow) -> do.Flow:
        """Return *flow*, told about from its first change until it ends; one that changes nothing is not."""
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
                self._left(error)
                raise
            self._before(action)
            try:
                given, step = (yield action), flow.send
            except Exception as error:  # noqa: BLE001 -- the flow decides what any failure means
                given, step = error, flow.throw
            else:
                self._after(action, given)

    def _before(self, action: do.Action) -> None:
        if isinstance(action, _CHANGES):
            self._changing = True
            if self._left_by:
                self._say(Occasion.TAKEN_UP, Tone.INFO, f"rollout of {self._version} taken up again", self._left_by)
                self._left_by = ""

    def _after(self, action: do.Action, given: Any) -> None:
        match action:
            case do.Inspect():
                self._kind = given.kind
                self._left_by = given.state.by if given.state and not action.any_state else ""
            case do.SaveState() if not given:  # or a pause stood in its way
                self._changing, self._left_by = True, ""
                self._turned(action.state)
            case do.Measure():
                self._looked(given.ask)
            case do.Foresee():
                self._foreseen(given)

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

    def _looked(self, ask: Ask | None) -> None:
        was, self._paused = self._paused, ask is not None and ask.wish is Wish.PAUSE
        if self._paused and not was:
            self._say(Occasion.PAUSED, Tone.WARNING, f"rollout of {self._version} paused", str(ask))

    def _foreseen(self, short: str) -> None:
        was, self._held = self._held, bool(short)
        if self._held and not was:
            self._say(Occasion.PAUSED, Tone.WARNING, f"rollout of {self._version} held before its next step", short)

    def _ended(self, outcome: do.Outcome) -> None:
        if not self._changing:
            return
        tone = _TONES.get(outcome.exit_code, Tone.WARNING)
        self._say(Occasion.ENDED, tone, f"{outcome.ending} {self._version}", outcome.reason)

    def _left(self, error: Exception) -> None:
        if not self._changing:
            return
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
                kind=self._kind,
            )
        )
