"""Carries a train out: the thin loop that takes its steps one by one to the services' own flows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.rollout.acting.stop import StopRequest
from quarterdeck_scripts.rollout.steps import flow, train
from quarterdeck_scripts.rollout.steps.actions import Outcome
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.session import Session


class Together:
    """The services of one train, and the one request to stop that they share."""

    def __init__(self, parts: Mapping[str, tuple[Session, RolloutRecord]], *, take_over: bool = False) -> None:
        """*parts* are a session and a record for each service, in order; *take_over*: see `LeaseLock.acquire`."""
        self._parts = parts
        self._take_over = take_over
        self._stop = StopRequest()
        self._whole = True

    def roll_out(self, members: Sequence[train.Member], forced: str = "") -> tuple[Outcome, int]:
        """Roll all *members* out, or go on with that; return how it ended and the exit code.

        Raises:
            QuarterdeckError: it could not be brought to either end; the services' states say how far it came.
        """
        states = {service: session.view().inspect().state for service, (session, _) in self._parts.items()}
        return self._walk(train.run(members, states), tuple(map(str, members)), forced)

    def take_back(self, members: Sequence[train.Member], outcome: Outcome) -> tuple[Outcome, int]:
        """Put back all *members* that were begun, with *outcome*.

        Raises:
            QuarterdeckError: it could not be brought to an end.
        """
        return self._walk(train.take_back(members, outcome), tuple(map(str, members)), "")

    def finish(self, members: Sequence[train.Member], outcome: Outcome) -> tuple[Outcome, int]:
        """Clear what is noted of all *members*, which have come to their end, with *outcome*.

        Raises:
            QuarterdeckError: it could not be brought to an end.
        """
        return self._walk(train.finish(members, outcome), tuple(map(str, members)), "")

    def _walk(self, steps: train.Steps, together: tuple[str, ...], forced: str) -> tuple[Outcome, int]:
        answer: Outcome | RefusedError | None = None
        while True:
            try:
                step = steps.throw(answer) if isinstance(answer, RefusedError) else steps.send(answer)
            except StopIteration as end:
                outcome: Outcome = replace(end.value, whole=self._whole)
                return outcome, self._stop.exit_code(outcome)
            try:
                answer = self._take(step, together, forced)
            except RefusedError as refused:
                answer = refused

    def _take(self, step: train.Step, together: tuple[str, ...], forced: str) -> Outcome | None:
        session, record = self._parts[step.member.service]
        situation = session.view().inspect(any_state=not isinstance(step, train.RollOut))
        plan = session.plan(step.member.image, situation, forced, train=together)
        if situation.state is None:  # planned anew, later than its record was named
            plan = replace(plan, new=replace(plan.new, id=record.id))
        match step:
            case train.RollOut(member) if train.runs_already(member, {member.service: situation}):
                return Outcome(Ending.PROMOTED, f"{member.image} runs already.")
            case train.RollOut():
                return session.run(flow.start(plan), record, stop=self._stop)[0]
            case train.TakeBack(_, outcome) if situation.state is not None or situation.unusable:
                self._stop.shield()
                steps = flow.abort(plan) if situation.unusable else flow.take_back(plan, outcome)
                taken, _ = session.run(steps, record, take_over=self._take_over, stop=self._stop)
                self._whole = self._whole and taken.whole
            case _ if situation.state is None:
                return None
            case train.Finish():
                self._stop.shield()
                # People have been told how it ended.
                quiet = replace(session, listeners=())
                quiet.run(flow.finish(plan), record, take_over=self._take_over, stop=self._stop)
        return None
