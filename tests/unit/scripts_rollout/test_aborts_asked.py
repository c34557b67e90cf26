"""`quarterdeck rollout abort` of a rollout that somebody else runs: that run puts everything back, and it waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.rollouts import Killed
from tests.turns import Beside

from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.rollout import beginning, going_back
from quarterdeck_scripts.rollout.acting.lock import LeaseLock
from quarterdeck_scripts.rollout.session import Session
from quarterdeck_scripts.rollout.steering.aborting import by_whoever_runs_it
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.asks import Ask, Wish
from quarterdeck_scripts.rollout.steps.state import Ending
from quarterdeck_scripts.rollout.steps.train import Member

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

START = ["rollout", "start", "checkout", "--image", V2, "--yes"]
ABORT = ["rollout", "abort", "checkout", "--yes", "--why", "pages at three"]


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the commands speaking to it instead of an environment."""
    monkeypatch.setattr(Session, "open", lambda _, service: world.session(service))
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
    return world


def aborted(world: Any, at: float) -> Beside:
    """Return an abort that is typed *at* so many seconds, on another terminal."""
    other = Beside(world, lambda: cli.run(ABORT))
    world.at_time[at] = other.begin
    return other


def is_as_it_was(world: Any) -> bool:
    """Return whether v1 serves alone, and nothing is left."""
    notes = {ROLLOUT_ASK, ROLLOUT_STATE} & set(world.annotations())
    return world.images() == [V1] * 3 and world.deployments() == ["checkout"] and not notes


