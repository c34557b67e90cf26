"""A rollout may die at any change, or lose any answer: whoever runs it again comes to the same end."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.rollouts import Killed

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.rollout.acting.stop import StopRequest
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.actions import ClearState, Promote, ReleaseLock, SaveState
from quarterdeck_scripts.rollout.steps.state import Direction, Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.steps.actions import Action, Flow, Outcome

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

CHANGES = 6
"""Changes of Deployments in a rollout: note, create, note, promote or nothing, delete, clear."""


class Faulty:
    """A cluster with one fault at one change of a Deployment."""

    def __init__(self, cluster: Any, number: int, when: str, fault: Callable[[], BaseException]) -> None:
        """*when* is `before` or `after` the server carries out change *number*, counted from 0."""
        self._cluster, self._left, self._when, self._fault = cluster, number, when, fault
        self.struck = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or fail."""
        if method == "GET" or "/deployments" not in where:
            return self._cluster.request(method, where, **options)
        strikes, self._left = self._left == 0, self._left - 1
        if strikes and self._when == "before":
            self.struck = True
            raise self._fault()
        answer = self._cluster.request(method, where, **options)
        if strikes:
            self.struck = True
            raise self._fault()
        return answer


def begin(world: Any, image: str = V2) -> tuple[Any, Any]:
    """Prepare `rollout start` on *world*."""
    session = world.session()
    plan = session.plan(image, session.view().inspect())
    return session, plan


def end_state(world: Any) -> tuple[list[str], list[str], bool]:
    """Return what must not depend on how often a rollout died."""
    return world.images(), world.deployments(), ROLLOUT_STATE in world.annotations()


@pytest.mark.parametrize("failing", [0.0, 0.05])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(CHANGES))
def test_killed_at_any_change_it_comes_to_the_same_end(world: Any, number: int, when: str, failing: float) -> None:
    """Killed before or after any change, `start` again ends as if nothing had happened, and changes nothing twice."""
    world.behave(V2, failing=failing)
    real = world.cluster
    world.cluster = faulty = Faulty(real, number, when, Killed)
    session, plan = begin(world)
    steps = flow.start(plan)
    try:
        session.run(steps, session.record(plan))
    except Killed:
        world.cluster = real
        world.pass_time(31)
        situation = world.session().view().inspect()
        over = situation.state is None and situation.canary_image is None and (number, when) != (0, "before")
        if not over:
            session, plan = begin(world)
            session.run(flow.start(plan), session.record(plan))

    assert faulty.struck or (failing and number == CHANGES - 1)  # going back takes one change less
    assert end_state(world) == ([V1 if failing else V2] * 3, ["checkout"], False)
    creations = [where for method, where in real.requests if method == "POST" and where.endswith("/deployments")]
    assert len(creations) == 2  # the stable one, and the canary once


