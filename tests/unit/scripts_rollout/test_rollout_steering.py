"""`quarterdeck rollout pause`, `resume`, `promote` and `retry`, as a person types them, whoever runs the rollout."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rollouts import Killed

from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.rollout.session import Session

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

START = ["rollout", "start", "checkout", "--image", V2, "--yes"]


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the commands speaking to it instead of an environment; rollouts have a minute."""
    world.catalogue = world.catalogue.replace("max_wait: 5m", "max_wait: 1m")
    monkeypatch.setattr(Session, "open", lambda _, service: world.session(service))
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
    return world


@pytest.fixture
def left(typed: Any) -> Any:
    """Return the world with a rollout to v2 whose run died while it judged, so long ago that its lock has lapsed."""

    def die() -> None:
        raise Killed

    typed.at_time[36] = die
    with pytest.raises(Killed):
        cli.run(START)
    typed.pass_time(31)
    assert ROLLOUT_STATE in typed.annotations()
    return typed


def run(world: Any, command: str, *more: str) -> int:
    """Type a command on `checkout` that is not asked about."""
    return cli.run(["rollout", command, "checkout", "--yes", *more])


class TestPause:
    def test_a_rollout_that_another_runs_is_held_and_let_go(
        self, typed: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Who runs it is named; what was asked is in the audit log, with its reason."""
        codes: list[int] = []
        typed.at_time[34] = lambda: codes.append(run(typed, "pause", "--why", "lunch"))
        typed.at_time[130] = lambda: codes.append(run(typed, "resume"))
        began = typed.clock.now()

        assert cli.run(START) == 0

        assert codes == [0, 0]
        assert typed.clock.now() - began > 90
        assert typed.images() == [V2] * 3
        out, err = capsys.readouterr()
        assert "checkout: paused, until `quarterdeck rollout resume checkout`. anna@bridge (pid " in out
        assert "checkout: resumed. anna@bridge (pid " in out
        assert "+ metadata.annotations: " in err or "+ metadata.annotations.quarterdeck.dev/rollout-ask: " in err
        told = [
            (entry.action, entry.why) for entry in typed.session().audit().verify().entries if entry.phase == "after"
        ]
        assert ("rollout: pause", "lunch") in told
        assert ("rollout: resume", "") in told

    def test_one_that_nobody_runs_is_held_by_whoever_goes_on(self, left: Any) -> None:
        """The pause stands in the cluster."""
        assert run(left, "pause") == 0
        left.at_time[left.clock.now() - left.begin + 90] = lambda: run(left, "promote", "--why", "enough")

        assert cli.run(START) == 0

        assert left.images() == [V2] * 3
        assert ROLLOUT_ASK not in left.annotations()

    def test_a_dry_run_asks_nothing(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """The server says what it would write."""
        before = left.deployment()

        assert cli.run(["rollout", "pause", "checkout", "--dry-run"]) == 0

        assert left.deployment() == before
        assert "quarterdeck.dev/rollout-ask" in capsys.readouterr().err

    @pytest.mark.parametrize("command", [["pause"], ["promote", "--why", "now"], ["resume"]])
    def test_without_a_rollout_there_is_nothing_to_ask(
        self, typed: Any, capsys: pytest.CaptureFixture[str], command: list[str]
    ) -> None:
        """It is refused, and nothing is written."""
        before = typed.deployment()

        assert cli.run(["rollout", command[0], "checkout", *command[1:], "--yes"]) == 4

        assert "expected a rollout of checkout under way" in capsys.readouterr().err.lower()
        assert typed.deployment() == before

    def test_a_rollout_that_is_decided_takes_nothing_more(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """It is being put back: a pause would come too late, and says so."""
        state = left.annotations()[ROLLOUT_STATE].replace('"undecided"', '"back"')
        body = {"metadata": {"annotations": {ROLLOUT_STATE: state}}}
        left.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)

        assert run(left, "pause") == 4

        assert "it is being put back" in capsys.readouterr().err
        assert ROLLOUT_ASK not in left.annotations()


class TestGoingOn:
    def test_resume_goes_on_where_nobody_runs_it(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """No image has to be named."""
        assert run(left, "pause") == 0
        assert run(left, "resume") == 0

        assert left.images() == [V2] * 3
        assert "checkout: promoted" in capsys.readouterr().out

    def test_promote_goes_on_and_waits_for_no_verdict(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """The reason given is the rollout's, and no Prometheus is needed."""
        left.scraping = False
        left.pass_time(120)

        assert run(left, "promote", "--why", "seen by hand") == 0

        assert left.images() == [V2] * 3
        assert "seen by hand" in capsys.readouterr().out

    def test_a_dry_run_goes_on_with_nothing(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """Neither the pause is lifted nor the rollout taken up; the pause is where it would wait."""
        run(left, "pause")
        before = left.deployment()

        assert run(left, "resume", "--dry-run") == 0

        assert left.deployment() == before
        assert "  Wait: pause asked for by anna@bridge" in capsys.readouterr().err


class TestRetry:
    def test_what_was_rolled_back_is_rolled_out_again(self, typed: Any) -> None:
        """To the same version, which any machine reads in the audit log."""
        typed.behave(V2, failing=0.05)
        assert cli.run(START) == 1
        typed.behave(V2, failing=0.0)
        typed.folder = typed.folder.parent / "another machine"
        (typed.folder / "local").mkdir(parents=True)
        typed.pass_time(60)

        assert run(typed, "retry") == 0

        assert typed.images() == [V2] * 3

    def test_what_was_promoted_is_not(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """There is nothing to try again."""
        assert cli.run(START) == 0

        assert run(typed, "retry") == 4
        assert f"{V2}, promoted 20" in capsys.readouterr().err

    def test_what_is_under_way_is_gone_on_with_instead(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """It was never given up."""
        assert run(left, "retry") == 4
        assert "run `quarterdeck rollout resume checkout`" in capsys.readouterr().err

    def test_without_a_past_there_is_nothing_to_retry(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """An image has to be named then."""
        assert run(typed, "retry") == 4
        assert "none in the audit log" in capsys.readouterr().err
