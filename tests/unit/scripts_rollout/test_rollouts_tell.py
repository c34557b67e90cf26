"""Whole rollouts, by who is told of them: nobody can keep one from its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.notices.notice import Occasion
from quarterdeck_scripts.notices.ports import FakeListener
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

V2 = "localhost/checkout:v2"


def run(world: Any, listener: FakeListener) -> Ending:
    """Run `rollout start`, telling *listener*; return how it ended."""
    session = replace(world.session(), listeners=(listener,))
    plan = session.plan(V2, session.view().inspect())
    outcome, _ = session.run(flow.start(plan), session.record(plan))
    ending: Ending = outcome.ending
    return ending


def test_a_rollout_is_told_of_from_its_beginning_to_its_end(world: Any) -> None:
    """All is told when the command returns; the notices have its id."""
    listener = FakeListener()

    assert run(world, listener) is Ending.PROMOTED

    assert [notice.occasion for notice in listener.heard] == [Occasion.BEGAN, Occasion.PROMOTING, Occasion.ENDED]
    assert len({notice.run for notice in listener.heard}) == 1
    assert listener.heard[-1].title == "checkout: promoted v2 (local)"


def test_a_listener_that_fails_changes_nothing_but_is_named(world: Any, capsys: Any) -> None:
    """The rollout is promoted all the same; stderr says who does not know of it."""
    assert run(world, FakeListener(QuarterdeckError("it", "HTTP 403: no", "mend it"))) is Ending.PROMOTED

    said = capsys.readouterr()
    assert "the listener was not told “checkout: promoted v2 (local)”: HTTP 403: no" in said.err
    assert said.out == ""
