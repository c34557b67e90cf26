"""`quarterdeck rollout watch`, `history` and `report`: what others see of a rollout, and what is known of past ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.rollouts import Killed

from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.looking.watching import End, Watched, watch
from quarterdeck_scripts.rollout.session import Session
from quarterdeck_scripts.rollout.status import RolloutStatus
from quarterdeck_scripts.rollout.steps.state import Direction, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

START = ["rollout", "start", "checkout", "--image", V2, "--yes"]


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the commands speaking to it instead of an environment."""
    monkeypatch.setattr(Session, "open", lambda _, service: world.session(service))
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
    return world


@pytest.fixture
def told(typed: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that types `rollout history` and returns what it says."""

    def history() -> list[dict[str, Any]]:
        capsys.readouterr()
        assert cli.run(["rollout", "history", "checkout", "--output", "json"]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found

    del typed
    return history


def die() -> None:
    """Kill the run that waits."""
    raise Killed


class TestHistory:
    def test_every_rollout_is_told_with_its_end(self, typed: Any, told: Any) -> None:
        """The newest first: failed, promoted, undone; another machine knows them as well."""
        typed.behave(V2, failing=0.05)
        assert cli.run(START) == 1
        typed.behave(V2, failing=0.0)
        typed.pass_time(60)
        assert cli.run(START) == 0
        typed.pass_time(60)
        assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 0
        typed.folder = typed.folder.parent / "another machine"
        (typed.folder / "local").mkdir(parents=True)

        undone, promoted, failed = sorted(told(), key=lambda each: each["ended"], reverse=True)

        assert (undone["ending"], undone["image"], undone["origin"]) == ("undone", V2, V1)
        assert (promoted["ending"], promoted["image"], promoted["origin"]) == ("promoted", V2, V1)
        assert failed["ending"] == "rolled back"
        assert failed["reason"].startswith("Availability: the canary failed")
        assert failed["by"] == "anna@bridge"

    def test_one_under_way_has_no_end(self, typed: Any, told: Any) -> None:
        """And has one once it was aborted."""
        typed.at_time[36] = die
        with pytest.raises(Killed):
            cli.run(START)
        typed.pass_time(31)
        (before,) = told()
        assert cli.run(["rollout", "abort", "checkout", "--yes"]) == 0
        (after,) = told()

        assert (before["ending"], before["ended"]) == ("", "")
        assert (after["ending"], after["id"]) == ("aborted", before["id"])
        assert after["ended"]

    def test_a_service_without_a_past_has_none(self, told: Any) -> None:
        """That is no error."""
        assert told() == []

    def test_it_reads_as_lines(self, typed: Any, told: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """Versions, end, who, how long, why."""
        assert cli.run(START) == 0
        (promoted,) = told()
        began, ended = (datetime.fromisoformat(promoted[each]) for each in ("began", "ended"))
        minutes = max(0.0, (ended - began).total_seconds() / 60)  # by the audit log, whose clock is real

        assert cli.run(["rollout", "history", "checkout"]) == 0

        first, second, third = capsys.readouterr().out.splitlines()
        assert first.endswith(f"  checkout  {V1} → {V2}  promoted")
        assert f", by anna@bridge, {minutes:.0f} min" in second
        assert third.startswith("    Availability: the canary failed 0 of")
        del typed


class TestReport:
    def test_past_rollouts_are_one_page(self, typed: Any, tmp_path: Path) -> None:
        """From the records on this machine."""
        assert cli.run(START) == 0

        assert cli.run(["rollout", "report", "checkout", "--out", str(tmp_path / "a" / "page.html")]) == 0

        page = (tmp_path / "a" / "page.html").read_text()
        assert page.startswith("<!doctype html>")
        assert "promoted" in page
        del typed

    def test_what_other_machines_ran_is_named_beside_the_page(
        self, typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """From the log in the cluster, which a lost laptop does not take along; nothing is said where all is there."""
        assert cli.run(START) == 0
        assert cli.run([*START[:-2], "localhost/checkout:v3", "--yes"]) == 0
        report = ["rollout", "report", "checkout", "--out", str(tmp_path / "page.html")]
        capsys.readouterr()
        assert cli.run(report) == 0
        assert "Not on the page" not in capsys.readouterr().err
        (lost,) = (typed.folder / "local" / "rollouts").glob("checkout-v3-*.json")
        lost.unlink()

        assert cli.run(report) == 0

        assert f"Not on the page: {lost.stem} (by anna@bridge). Their records are on " in capsys.readouterr().err

    def test_a_record_that_is_elsewhere_is_named(
        self, typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And who ran it is a command away; what cannot be read is not taken for it."""
        assert cli.run(START) == 0
        (typed.folder / "local" / "rollouts" / "other.json").write_text("{}")

        command = ["rollout", "report", "checkout", "--id", "other", "--out", str(tmp_path / "page.html")]
        assert cli.run(command) == 2

        assert "the record of other in" in capsys.readouterr().err
        assert not (tmp_path / "page.html").exists()


STATE = State("checkout-v2-1", "uid", V2, V1, "anna@bridge", "2026-11-22T10:00:00+00:00")


def seen(state: State | None = STATE, holder: str = "anna@bridge", renewed: str = "1", progress: str = "") -> Any:
    """Return one look at the service."""
    return RolloutStatus("checkout", None, None, state, holder, progress=progress, renewed=renewed)


class Looks:
    """Answers with one look after the other; the last one for ever."""

    def __init__(self, *looks: Any) -> None:
        self._looks = list(looks)

    def __call__(self) -> RolloutStatus:
        """Return the next look, or fail as it says."""
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(look, Exception):
            raise look
        found: RolloutStatus = look
        return found


class TestWatch:
    def test_it_is_followed_to_its_end(self) -> None:
        """What changes is shown once."""
        shown: list[str] = []
        forward = seen(replace(STATE, direction=Direction.FORWARD), renewed="3", progress="Promote")
        looks = Looks(seen(progress="Judge"), seen(progress="Judge", renewed="2"), forward, seen(None, ""))

        assert watch(looks, FakeClock(), shown.append) == Watched(STATE.id, End.OVER)

        assert shown == ["undecided; Judge", "forward; Promote"]

    def test_another_rollout_that_follows_is_not_it(self) -> None:
        """It ended, and somebody began the next one."""
        looks = Looks(seen(), seen(replace(STATE, id="checkout-v3-1")))

        assert watch(looks, FakeClock(), print) == Watched(STATE.id, End.OVER)

    def test_none_is_none(self) -> None:
        """There is nothing to wait for."""
        assert watch(Looks(seen(None, "")), FakeClock(), print) == Watched("", End.NONE)

    @pytest.mark.parametrize(("holder", "after"), [("anna@bridge", 30), ("", 5)])
    def test_one_that_nobody_runs_is_not_followed_for_ever(self, holder: str, after: float) -> None:
        """A lock that is not renewed before our eyes belongs to nobody, whatever time it says."""
        clock = FakeClock()
        began = clock.monotonic()

        assert watch(Looks(seen(holder=holder, renewed="1" if holder else "")), clock, print) == Watched(
            STATE.id, End.ABANDONED
        )

        assert clock.monotonic() - began == after

    def test_a_silent_api_server_is_asked_again(self) -> None:
        """For a minute; a shorter gap is no end."""
        silence = UnreachableError("an answer", "a timeout", "try again")
        gap = [silence] * 8

        assert watch(Looks(seen(), *gap, seen(None)), FakeClock(), print).end is End.OVER
        with pytest.raises(UnreachableError):
            watch(Looks(seen(), silence), FakeClock(), print)

    def test_its_exit_code_is_the_rollouts(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """Typed when nobody runs it, it says what can be done."""
        typed.at_time[36] = die
        with pytest.raises(Killed):
            cli.run(START)

        assert cli.run(["rollout", "watch", "checkout"]) == 3

        assert "`quarterdeck rollout resume checkout` goes on with it" in capsys.readouterr().err
