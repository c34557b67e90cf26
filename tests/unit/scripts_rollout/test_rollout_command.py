"""`quarterdeck rollout`, as a person types it, on a cluster in memory."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import MERGE_PATCH, UnreachableError, path
from quarterdeck_scripts.ports import Answer, FakePrometheus, Series
from quarterdeck_scripts.rollout import command, session
from quarterdeck_scripts.rollout.judge.record import RolloutRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

START = ["rollout", "start", "checkout", "--image", V2]


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the commands speaking to it instead of an environment."""
    monkeypatch.setattr(command, "_open", lambda *_: world.session())
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
    return world


def test_start_shows_the_plan_and_promotes(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan and the steps are messages; how it ended is the data."""
    assert cli.run([*START, "--yes"]) == 0

    out, err = capsys.readouterr()
    assert f"Plan: checkout from {V1} to {V2}" in err
    assert "availability: share of failed requests (5xx), at most 1.5 times stable's or 0.25 %" in err
    assert out.startswith("checkout: promoted\n  PASS         Availability: the canary failed 0 of")
    assert typed.images() == [V2] * 3


def test_a_fail_exits_1_with_the_record_as_json(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output json` is the whole record, and nothing else is on stdout."""
    typed.behave(V2, failing=0.05)

    assert cli.run([*START, "--yes", "--output", "json"]) == 1

    record = RolloutRecord.from_json(capsys.readouterr().out)
    assert record.ending == "rolled back"
    assert record.samples
    assert record.queries["requests"].startswith("http_server_request_duration_seconds_bucket{")


def test_a_canary_that_never_becomes_ready_is_no_success_on_the_screen(
    typed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its wait ends with a cross, its reason is a sentence, and the record is found without a search."""
    typed.controllers.faults[V2] = "ImagePullBackOff"

    assert cli.run([*START, "--yes"]) == 1

    out, err = capsys.readouterr()
    assert "✗ Wait until the canary pods are Ready: 0 of 1 pods Ready" in err
    assert "✓ Wait until the canary pods are Ready" not in err
    assert out.startswith("checkout: rolled back. The canary never became Ready: pod checkout-canary-")
    record = Path(out.split()[-1])
    assert RolloutRecord.from_json(record.read_text()).ending == "rolled back"


def test_start_writes_the_report(typed: Any, tmp_path: Path) -> None:
    """The page stands alone, in a folder that need not exist."""
    assert cli.run([*START, "--yes", "--report", str(tmp_path / "out" / "report.html")]) == 0

    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


def test_a_dry_run_changes_nothing(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The server is asked what it would do; the difference is shown."""
    before = typed.deployment()

    assert cli.run([*START, "--dry-run"]) == 0

    err = capsys.readouterr().err
    assert "  Create the canary: 1 of localhost/checkout:v2\n    + Deployment shop/checkout-canary\n" in err
    assert f"spec.containers[checkout].image: {V1} → {V2}" in err
    assert typed.deployment() == before
    assert typed.deployments() == ["checkout"]


def test_without_yes_and_terminal_nothing_is_changed(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can be asked, so it is refused after the plan."""
    assert cli.run(START) == 4
    assert "add --yes" in capsys.readouterr().err
    assert typed.deployments() == ["checkout"]


@pytest.mark.parametrize(
    ("image", "code", "said"),
    [(V1, 4, "does not run yet"), ("checkout", 2, "repository:version")],
)
def test_images_it_does_not_take(
    typed: Any, capsys: pytest.CaptureFixture[str], image: str, code: int, said: str
) -> None:
    """The one that runs already, and one without a version."""
    assert cli.run(["rollout", "start", "checkout", "--image", image, "--yes"]) == code
    assert said in capsys.readouterr().err


def test_a_missing_right_is_named_before_anything_is_changed(
    typed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Abort's verbs are asked for too."""
    real = typed.cluster.request

    def request(method: str, where: str, **options: Any) -> Any:
        answer = real(method, where, **options)
        if where.endswith("selfsubjectaccessreviews"):
            answer["status"] = {"allowed": options["body"]["spec"]["resourceAttributes"]["verb"] != "delete"}
        return answer

    monkeypatch.setattr(typed.cluster, "request", request)

    assert cli.run([*START, "--yes"]) == 4
    assert "not allowed to delete deployments in shop" in capsys.readouterr().err
    assert typed.deployments() == ["checkout"]


def _silent(*_: object) -> Answer:
    raise UnreachableError("an answer", "connection refused", "wait")


@pytest.mark.parametrize(
    ("prometheus", "code", "said"),
    [
        (FakePrometheus(_silent), 3, "connection refused"),
        (FakePrometheus(lambda *_: Answer(())), 3, "series of shop/checkout in Prometheus"),
        (FakePrometheus(lambda *_: Answer((Series({"contract_version": "0"}, ()),))), 4, "version 1 of the telemetry"),
    ],
)
def test_a_verdict_that_could_never_come_is_said_at_once(
    typed: Any, capsys: pytest.CaptureFixture[str], prometheus: FakePrometheus, code: int, said: str
) -> None:
    """Prometheus away, no series of the service, another contract: nothing is begun."""
    typed.prometheus = prometheus

    assert cli.run([*START, "--yes"]) == code
    assert said in capsys.readouterr().err
    assert typed.deployments() == ["checkout"]


def test_force_asks_nobody_for_evidence(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With Prometheus away the gate can still be passed by, and the plan says so."""
    typed.prometheus = FakePrometheus(_silent)

    assert cli.run([*START, "--yes", "--force", "the fix for the outage"]) == 0
    assert "passed by, no verdict: the fix for the outage" in capsys.readouterr().err
    assert typed.images() == [V2] * 3


def test_another_cluster_under_the_same_name_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An environment's name is bound to the cluster it was first used with."""
    assert cli.run([*START, "--yes"]) == 0
    (typed.folder / "local" / "cluster-uid").write_text("another\n")

    assert cli.run(["rollout", "start", "checkout", "--image", V1, "--yes"]) == 4
    assert "the environment local to be the cluster another" in capsys.readouterr().err


@pytest.fixture
def on_a_terminal() -> Iterator[None]:
    """Let the loss of a terminal end this process, as it does where nobody has said `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_puts_everything_back(
    typed: Any, capsys: pytest.CaptureFixture[str], signum: signal.Signals, code: int
) -> None:
    """Ctrl-C, SIGTERM and a lost terminal end with the stable version whole, the canary gone and the lock free."""
    typed.behave(V2, rate=1.0)
    typed.at_time[45.0] = lambda: signal.raise_signal(signum)

    assert cli.run([*START, "--yes"]) == code

    assert "everything is put back on the stable version first" in capsys.readouterr().err
    assert typed.images() == [V1] * 3
    assert typed.deployments() == ["checkout"]
    assert ROLLOUT_STATE not in typed.annotations()


def test_a_signal_while_everything_is_put_back_does_not_stop_that(typed: Any) -> None:
    """The way back is walked to its end."""
    typed.behave(V2, failing=0.5)
    real = typed.cluster.request
    asked: list[str] = []

    def request(method: str, where: str, **options: Any) -> Any:
        if method == "DELETE" and not asked:
            asked.append(where)
            signal.raise_signal(signal.SIGINT)
        return real(method, where, **options)

    typed.cluster.request = request

    assert cli.run([*START, "--yes"]) == 1
    assert asked
    assert typed.images() == [V1] * 3


def left_behind(world: Any) -> None:
    """Leave a canary as a killed run does."""
    where = world.session()
    stable = world.deployment()
    plan = where.plan(V2, where.view().inspect())
    body = {"metadata": {"annotations": {ROLLOUT_STATE: plan.new.to_annotation()}}}
    world.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)
    canary = session.workloads.canary_of(stable, V2, 1)
    world.cluster.request("POST", path("Deployment", "shop"), body=canary)


def test_abort_removes_what_a_killed_run_left(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it will do, does it, and exits 0."""
    left_behind(typed)

    assert cli.run(["rollout", "abort", "checkout", "--yes"]) == 0

    out, err = capsys.readouterr()
    assert f"remove the canary of {V2}; checkout stays on {V1}" in err
    assert out == "checkout: aborted. Aborted by anna@bridge\n"
    assert typed.images() == [V1] * 3
    assert cli.run(["rollout", "abort", "checkout", "--yes"]) == 0
    assert "No rollout of checkout is under way" in capsys.readouterr().err


@pytest.mark.parametrize("elsewhere", [False, True])
def test_abort_clears_a_state_that_is_no_use(
    typed: Any, capsys: pytest.CaptureFixture[str], *, elsewhere: bool
) -> None:
    """Unreadable, or another cluster's, and nothing else is left: then a rollout can begin."""
    where = typed.session()
    new = replace(where.plan(V2, where.view().inspect()).new, cluster="another")
    body = {"metadata": {"annotations": {ROLLOUT_STATE: new.to_annotation() if elsewhere else "{}"}}}
    typed.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)
    assert cli.run([*START, "--yes"]) == 4
    assert "rollout abort checkout" in capsys.readouterr().err

    assert cli.run(["rollout", "abort", "checkout", "--yes"]) == 0

    assert "take away what is noted of checkout's rollout" in capsys.readouterr().err
    assert ROLLOUT_STATE not in typed.annotations()
    assert cli.run([*START, "--yes"]) == 0


def test_an_abort_that_leaves_the_stable_version_broken_is_no_success(
    typed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was to go is gone, but pods of the version that stays are not Ready."""
    left_behind(typed)
    typed.controllers.faults[V1] = "CrashLoopBackOff"
    body = {"spec": {"replicas": 5}}
    typed.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)

    assert cli.run(["rollout", "abort", "checkout", "--yes"]) == 1

    assert "The stable version is not whole" in capsys.readouterr().out
    assert typed.deployments() == ["checkout"]


def test_a_rehearsed_abort_removes_nothing(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The server says what would go."""
    left_behind(typed)
    before = typed.deployments(), typed.deployment()

    assert cli.run(["rollout", "abort", "checkout", "--dry-run"]) == 0

    assert "  Remove the canary\n    - Deployment shop/checkout-canary\n" in capsys.readouterr().err
    assert (typed.deployments(), typed.deployment()) == before


def test_start_again_goes_on(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan says that it was begun before, and by whom."""
    left_behind(typed)

    assert cli.run([*START, "--yes"]) == 0
    assert "(go on with checkout-v2-" in capsys.readouterr().err
    assert typed.images() == [V2] * 3


def test_status_tells_both_sides_and_who_is_at_it(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """For a person, and as JSON."""
    assert cli.run(["rollout", "status"]) == 0
    assert capsys.readouterr().out == f"checkout\n  stable   {V1}, 3 of 3 pods Ready\n"
    left_behind(typed)

    assert cli.run(["rollout", "status", "checkout"]) == 0
    out = capsys.readouterr().out
    assert f"  canary   {V2}, 1 of 1 pods Ready" in out
    assert "nobody is running it: start it again to go on, or abort it" in out
    assert cli.run(["rollout", "status", "checkout", "--output", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["canary"]["image"], found["state"]["direction"], found["holder"]) == (V2, "undecided", "")


def test_undo_brings_the_previous_revision_back_once(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole template; a second undo does not bring the bad version back."""
    before = typed.deployment()["spec"]["template"]
    assert cli.run([*START, "--yes", "--force", "a test"]) == 0

    assert cli.run(["rollout", "undo", "checkout", "--dry-run"]) == 0
    assert f"spec.containers[checkout].image: {V2} → {V1}" in capsys.readouterr().err
    assert typed.images() == [V2] * 3
    assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 0
    assert typed.deployment()["spec"]["template"] == before
    assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 0
    assert "was rolled back already: from v2 to v1" in capsys.readouterr().err
    assert typed.images() == [V1] * 3


def test_undo_of_what_is_being_rolled_out_again_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Once it said that all was rolled back already, which was true of the rollout before."""
    assert cli.run([*START, "--yes", "--force", "a test"]) == 0
    assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 0
    session = typed.session()
    noted = session.plan(V2, session.view().inspect()).new.to_annotation()
    body = {"metadata": {"annotations": {"quarterdeck.dev/rollout": noted}}}
    typed.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)

    assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 4
    assert "no rollout of checkout under way" in capsys.readouterr().err


def test_undo_without_a_history_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to go back to."""
    assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 4
    assert "an earlier revision of checkout" in capsys.readouterr().err


def test_an_unknown_service_is_a_usage_error(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the services there are."""
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)

    assert cli.run(["rollout", "start", "chekout", "--image", V2]) == 2


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["checkout", "--image", "not an image!"], "Found 'not an image!'."),
        (["checkout", "--image", "not an image:v1"], "Found 'not an image:v1'."),
        (["checkout", "--image", V2, "--after", "checkout=cart"], "Found 'checkout=cart'."),
        (["a", "b", "--image", "a=a:v2", "--image", "b=b:v2", "--after", "b"], "Found 'b'."),
    ],
)
def test_what_is_no_image_or_order_is_refused_before_a_cluster_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: list[str], found: str
) -> None:
    """Whoever mistypes need not be able to reach one."""
    asked: list[object] = []
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *given: asked.append(given))

    assert cli.run(["rollout", "start", *line]) == 2
    assert found in capsys.readouterr().err
    assert asked == []
