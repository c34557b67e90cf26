"""However a version is let in, its evidence is kept before pods go, and leads to the same record again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.rollouts import Killed
from tests.unit.scripts_rollout.test_strategies_run import WAYS

from quarterdeck_scripts.rollout.acting.bundle import Bundle
from quarterdeck_scripts.rollout.analysis.now import Analysis
from quarterdeck_scripts.rollout.analysis.replay import judge_again
from quarterdeck_scripts.rollout.judge.verdict import Verdict
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


@pytest.fixture(params=["canary", *WAYS])
def world(request: pytest.FixtureRequest, make_world: Callable[..., Any]) -> Any:
    """Return a world for each way."""
    return make_world(**WAYS.get(request.param, {}))


def run(world: Any, steps: Callable[..., Any] = flow.start) -> tuple[Any, Path]:
    """Run a rollout of v2, or what *steps* says; return how it ended, and the folder of its bundle."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect(any_state=True))
    record = session.record(plan)
    outcome, _ = session.run(steps(plan), record)
    return outcome, session.records / record.id


@pytest.mark.parametrize("failing", [0.0, 0.05])
def test_it_is_judged_again_to_the_byte(world: Any, failing: float) -> None:
    """By track, by version, by time, against a baseline: what was told then is told again."""
    world.behave(V2, failing=failing)

    outcome, folder = run(world)

    assert outcome.ending is (Ending.ROLLED_BACK if failing else Ending.PROMOTED)
    assert judge_again(folder).to_json() == (folder / "record.json").read_text()


def test_a_failing_version_is_kept_before_it_goes(world: Any) -> None:
    """Its pods are in the last moment with pods of it, and so is what it was configured with otherwise."""
    world.behave(V2, failing=0.05)

    _, folder = run(world)

    moment = next(each for each in reversed(Bundle(folder).moments) if f"  {V2}  " in (each / "pods.txt").read_text())
    assert f"{V1} → {V2}" in (moment / "changes.txt").read_text()
    assert json.loads((moment / "about.json").read_text())["missing"] == ["logs: nobody here has them", TRACES]


TRACES = "traces.txt: the metrics' server knows none"


def test_an_abort_keeps_what_it_removes(world: Any) -> None:
    """It measures nothing itself: what the run before it was told stays, and leads to the same record."""

    def die() -> None:
        raise Killed

    world.behave(V2, rate=1.0)
    world.at_time[world.clock.now() - world.begin + 30] = die
    with pytest.raises(Killed):
        run(world)
    world.pass_time(31)

    outcome, folder = run(world, flow.abort)

    assert outcome.ending is Ending.ABORTED
    assert world.images() == [V1] * 3
    assert any(f"  {V2}  " in (each / "pods.txt").read_text() for each in Bundle(folder).moments)
    assert len(judge_again(folder).readings) > 1
    assert json.loads((folder / "later.json").read_text())["ending"] == "aborted"


def test_a_rollout_under_way_is_analysed(world: Any) -> None:
    """By somebody else, at any moment of it: here, at each change to the cluster while it is judged."""
    world.behave(V2, failing=0.05)
    found = []

    def look() -> None:
        analysis = Analysis(world.session())
        found.append(analysis.live())

    world.at_time[world.clock.now() - world.begin + 30] = look
    world.behave(V2, failing=0.0, rate=1.0)
    run(world)

    (record,) = found
    assessment = record.replay()
    assert assessment is not None
    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.causes == ()
    assert record.readings[-1].tallies[0].canary.requests > 0
    assert record.readings[-1].tallies[0].stable.requests > 0
