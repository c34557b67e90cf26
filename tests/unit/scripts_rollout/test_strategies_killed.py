"""Each command, killed or taken over at any request that changes something: the next comes to the same end.

A fixed seed chooses a sample of the matrix. `QUARTERDECK_MATRIX=whole` runs all of it, with what changes the lock and
the audit log besides: `make bench` does.
"""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.scripts_rollout.mortal import MOMENTS, Overtaken, play
from tests.unit.scripts_rollout.scenes import SCENES, START, V1, V2, WAYS, edited, is_noted

from quarterdeck_contract.errors import EXIT_REFUSED
from quarterdeck_scripts import cli
from quarterdeck_scripts.rollout import session as session_
from quarterdeck_scripts.rollout.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.scripts_rollout.mortal import Scene

WHOLE = os.environ.get("QUARTERDECK_MATRIX") == "whole"

SEED, SAMPLE = 7, 40


class Waiting:
    """A courier that waits until everybody has heard a notice: when somebody hears it is no matter of threads."""

    def __init__(self, listeners: Any) -> None:
        self._listeners = listeners

    def tell(self, notice: Any) -> None:
        """Have every listener hear *notice*."""
        for each in self._listeners:
            each.hear(notice)

    def close(self) -> tuple[str, ...]:
        """Return nothing: everybody was told."""
        return ()


@pytest.fixture
def opened(make_world: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Scene]:
    """Return how a scene is opened: in a world and a folder of its own, to which the commands speak."""
    numbers = itertools.count()
    monkeypatch.setattr(session_, "Courier", Waiting)

    def open_scene(name: str) -> Scene:
        way, made = SCENES[name]
        world = make_world(**WAYS[way])
        folder = tmp_path / str(next(numbers))
        world.folder, world.actor = folder / ".quarterdeck", "anna@bridge"
        (world.folder / "local").mkdir(parents=True)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(Session, "open", lambda _, service: replace(world.session(service), actor=world.actor))
        monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
        if way == "configuration":
            edited(world)
        return made(world)

    return open_scene


def deaths() -> list[Any]:
    """Return every scene with every moment and all its changes, or a sample, each at one part of its changes."""
    whole = [(name, moment) for name in SCENES for moment in MOMENTS]
    if WHOLE:
        return [pytest.param(*each, None, marks=pytest.mark.timeout(3600), id=", ".join(each)) for each in whole]
    chosen = random.Random(SEED)  # noqa: S311 -- a sample, not a secret
    return [pytest.param(*each, chosen.random(), id=", ".join(each)) for each in chosen.sample(whole, SAMPLE)]


@pytest.mark.parametrize(("name", "moment", "part"), deaths())
def test_killed_at_any_change_it_comes_to_the_same_end(
    opened: Callable[[str], Scene],
    record_property: Callable[[str, object], None],
    name: str,
    moment: str,
    part: float | None,
) -> None:
    """Whoever goes on ends as if nothing had happened, and no change is made twice."""
    wanted = play(opened(name), whole=WHOLE)
    numbers = range(wanted.counted) if part is None else [int(part * wanted.counted)]
    record_property("points", len(numbers))

    wrong = {}
    for number in numbers:
        end = play(opened(name), number, moment, whole=WHOLE)
        if (end.observed, end.made, end.died) != (wanted.observed, wanted.made, True):
            wrong[number] = end

    assert wanted.counted
    assert not wrong, (wanted, wrong)


ABORT = ["rollout", "abort", "checkout", "--yes", "--take-over"]
STARTS = [name for name in SCENES if name.startswith("start, ")]
TAKEN = [(name, how) for name in STARTS for how in ("aborted", "gone on with")]


def overtaken() -> list[Any]:
    """Return every rollout with what somebody else does, at all its changes or, of a sample, at one."""
    if WHOLE:
        return [pytest.param(*each, None, marks=pytest.mark.timeout(3600), id=", ".join(each)) for each in TAKEN]
    chosen = random.Random(SEED)  # noqa: S311 -- likewise
    return [pytest.param(*each, chosen.random(), id=", ".join(each)) for each in chosen.sample(TAKEN, 8)]


