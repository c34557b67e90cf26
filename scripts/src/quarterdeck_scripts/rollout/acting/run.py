"""The thin loop: takes a flow's actions one by one to the hands, shows them, and writes them down."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.rollout.judge.record import Step
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps.state import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    from quarterdeck_scripts.ports import Clock
    from quarterdeck_scripts.rollout.acting.hands import Hands
    from quarterdeck_scripts.rollout.acting.stop import StopRequest
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

    class Shown(Protocol):
        """A step on the screen."""

        def update(self, detail: str) -> None:
            """Say where it stands."""
            ...

        def fail(self) -> None:
            """Say that it did not come true, which the flow deals with."""
            ...


_NEVER_LEFT = (do.KeepEvidence, do.ClearState, do.ReleaseLock)
"""What no request to stop keeps from being done: what evidence comes before decides whether that may be left, and with
the last two the end is reached already."""


class Runner:
    """Runs one flow to its end."""

    def __init__(
        self,
        *,
        hands: Hands,
        record: RolloutRecord,
        folder: Path,
        stop: StopRequest,
        clock: Clock,
        show: Callable[[str], AbstractContextManager[Shown]],
        tell: Callable[[str], None] = lambda _: None,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """*show* opens a step on the screen; *folder* is where the record is written.

        *tell* takes where the run stands, for those who look on from elsewhere. *begun* is called when the rollout is
        noted in the cluster, or before it is put back: from then on no file of this machine's keeps it from its end.
        """
        self._hands = hands
        self._record = record
        self._folder = folder
        self._stop = stop
        self._clock = clock
        self._show = show
        self._tell = tell
        self._begun = begun
        self.unsaved = ""
        """Why the record was not written the last time, for a person; empty when it was."""

    def run(self, flow: do.Flow) -> do.Outcome:
        """Run *flow* and return how it ended.

        Raises:
            QuarterdeckError: it could not be brought to either end; the record says how far it came.
        """
        try:
            outcome = self._steps(flow)
        except Exception as error:
            self._record.reason = self._record.reason or str(error)
            self._save()
            raise
        self._record.ending, self._record.reason = outcome.ending, outcome.reason
        self._record.ended = self._clock.now()
        self._save()
        return outcome

    def _save(self) -> None:
        """Write the record; a disk that takes nothing keeps nobody from the next step."""
        try:
            self._record.save(self._folder)
        except OSError as error:
            self.unsaved = f"The record was not kept: {error.strerror}: {self._folder}"
        else:
            self.unsaved = ""

    def _steps(self, flow: do.Flow) -> do.Outcome:
        action = _next(flow.send, None)
        while not isinstance(action, do.Outcome):
            title = action.title
            try:
                with self._step(title) as shown:
                    self._hands.tell = shown.update
                    # Looking and pausing are one step on the screen, however often they alternate.
                    while not isinstance(action, do.Outcome) and action.title == title:
                        answer = self._take(action)
                        if isinstance(answer, do.Waited) and not answer.ready:
                            shown.fail()
                        action = _next(flow.send, answer)
            except Exception as error:  # noqa: BLE001 -- the flow decides what any failure means
                action = _next(flow.throw, error)
        return action

    def _take(self, action: do.Action) -> Any:
        going_back = isinstance(action, do.SaveState) and action.state.direction is Direction.BACK
        if going_back or isinstance(action, do.RestoreStable):
            self._stop.shield()
            self._begun()
        if not isinstance(action, _NEVER_LEFT):
            self._stop.check()
        if isinstance(action, do.SaveState):
            self._record.reason = action.state.reason
        answer = self._hands.carry_out(action)
        if isinstance(action, do.SaveState):
            self._begun()
        return answer

    @contextmanager
    def _step(self, title: str) -> Iterator[Shown]:
        began, ticking = self._clock.now(), self._clock.monotonic()
        step = Step(at=began, seconds=0.0, title=title)
        self._record.steps.append(step)
        try:
            with self._show(title) as shown:
                self._tell(title)
                yield _Noting(shown, step, self._tell)
        finally:
            step.seconds = self._clock.monotonic() - ticking
            self._save()


def _next(resume: Callable[[Any], do.Action], value: object) -> do.Action | do.Outcome:
    """Resume a flow; return its next action, or how it ended."""
    try:
        return resume(value)
    except StopIteration as stop:
        outcome: do.Outcome = stop.value
        return outcome


class _Noting:
    """Passes a step's detail on, and keeps the last in the record."""

    def __init__(self, shown: Shown, step: Step, tell: Callable[[str], None]) -> None:
        self._shown = shown
        self._step = step
        self._tell = tell

    def update(self, detail: str) -> None:
        """Say where the step stands."""
        self._step.detail = detail
        self._shown.update(detail)
        self._tell(f"{self._step.title}: {detail}" if detail else self._step.title)

    def fail(self) -> None:
        """Say that it did not come true."""
        self._shown.fail()
