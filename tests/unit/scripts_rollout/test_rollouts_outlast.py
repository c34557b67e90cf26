"""What befalls the machine that runs a rollout, and what a server will not note: it comes to its end all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, path
from quarterdeck_scripts.rollout import command
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending
from quarterdeck_scripts.workspace import AUDIT

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the commands speaking to it instead of an environment."""
    monkeypatch.setattr(command, "_open", lambda *_: world.session())
    return world


def take_nothing(world: Any) -> None:
    """Let the disk take nothing more where records, evidence and the audit log's copy go."""
    for folder in (world.folder / "local" / "rollouts", AUDIT):
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("a file, so that nothing can be written below it")


def noted(world: Any) -> list[tuple[str, str, str]]:
    """Return phase, action and outcome of every entry of the cluster's audit log."""
    data = world.cluster.request("GET", path("ConfigMap", "quarterdeck", "quarterdeck-audit-000001"))["data"]
    entries = [json.loads(line) for _, line in sorted(data.items())]
    return [(entry["phase"], entry["action"], entry["outcome"]) for entry in entries]


def test_a_failing_version_is_put_back_from_a_full_disk(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Once a full disk ended the run where it was, and left the failing version to serve."""
    typed.behave(V2, rate=10.0, failing=0.02)
    typed.at_time[36.0] = lambda: take_nothing(typed)

    assert cli.run(["rollout", "start", "checkout", "--image", V2, "--yes"]) == 1

    err = capsys.readouterr().err
    assert typed.images() == [V1] * 3
    assert ROLLOUT_STATE not in typed.annotations()
    assert ("after", "rollout: delete canary", "done") in noted(typed)
    assert "Keep the evidence: not kept: " in err
    assert "Keep the evidence: as before" not in err
    assert "The record was not kept: File exists" in err
    assert "its copy in .quarterdeck/audit lacks the last entries: " in err


def test_an_abort_needs_no_disk(typed: Any) -> None:
    """Nor does it need a record, evidence, or a copy of the audit log: the cluster's has it."""
    plan = typed.session().plan(V2, typed.session().view().inspect())
    state = {"metadata": {"annotations": {ROLLOUT_STATE: plan.new.to_annotation()}}}
    typed.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=state, content_type=MERGE_PATCH)
    shutil.rmtree(typed.folder)
    typed.folder.write_text("a file, so that nothing can be written below it")

    assert cli.run(["rollout", "abort", "checkout", "--yes"]) == 0

    assert ROLLOUT_STATE not in typed.annotations()
    assert noted(typed)[-1] == ("after", "rollout: note", "done")


def test_nothing_begins_on_a_full_disk(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What is yet to begin waits until the audit log can be kept in both places."""
    take_nothing(typed)

    assert cli.run(["rollout", "start", "checkout", "--image", V2, "--yes"]) == 4

    assert "every change to be written to the audit log first, in the cluster and on disk" in capsys.readouterr().err
    assert typed.images() == [V1] * 3


def test_a_report_that_cannot_be_written_changes_no_ending(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Once it ended with a traceback and exit code 1, as if the version that was promoted had failed."""
    Path("taken").write_text("")

    argv = ["rollout", "start", "checkout", "--image", V2, "--yes", "--report", "taken/page.html"]
    assert cli.run(argv) == 0

    out, err = capsys.readouterr()
    assert "The report was not written: File exists: taken/page.html. `quarterdeck rollout report checkout --out" in err
    assert out.startswith("checkout: promoted")


class Unnoting:
    """A cluster that takes no note of a rollout that goes back, as where annotations have 256 KiB already."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or refuse."""
        if method == "PATCH" and '\\"direction\\":\\"back\\"' in json.dumps(options["body"]):
            raise ApiError(422, "Invalid", "metadata.annotations: Too long", method=method, path=where)
        return self._cluster.request(method, where, **options)


@pytest.mark.parametrize("failing", [0.0, 0.5])
def test_a_note_that_is_not_taken_keeps_nothing_from_going_back(world: Any, failing: float) -> None:
    """Once the canary was left to serve, because the direction could not be noted first. It says why it went back."""
    world.behave(V2, rate=40.0 if failing else 1.0, failing=failing)
    real, world.cluster = world.cluster, Unnoting(world.cluster)
    session, world.cluster = world.session(), real
    plan = session.plan(V2, session.view().inspect())

    outcome, _ = session.run(flow.start(plan), session.record(plan))

    assert outcome.ending is (Ending.ROLLED_BACK if failing else Ending.INCONCLUSIVE)
    assert "Too long" not in outcome.reason
    assert world.images() == [V1] * 3
    assert ROLLOUT_STATE not in world.annotations()
