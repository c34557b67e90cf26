"""One command that steers a rollout: asks whoever runs it, or goes on with it where nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts import console
from quarterdeck_scripts.rollout import beginning
from quarterdeck_scripts.rollout.acting.lock import holder_of
from quarterdeck_scripts.rollout.checks import preflight
from quarterdeck_scripts.rollout.doing import Manner, roll_out
from quarterdeck_scripts.rollout.looking.history import past
from quarterdeck_scripts.rollout.steering.asking import Asker
from quarterdeck_scripts.rollout.steps.asks import Wish
from quarterdeck_scripts.rollout.steps.state import Direction, Ending, State
from quarterdeck_scripts.rollout.steps.train import Member, members_of

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.beginning import Open
    from quarterdeck_scripts.rollout.session import Session
    from quarterdeck_scripts.rollout.steps.asks import Ask


@dataclass(frozen=True)
class Steering:
    """Steers the rollout of one service."""

    open_session: Open
    service: str
    yes: bool
    """Nobody is asked."""
    dry_run: bool
    """Nothing is changed: the server says what it would do."""

    @cached_property
    def session(self) -> Session:
        """The service's."""
        return self.open_session(self.service)

    @cached_property
    def runner(self) -> str:
        """Who runs the rollout now, by the look of the lock; empty when nobody does."""
        try:
            self.session.lock().refuse_if_held()
        except RefusedError:
            return self._holder
        return ""

    @property
    def taken(self) -> str:
        """When what was asked will be taken."""
        if not self.runner:
            return "Nobody runs it: whoever goes on with it reads this first."
        return f"{self.runner} reads it at the next look, within {self.session.interval:g} s or so."

    def ask(self, wish: Wish, why: str) -> bool:
        """Ask for *wish*; return whether it was asked, and not only rehearsed.

        Raises:
            RefusedError: no rollout is under way, or it is decided already.
        """
        stable, state, present = self._asker.rollout()
        wanted = self._asker.wished(wish, why, state)
        if wanted and wanted.repeats(present):  # by a command that died after it
            wanted = present
        return self._write(stable, wanted, f"ask for {wish}", why)

    def lift_pause(self, why: str) -> bool:
        """Take a pause away, if there is one; return whether it was taken away.

        Raises:
            RefusedError: no rollout is under way.
        """
        state = self.session.view().inspect().state
        if state is not None and state.direction is not Direction.UNDECIDED:
            return False
        stable, _, ask = self._asker.rollout()
        if ask is None or ask.wish is not Wish.PAUSE:
            return False
        return self._write(stable, None, f"lift what was asked: {ask}", why)

    def go_on(self, output: str, *, agreed: bool = False) -> int:
        """Go on with the rollout, and all that goes with it; return the exit code.

        Args:
            output: `text` or `json`.
            agreed: whether a person has said yes already.

        Raises:
            QuarterdeckError: it is refused, or could not be brought to either end.
        """
        state = self._state()
        asked = [each for each in _members(state, self.service) if each.service == self.service]
        found = beginning.starts(self.open_session, asked, (), "")
        return roll_out(found, Manner(yes=self.yes or agreed, output=output, dry_run=self.dry_run))

    def retry(self, output: str, override: str) -> int:
        """Roll out again what was not promoted the last time; return the exit code.

        Raises:
            RefusedError: there is nothing of the kind.
        """
        session = self.session
        name, namespace = session.service.name, session.service.namespace
        state = session.view().inspect().state
        if state is not None:
            raise RefusedError(
                f"no rollout of {name} under way",
                f"one to {state.image}: {state.direction}",
                f"run `quarterdeck rollout resume {name}`, which goes on with it",
            )
        every = [each for each in past(session.audit().verify().entries, namespace, name) if each.id]
        last = next((each for each in every if each.ending != Ending.UNDONE), None)
        if last is None or last.ending == Ending.PROMOTED:
            raise RefusedError(
                f"a last rollout of {name} that was not promoted",
                "none in the audit log" if last is None else f"{last.image}, promoted {last.ended}",
                f"run `quarterdeck rollout start {name} --image IMAGE`",
            )
        members = members_of(last.train) or (Member(name, last.image),)
        names = [member.service for member in members]
        after = [f"{later}={earlier}" for earlier, later in pairwise(names)]
        found = beginning.starts(self.open_session, members, after, "")
        return roll_out(found, Manner(yes=self.yes, output=output, dry_run=self.dry_run, override=override))

    @cached_property
    def _asker(self) -> Asker:
        session = self.session
        environment = session.environment
        return Asker(environment.cluster, environment.cluster_uid, session.view(), session.clock, session.actor)

    @property
    def _holder(self) -> str:
        session = self.session
        return holder_of(session.environment.cluster, session.service.namespace, self.service).name or "somebody"

    def _state(self) -> State:
        state = self.session.view().inspect().state
        if state is None:
            raise RefusedError(
                f"a rollout of {self.service} under way", "none", f"see `quarterdeck rollout history {self.service}`"
            )
        return state

    def _write(self, stable: Json, ask: Ask | None, what: str, why: str) -> bool:
        session = self.session
        changes = self._asker.rehearse(stable, ask)
        console.say(f"Plan: {what}, of the rollout of {self.service}")
        console.say("\n".join(f"  {line}" for line in changes))
        if self.dry_run:
            return False
        environment = session.environment
        preflight.bind_cluster(session.folder, environment.name, environment.cluster_uid)
        console.confirm("Go ahead?", yes=self.yes)
        self._asker.write(stable, ask, why, session.audit())
        return True


def _members(state: State, service: str) -> tuple[Member, ...]:
    return members_of(state.train) or (Member(service, state.image),)
