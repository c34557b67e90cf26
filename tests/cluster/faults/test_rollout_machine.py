"""Any order of commands, deaths and other people leaves a service as the model says: against a real control plane.

Hypothesis chooses the orders, the same ones in every run. The model knows which version the service has to have, and
which rollout was left by a run that died; everything else is checked after each command.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, integers
from tests.rollout_machine import FAILING, HEALTHY, HOW, LAPSED, SILENT, Killed, Mortal

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.lock import LeaseLock, holder_of
from quarterdeck_scripts.rollout.steering.asking import Asker
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.asks import Wish
from quarterdeck_scripts.rollout.steps.state import Direction, Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.session import Session
    from quarterdeck_scripts.rollout.steps.actions import Outcome, Situation

pytestmark = [pytest.mark.tools, pytest.mark.timeout(3600)]

ALL = os.environ.get("QUARTERDECK_FAULTS") == "all"
"""As in `make bench`."""

EXAMPLES, STEPS = (40 if ALL else 4), 8
"""Orders that are played, and commands in each: the four are about a minute."""

BITS = {"healthy", "failing", "died", "gone on with", "aborted", "undone", "refused"}
"""What the sample has to contain; with another Hypothesis it may need another size."""

BEHAVIOUR = {HEALTHY: {"rate": 4000.0}, FAILING: {"rate": 4000.0, "failing": 0.2}, SILENT: {"rate": 0.0}}

_REVISION = "deployment.kubernetes.io/revision"
"""Annotation in which the Deployment controller numbers the templates."""

ENDING = {HEALTHY: Ending.PROMOTED, FAILING: Ending.ROLLED_BACK, SILENT: Ending.INCONCLUSIVE}


@dataclass(frozen=True)
class Left:
    """A rollout whose run died."""

    image: str
    how: str


class Rollouts(RuleBasedStateMachine):
    """The service's rollouts, as commands make them and as the model has them."""

    opening: ClassVar[Any]
    """Opens the shop: the fixture's function."""
    played: ClassVar[set[str]] = set()
    """What happened in all orders together."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.shop = self._stack.enter_context(self.opening())
        # A version that nobody calls is given up after a minute of the shop's time.
        self.shop.catalogue = self.shop.catalogue.replace("max_wait: 5m", "max_wait: 1m")
        self.stable = "localhost/checkout:v1"
        self.undoes_to = ""
        """What an undo brings back; empty when it would bring nothing back."""
        self.left: Left | None = None
        self.versions = 1
        self.begun = 0
        self.lapsing = False
        """Whether the lock is one of a run that died at the very end: nobody goes on, so nobody gives it back."""
        self.rivalled = self.paused = False
        """Whether somebody else was at it already, and a rollout was paused: once in an order is enough."""

    def teardown(self) -> None:
        """Check the audit log once, and close the shop."""
        with self._stack:
            assert self.shop.session().audit().verify().broken is None

    # What people do

    @precondition(lambda self: not self.left)
    @rule(how=HOW)
    def roll_out(self, how: str) -> None:
        """A version is rolled out, and ends as it serves."""
        image = self._fresh(how)

        self._ended(image, ENDING[how], self._start(self.shop.session(), image))
        self._played(how)

    @precondition(lambda self: not self.left)
    @rule(how=HOW, change=integers(0, 6), before=booleans())
    def roll_out_and_die(self, how: str, change: int, *, before: bool) -> None:
        """The run of a rollout dies before or after one of its changes."""
        image, session = self._fresh(how), self.shop.session()
        mortal: Any = Mortal(connect(self.shop.through), change, before=before, ours=("/deployments",))
        session = replace(session, environment=replace(session.environment, cluster=mortal))
        try:
            self._ended(image, ENDING[how], self._start(session, image))
        except Killed:
            self._played("died")
            self.left = Left(image, how)
            FakeClock.sleep(self.shop.clock, LAPSED)

    @precondition(lambda self: self.left)
    @rule()
    def go_on(self) -> None:
        """Whoever types the command again comes to the end that it would have had."""
        left = self.left
        assert left is not None
        if not self._is_over(left):
            self._ended(left.image, ENDING[left.how], self._start(self.shop.session(), left.image))
            self._played("gone on with")

    @precondition(lambda self: self.left)
    @rule()
    def abort(self) -> None:
        """Everything is put back, also a promotion that had begun."""
        left = self.left
        assert left is not None
        if not self._is_over(left):
            session = self.shop.session()
            plan = session.plan(left.image, session.view().inspect(any_state=True))
            outcome, _ = session.run(flow.abort(plan), session.record(plan))
            self._ended(left.image, Ending.ABORTED, outcome)
            self._played("aborted")

    @precondition(lambda self: self.left and self.left.how != FAILING)
    @rule()
    def promote(self) -> None:
        """What was asked for while nobody ran it is taken by whoever goes on, if nothing was decided before."""
        left = self.left
        assert left is not None
        if self._is_over(left):
            return
        session = self.shop.session()
        state = session.view().inspect().state
        undecided = state is not None and state.direction is Direction.UNDECIDED
        if undecided:
            self._ask(session, Wish.PROMOTE)
        expected = Ending.PROMOTED if undecided else ENDING[left.how]
        self._ended(left.image, expected, self._start(session, left.image))
        self._played("promoted as asked" if undecided else "promoted")

    @precondition(lambda self: self.left and not self.paused)
    @rule()
    def pause_and_resume(self) -> None:
        """A pause that is lifted leaves nothing."""
        self._played("pause and resume")
        session = self.shop.session()
        state = session.view().inspect().state
        if state is not None and state.direction is Direction.UNDECIDED:
            self._ask(session, Wish.PAUSE)
            self._ask(session, None)
            self.paused = True

    @precondition(lambda self: self.undoes_to and not self.left)
    @rule()
    def undo(self) -> None:
        """The version before the last promotion comes back."""
        session = self.shop.session()
        plan = session.plan("", session.view().inspect())
        outcome, _ = session.run(flow.undo(plan), session.record(plan))

        assert outcome.ending is Ending.UNDONE
        self.stable, self.undoes_to, self.lapsing = self.undoes_to, "", False
        self._played("undone")

    @precondition(lambda self: not self.rivalled)
    @rule()
    def begin_while_another_is_at_it(self) -> None:
        """It is refused with the other's name, and nothing is changed."""
        self._played("refused")
        self.rivalled = True
        session = self.shop.session()
        other = LeaseLock(session.environment.cluster, "shop", "checkout", holder="ben@shore", clock=self.shop.clock)
        other.acquire()
        before = self._asked_for()
        image = self.left.image if self.left else f"localhost/checkout:v{self.versions + 1}"
        try:
            with pytest.raises(RefusedError, match="held by ben@shore"):
                self._start(session, image)
        finally:
            other.release()
            self.lapsing = False
        assert self._asked_for() == before

    # What always holds

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        """One version, and nothing beside it; or what a run that died may leave."""
        stable = self.shop.deployment()
        annotations = stable["metadata"].get("annotations") or {}
        image = stable["spec"]["template"]["spec"]["containers"][0]["image"]
        assert stable["spec"]["replicas"] == 3
        assert self.shop.deployments() in (["checkout"], ["checkout", "checkout-canary"])
        made = sum(each.name.startswith("POST deployments") and each.status == 201 for each in self.shop.proxy.changes)
        assert made <= self.begun
        assert ROLLOUT_ASK not in annotations
        if self.left:
            assert image in {self.stable, self.left.image}
            return
        assert image == self.stable
        assert self.shop.images() == [self.stable] * 3
        assert self.shop.deployments() == ["checkout"]
        assert ROLLOUT_STATE not in annotations
        assert bool(holder_of(self.shop.cluster, "shop", "checkout").name) == self.lapsing

    # How

    def _asked_for(self) -> tuple[Any, ...]:
        """Return what people and commands say of the Deployment; its status is the controllers', who may be at it."""
        stable = self.shop.deployment()
        metadata = stable["metadata"]
        notes = {key: each for key, each in (metadata.get("annotations") or {}).items() if key != _REVISION}
        return stable["spec"], metadata["labels"], notes

    def _played(self, what: str) -> None:
        self.played.add(what)

    def _fresh(self, how: str) -> str:
        self.versions += 1
        self.begun += 1
        image = f"localhost/checkout:v{self.versions}"
        self.shop.behave(image, **BEHAVIOUR[how])
        return image

    def _start(self, session: Session, image: str) -> Outcome:
        plan = session.plan(image, session.view().inspect())
        outcome, _ = session.run(flow.start(plan), session.record(plan))
        return outcome

    def _ask(self, session: Session, wish: Wish | None) -> None:
        environment = session.environment
        asker = Asker(environment.cluster, environment.cluster_uid, session.view(), session.clock, session.actor)
        stable, state, _ = asker.rollout()
        asker.write(stable, asker.wished(wish, "", state), "", session.audit())

    def _ended(self, image: str, expected: Ending, outcome: Outcome) -> None:
        assert outcome.ending is expected, outcome.reason
        self._settle_model(image, promoted=expected is Ending.PROMOTED)
        self.lapsing = False

    def _is_over(self, left: Left) -> bool:
        """Return whether the run that died had not begun, or was through: there is nothing to go on with."""
        situation: Situation = self.shop.session().view().inspect()
        if situation.state is not None or situation.canary_image is not None:
            return False
        promoted = situation.stable_image == left.image
        assert not promoted or left.how == HEALTHY
        self._settle_model(left.image, promoted=promoted)
        self.lapsing = True
        return True

    def _settle_model(self, image: str, *, promoted: bool) -> None:
        self.left = None
        if promoted:
            self.undoes_to, self.stable = self.stable, image


def test_any_order_of_commands_leaves_what_it_should(shop: Callable[[], Any]) -> None:
    """Rollouts that pass, fail or learn nothing, deaths, resumptions, aborts, undos, pauses, promotions, rivals."""

    class Here(Rollouts):
        opening = staticmethod(shop)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert Here.played >= (BITS | {SILENT, "promoted as asked"} if ALL else BITS)