@pytest.mark.parametrize(("name", "how", "part"), overtaken())
def test_what_whoever_was_taken_over_still_sends_changes_nothing(
    opened: Callable[[str], Scene], name: str, how: str, part: float | None
) -> None:
    """Its request was on its way when the lock was seen to be held, and arrives when somebody else is through.

    Before it is noted, a rollout is not there to be aborted, and goes on.
    """
    take_over(opened, name, how, part)


def test_a_copy_that_comes_to_be_when_its_rollout_is_over_is_deleted(opened: Callable[[str], Scene]) -> None:
    """Nobody would have dropped it before the next rollout."""
    take_over(opened, "start, configuration, bad", "gone on with", 0.0)


def take_over(opened: Callable[[str], Scene], name: str, how: str, part: float | None) -> None:
    """Take a scene over at each of its changes, or at one part of them, and require the end that it is to have."""
    scene = opened(name)
    before = scene.observed()
    wanted = play(scene, whole=False)
    numbers = range(1, wanted.counted) if part is None else [1 + int(part * (wanted.counted - 1))]

    wrong = {}
    for number in numbers:
        scene = opened(name)
        world = scene.world

        found = []

        def meanwhile(world: Any = world, scene: Scene = scene, found: list[bool] = found) -> None:
            mine, world.cluster, world.actor = world.cluster, world.cluster.behind, "ben@bridge"
            found.append(is_noted(world))
            if how == "gone on with":
                world.pass_time(45)
            code = cli.run(ABORT if how == "aborted" else START)
            world.cluster, world.actor = mine, "anna@bridge"
            assert code == (0 if how == "aborted" or "good" in name else 1)

        world.cluster = overtaken = Overtaken(world, number, meanwhile)
        code = scene.act()
        world.cluster = overtaken.behind
        end = before if how == "aborted" and found == [True] else wanted.observed
        refused = code == EXIT_REFUSED or how != "aborted" or found == [False]
        if scene.observed() != end or not refused:
            wrong[number] = code, found, scene.observed()

    assert not wrong, (before, wanted, wrong)


def died(opened: Callable[[str], Scene], name: str, number: int, moment: str) -> Scene:
    """Return a scene whose command has died at a change of the service's objects; its lock has lapsed."""
    scene = opened(name)
    end = play(replace(scene, go_on=lambda _: None), number, moment, whole=False)
    assert end.died
    return scene


def test_an_undo_that_died_before_it_freed_a_broken_pod_is_seen_to_its_end(opened: Callable[[str], Scene]) -> None:
    """A StatefulSet's controller would wait for that pod for ever; the template is restored already."""
    scene = died(opened, "undo what is broken, partition", 1, "before")
    assert scene.world.images() == [V1, V1, V2]

    assert scene.act() == 0

    assert scene.world.images() == [V1] * 3


def test_an_undo_that_died_before_it_dropped_its_copies_leaves_none(opened: Callable[[str], Scene]) -> None:
    """A later update that somebody else begins would be taken back to them, over what was edited since."""
    scene = died(opened, "undo, configuration", 2, "before")
    assert len(scene.world.session().view().served()) == 1

    assert scene.act() == 0

    assert scene.world.session().view().copies() == []


def test_what_was_asked_already_is_not_written_again(opened: Callable[[str], Scene]) -> None:
    """By a command that died before it said so: when it was asked, too, is as it was."""
    scene = died(opened, "pause, canary", 0, "after")
    before = scene.world.annotations()

    assert scene.act() == 0

    assert scene.world.annotations() == before


def test_whoever_goes_on_with_an_abort_that_died_walks_back_too(
    opened: Callable[[str], Scene], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with the command that began the rollout, which is no success then; the one who aborted it is named."""
    scene = opened("abort, canary")
    scene.world.actor = "ben@bridge"
    play(replace(scene, go_on=lambda _: None), 1, "before", whole=False)
    scene.world.actor = "anna@bridge"
    capsys.readouterr()

    assert cli.run(START) == 1

    assert scene.world.images() == [V1] * 3
    assert "checkout: aborted. Aborted by ben@bridge" in capsys.readouterr().out