@pytest.mark.parametrize(
    "fault",
    [
        lambda: UnreachableError("an answer", "a timeout", "try again"),
        lambda: ApiError(503, "ServiceUnavailable", "busy"),
        lambda: ApiError(409, "Conflict", "modified"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(CHANGES))
def test_a_lost_answer_is_read_back(world: Any, number: int, when: str, fault: Any) -> None:
    """One failed or unanswered change does not end a rollout, nor is it made twice."""
    world.cluster = Faulty(world.cluster, number, when, fault)
    session, plan = begin(world)

    outcome, _ = session.run(flow.start(plan), session.record(plan))

    assert outcome.ending is Ending.PROMOTED
    assert end_state(world) == ([V2] * 3, ["checkout"], False)


def test_a_decision_made_before_the_kill_stands(world: Any) -> None:
    """A canary found bad is removed by the next command, not judged again."""
    world.behave(V2, failing=0.05)
    real = world.cluster
    world.cluster = Faulty(real, 3, "before", Killed)  # the canary's deletion
    session, plan = begin(world)
    with pytest.raises(Killed):
        session.run(flow.start(plan), session.record(plan))
    world.cluster = real
    world.behave(V2, failing=0.0)
    world.pass_time(31)

    session, plan = begin(world)
    record = session.record(plan)
    outcome, code = session.run(flow.start(plan), record)

    assert (outcome.ending, code) == (Ending.ROLLED_BACK, 1)
    assert "failed" in outcome.reason
    assert record.readings == []


def test_a_hotfix_deployed_while_nobody_ran_the_rollout_is_not_promoted_over(world: Any) -> None:
    """The canary was let in beside another version; going on is refused, and abort leaves the hotfix alone."""
    real = world.cluster
    world.cluster = Faulty(real, 1, "after", Killed)  # the creation of the canary
    session, plan = begin(world)
    with pytest.raises(Killed):
        session.run(flow.start(plan), session.record(plan))
    world.cluster = real
    world.pass_time(31)
    (container,) = world.deployment()["spec"]["template"]["spec"]["containers"]
    body = {"spec": {"template": {"spec": {"containers": [{**container, "image": "localhost/checkout:v1-1"}]}}}}
    real.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)

    session, plan = begin(world)
    with pytest.raises(RefusedError, match="v1-1, which somebody deployed meanwhile"):
        session.run(flow.start(plan), session.record(plan))
    session, plan = begin(world)
    session.run(flow.abort(plan), session.record(plan))

    assert end_state(world) == (["localhost/checkout:v1-1"] * 3, ["checkout"], False)


def test_abort_needs_no_stored_state(world: Any) -> None:
    """With the annotation lost, abort still finds the canary and removes it."""
    session, plan = begin(world)
    world.cluster, real = Faulty(world.cluster, 2, "before", Killed), world.cluster
    session, plan = begin(world)
    with pytest.raises(Killed):
        session.run(flow.start(plan), session.record(plan))
    world.cluster = real
    where = path("Deployment", "shop", "checkout")
    stable = real.request("GET", where)
    stable["metadata"]["annotations"].pop(ROLLOUT_STATE)
    real.request("PUT", where, body=stable)
    world.pass_time(31)

    session = world.session()
    situation = session.view().inspect(any_state=True)
    plan = session.plan(situation.canary_image or "", situation)
    outcome, code = session.run(flow.abort(plan), session.record(plan))

    assert (outcome.ending, code) == (Ending.ABORTED, 0)
    assert end_state(world) == ([V1] * 3, ["checkout"], False)


def test_abort_undoes_a_promotion_that_had_begun(world: Any) -> None:
    """Killed after the promotion, before the canary went: abort brings the whole previous template back."""
    before = world.deployment()["spec"]["template"]
    real = world.cluster
    world.cluster = Faulty(real, 4, "before", Killed)
    session, plan = begin(world)
    with pytest.raises(Killed):
        session.run(flow.start(plan), session.record(plan))
    world.cluster = real
    assert world.deployment()["spec"]["template"] != before
    world.pass_time(31)

    session = world.session()
    situation = session.view().inspect()
    plan = session.plan(V2, situation)
    session.run(flow.abort(plan), session.record(plan))

    assert world.deployment()["spec"]["template"] == before
    assert end_state(world) == ([V1] * 3, ["checkout"], False)


def test_another_image_is_refused_while_one_is_under_way(world: Any) -> None:
    """A rollout that died is finished or aborted before another one begins."""
    real = world.cluster
    world.cluster = Faulty(real, 2, "before", Killed)
    session, plan = begin(world)
    with pytest.raises(Killed):
        session.run(flow.start(plan), session.record(plan))
    world.cluster = real
    world.pass_time(31)

    session, plan = begin(world, "localhost/checkout:v3")
    with pytest.raises(RefusedError, match="no other rollout"):
        session.run(flow.start(plan), session.record(plan))


def meanwhile(steps: Flow, due: Callable[[Action], bool], act: Callable[[], object]) -> Flow:
    """Walk *steps*; others *act* right before the first that is *due* is carried out."""
    action, acted = next(steps), False
    while True:
        if due(action) and not acted:
            acted = True
            act()
        try:
            action = steps.send((yield action))
        except StopIteration as end:
            return cast("Outcome", end.value)


def _decides(action: Action) -> bool:
    return isinstance(action, SaveState) and action.state.direction is Direction.FORWARD


def _promotes(action: Action) -> bool:
    return isinstance(action, Promote)


def _clears(action: Action) -> bool:
    return isinstance(action, ClearState)


@pytest.mark.parametrize("due", [_decides, _promotes, _clears])
def test_whoever_is_taken_over_changes_nothing_more(world: Any, due: Callable[[Action], bool]) -> None:
    """An abort by somebody else, who took the lock over from the living, is not overwritten or promoted over."""
    session, plan = begin(world)
    seen: list[Any] = []

    def abort() -> None:
        theirs = replace(world.session(), actor="ben@bridge")
        back = theirs.plan(V2, theirs.view().inspect(any_state=True))
        seen.append(theirs.run(flow.abort(back), theirs.record(back), take_over=True)[0].ending)
        seen.append(end_state(world))

    with pytest.raises(RefusedError, match="took it over"):
        session.run(meanwhile(flow.start(plan), due, abort), session.record(plan))

    assert seen == [Ending.ABORTED, ([V1] * 3, ["checkout"], False)]
    assert end_state(world) == seen[1]


@pytest.mark.parametrize("last", [ClearState, ReleaseLock])
def test_a_stop_that_comes_when_all_is_done_changes_nothing(world: Any, last: type[Action]) -> None:
    """The version is promoted: the note and the lock go, and the exit code says that it was."""
    session, plan = begin(world)
    stop = StopRequest()
    steps = meanwhile(flow.start(plan), lambda action: isinstance(action, last), lambda: stop.ask(signal.SIGTERM))

    outcome, code = session.run(steps, session.record(plan), stop=stop)

    assert (outcome.ending, code) == (Ending.PROMOTED, 0)
    assert end_state(world) == ([V2] * 3, ["checkout"], False)
    session.lock().refuse_if_held()


def test_a_state_that_somebody_took_away_is_not_promoted(world: Any) -> None:
    """Whoever removed it wanted something else: nothing is decided for it, and abort finds the canary."""
    session, plan = begin(world)
    gone = {"metadata": {"annotations": {ROLLOUT_STATE: None}}}
    where = path("Deployment", "shop", "checkout")
    world.at_time[33.0] = lambda: world.cluster.request("PATCH", where, body=gone, content_type=MERGE_PATCH)

    with pytest.raises(RefusedError, match="somebody took it away"):
        session.run(flow.start(plan), session.record(plan))

    assert world.images() == [V1, V1, V1, V2]