def test_whoever_runs_it_puts_everything_back(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Both commands say so; the one that was interrupted is no success, and the log has who wanted it and why."""
    typed.behave(V2, rate=0.0)
    other = aborted(typed, 40)

    assert cli.run(START) == 130
    assert other.join() == 0

    assert is_as_it_was(typed)
    out, err = capsys.readouterr()
    assert "checkout: aborted by anna@bridge (pid " in out
    assert f", as asked; it runs {V1}." in out
    assert "Abort asked for by anna@bridge at " in out
    assert ": pages at three" in out
    assert "Have anna@bridge (pid " in err
    assert ("rollout: abort", "pages at three") in [
        (entry.action, entry.why) for entry in typed.session().audit().verify().entries if entry.phase == "after"
    ]


def test_it_is_heard_while_pods_are_waited_for(typed: Any) -> None:
    """Nobody waits until they are given up."""
    typed.controllers.asleep = True
    other = aborted(typed, 34)
    typed.at_time[40] = lambda: setattr(typed.controllers, "asleep", False)

    assert cli.run(START) == 130
    assert other.join() == 0

    assert is_as_it_was(typed)
    assert typed.clock.now() - typed.begin < 60


def test_it_is_heard_while_the_version_is_promoted(typed: Any) -> None:
    """Until the last pods are there, the promotion is taken back."""

    def fall_asleep(cluster: Any, changed: Any) -> None:
        spec = changed.get("spec") or {}
        image = ((spec.get("template") or {}).get("spec") or {}).get("containers", [{}])[0].get("image")
        if changed.get("kind") == "Deployment" and changed["metadata"]["name"] == "checkout" and image == V2:
            typed.controllers.asleep = True
            wake = typed.clock.now() - typed.begin
            typed.at_time[wake + 1] = other.begin
            typed.at_time[wake + 8] = lambda: setattr(typed.controllers, "asleep", False)
            typed.cluster._reactor = typed.controllers
        typed.controllers(cluster, changed)

    other = Beside(typed, lambda: cli.run(ABORT))
    typed.cluster._reactor = fall_asleep

    assert cli.run(START) == 130
    assert other.join() == 0

    assert is_as_it_was(typed)


def test_a_freeze_does_not_drown_it(typed: Any) -> None:
    """What is held is put back all the same."""
    body = {
        "metadata": {"name": "quarterdeck-environment", "annotations": {"quarterdeck.dev/stop-the-line": "unreadable"}}
    }
    typed.at_time[33] = lambda: typed.cluster.request("POST", path("ConfigMap", "quarterdeck"), body=body)
    other = aborted(typed, 60)

    assert cli.run(START) == 130
    assert other.join() == 0

    assert is_as_it_was(typed)


def test_a_run_that_dies_after_it_was_asked_is_taken_over(typed: Any) -> None:
    """Whoever waits sees that nobody is at it any more, and does it."""

    def die() -> None:
        raise Killed

    typed.at_time[36] = die
    with pytest.raises(Killed):
        cli.run(START)

    assert cli.run(ABORT) == 0

    assert is_as_it_was(typed)


def test_a_run_that_does_not_listen_is_named(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked stands, and the way that needs nobody is said."""

    def die() -> None:
        raise Killed

    typed.at_time[36] = die
    with pytest.raises(Killed):
        cli.run(START)
    typed.pass_time(31)
    session = typed.session()
    deaf = LeaseLock(session.environment.cluster, "shop", "checkout", holder="ben@shore", clock=typed.clock)
    deaf.acquire()
    sleep = typed.clock.sleep

    def renewed(seconds: float) -> None:
        sleep(seconds)
        deaf.keep()

    typed.clock.sleep = renewed

    assert cli.run(ABORT) == 4

    assert "Next: look at `quarterdeck rollout status`: what was asked stands" in capsys.readouterr().err
    assert '"wish":"abort"' in typed.annotations()[ROLLOUT_ASK]
    assert cli.run([*ABORT, "--take-over"]) == 0
    typed.clock.sleep = sleep
    assert is_as_it_was(typed)


def test_a_forced_promotion_is_stopped_before_it_begins(world: Any) -> None:
    """Also where nothing is looked at between the beginning and the promotion."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect(), "it is urgent")
    ask = Ask(Wish.ABORT, plan.new.id, "ben@shore", "2026-11-22T10:05:00+00:00", "no")
    steps = flow.start(plan)

    def asked() -> Any:
        body = {"metadata": {"annotations": {ROLLOUT_ASK: ask.to_annotation()}}}
        action = yield from _until_noted(steps)
        world.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)
        return (yield from _rest(steps, action))

    outcome, code = session.run(asked(), session.record(plan))

    assert (outcome.ending, code) == (Ending.INTERRUPTED, 130)
    assert is_as_it_was(world)


def _until_noted(steps: Any) -> Any:
    """Yield what *steps* ask for until the state is noted; return what comes next."""
    action = next(steps)
    while True:
        noted = type(action).__name__ == "SaveState"
        action = steps.send((yield action))
        if noted:
            return action


def _rest(steps: Any, action: Any) -> Any:
    """Yield *action* and what *steps* ask for then; return how they end."""
    step, given = steps.send, None
    while True:
        try:
            given, step = (yield action), steps.send
        except Exception as error:  # noqa: BLE001 -- the flow decides what any failure means
            given, step = error, steps.throw
        try:
            action = step(given)
        except StopIteration as stop:
            return stop.value


def test_all_that_go_together_are_put_back(world: Any) -> None:
    """Also those that are promoted already, while another one is at its turn."""
    head, _, service = world.catalogue.partition("  - name: checkout\n")
    calls = "    dependencies: [{name: payments}]\n"
    other = service.replace("checkout", "payments")
    world.catalogue = f"{head}  - name: checkout\n{calls}{service}  - name: payments\n{other}"
    world.deploy("payments", "localhost/payments:v1")
    world.pass_time(30)
    world.behave(V2, rate=0.0)

    def abort() -> int:
        return going_back.abort(
            lambda name: replace(world.session(name), actor="ben@shore"),
            ["payments"],
            yes=True,
            dry_run=False,
            take_over=False,
            elsewhere=lambda left: by_whoever_runs_it(left, ""),
        )

    def once_payments_is_promoted(seconds: float) -> None:
        passing(seconds)
        if "localhost/payments:v2" in world.images() and "checkout-canary" in world.deployments():
            world.clock.sleep = passing
            beside.begin()

    passing = world.clock.sleep
    beside = Beside(world, abort)
    world.clock.sleep = once_payments_is_promoted
    members = [Member("checkout", V2), Member("payments", "localhost/payments:v2")]

    outcome, code = beginning.carry_out(beginning.starts(world.session, members, (), ""))

    assert (outcome.ending, code) == (Ending.INTERRUPTED, 130)
    assert beside.join() == 0
    assert world.images() == [V1] * 3 + ["localhost/payments:v1"] * 3
    assert world.deployments() == ["checkout", "payments"]
