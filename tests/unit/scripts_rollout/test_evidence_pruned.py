"""Old bundles of evidence leave the disk, by number and by age; never one whose rollout has not ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.rollout.acting import pruning
from quarterdeck_scripts.rollout.steps import flow

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOW = 1_800_000_000.0
DAY = 86400.0


def bundle(folder: Path, name: str, days: float, ending: str = "promoted") -> Path:
    """Make a bundle and the record of its rollout, which ended so many *days* ago."""
    record = {"id": name, "ending": ending, "ended": NOW - days * DAY if ending else 0.0}
    (folder / f"{name}.json").write_text(json.dumps(record))
    made = folder / name
    (made / "1-promote").mkdir(parents=True)
    (made / "1-promote" / "pods.txt").write_text("pods")
    return made


def test_those_beyond_the_newest_go(tmp_path: Path) -> None:
    """By when their rollouts ended; the records stay."""
    made = [bundle(tmp_path, f"checkout-{number}", number) for number in range(pruning.MOST_BUNDLES + 2)]

    assert pruning.prune(tmp_path, NOW) == []

    assert [each.name for each in made if not each.exists()] == ["checkout-50", "checkout-51"]
    assert len(list(tmp_path.glob("*.json"))) == pruning.MOST_BUNDLES + 2


def test_old_ones_go_however_few(tmp_path: Path) -> None:
    """One of 91 days does, one of 89 does not."""
    young, old = bundle(tmp_path, "young", 89), bundle(tmp_path, "old", 91)

    pruning.prune(tmp_path, NOW)

    assert (young.exists(), old.exists()) == (True, False)


def test_what_has_not_ended_stays(tmp_path: Path) -> None:
    """Its rollout may be taken up again; so does what has no record, or one that nobody can read."""
    unfinished = bundle(tmp_path, "unfinished", 0, ending="")
    (tmp_path / "of a person").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn.json").write_text("{")

    pruning.prune(tmp_path, NOW + 10_000 * DAY)

    assert unfinished.exists()
    assert (tmp_path / "of a person").exists()
    assert (tmp_path / "torn").exists()


def test_one_that_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others go."""
    stuck, old = bundle(tmp_path, "stuck", 92), bundle(tmp_path, "old", 93)
    remove = pruning.shutil.rmtree

    def refuse(folder: Path) -> None:
        if folder == stuck:
            raise PermissionError(13, "Permission denied")
        remove(folder)

    monkeypatch.setattr(pruning.shutil, "rmtree", refuse)

    assert pruning.prune(tmp_path, NOW) == [f"An old bundle of evidence was not removed: Permission denied: {stuck}"]
    assert not old.exists()


def test_a_rollout_takes_old_ones_away_at_its_end(world: Any) -> None:
    """Its own is kept."""
    session = world.session()
    old = session.records / "checkout-old"
    session.records.mkdir(parents=True)
    record = {"id": "checkout-old", "ending": "promoted", "ended": world.clock.now() - 100 * DAY}
    (session.records / "checkout-old.json").write_text(json.dumps(record))
    old.mkdir()

    plan = session.plan("localhost/checkout:v2", session.view().inspect())
    session.run(flow.start(plan), session.record(plan))

    assert not old.exists()
    assert (session.records / plan.new.id / "record.json").is_file()
