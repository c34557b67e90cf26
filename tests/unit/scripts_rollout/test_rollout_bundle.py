"""A rollout's evidence is kept before its pods go, in one folder that stands alone; and it never stops a rollout."""

from __future__ import annotations

import gzip
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.kube.client import UnreachableError, path
from quarterdeck_scripts.kube.logs import FakeLogs
from quarterdeck_scripts.kube.workloads import canary_of
from quarterdeck_scripts.ports import Exemplar
from quarterdeck_scripts.rollout import text
from quarterdeck_scripts.rollout.acting import bundle
from quarterdeck_scripts.rollout.acting.bundle import Bundle
from quarterdeck_scripts.rollout.acting.keeper import Keeper, keeping
from quarterdeck_scripts.rollout.acting.scene import Scene, Witness
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


class Tracing:
    """A Prometheus that keeps exemplars, too."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.asked: list[str] = []

    def query(self, promql: str, *, at: float | None = None) -> Any:
        """Answer as the world does."""
        return self._world.query(promql, at=at)

    def exemplars(self, selector: str, start: float, end: float) -> tuple[Exemplar, ...]:
        """Return one failed request."""
        self.asked.append(selector)
        assert start < end
        return (Exemplar({"http_route": "/pay", "http_response_status_code": "500"}, "0af7", 0.25, end),)


def rolled_out(world: Any) -> tuple[do.Outcome, RolloutRecord, Path]:
    """Run a rollout of v2 to its end; return how it ended, its record and its bundle's folder."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    record = session.record(plan)
    outcome, _ = session.run(flow.start(plan), record)
    return outcome, record, session.records / record.id


def everything(folder: Path) -> list[str]:
    """Return the names of all files in *folder*."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


SCENE = ["about.json", "changes.txt", "config-maps.json", "events.txt", "pods.json", "pods.txt", "workloads.json"]


def test_a_failed_canarys_evidence_is_kept_before_it_is_removed(world: Any) -> None:
    """The canary's pod is in it with its traces, and what the verdict was made of."""
    world.behave(V2, failing=0.05)
    world.prometheus = tracing = Tracing(world.prometheus)

    outcome, record, folder = rolled_out(world)

    assert outcome.ending is Ending.ROLLED_BACK
    assert everything(folder) == sorted(
        ["answers.jsonl.gz", "record.json", "report.html", *(f"1-restore/{name}" for name in [*SCENE, "traces.txt"])]
    )
    assert "checkout-canary" in (folder / "1-restore/pods.txt").read_text()
    assert f"image: {V1} → {V2}" in (folder / "1-restore/changes.txt").read_text()
    assert (folder / "1-restore/traces.txt").read_text().startswith("0af7  - /pay: 500 after 0.250 s")
    assert 'version="v2"' in tracing.asked[0]
    assert (folder / "record.json").read_text() == record.to_json()
    assert b"<svg" in (folder / "report.html").read_bytes()
    about = json.loads((folder / "1-restore/about.json").read_text())
    assert (about["moment"], about["rollout"], about["by"]) == ("restore", record.id, "anna@bridge")
    assert about["missing"] == ["logs: nobody here has them"]


def test_requests_without_a_trace_are_said(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that exports no spans has no exemplars: an empty file would look like a mistake."""
    world.behave(V2, failing=0.05)
    world.prometheus = Tracing(world.prometheus)
    monkeypatch.setattr(Tracing, "exemplars", lambda *_: ())

    _, _, folder = rolled_out(world)

    assert not (folder / "1-restore/traces.txt").exists()
    missing = json.loads((folder / "1-restore/about.json").read_text())["missing"]
    assert "traces.txt: no request that was counted names a trace" in missing


def test_the_last_line_says_where_it_is(world: Any) -> None:
    """A version's dots are part of the folder's name."""
    outcome, record, folder = rolled_out(world)

    assert text.ending(record, outcome, folder.parent / f"{record.id}.json").endswith(
        f"in all; its evidence is in {folder}, its record is {folder}.json"
    )


def test_a_promotion_keeps_what_it_replaces(world: Any) -> None:
    """Before the old pods go, and before the canary does; the second has the new ones."""
    _, record, folder = rolled_out(world)

    assert [each.name for each in Bundle(folder).moments] == ["1-promote", "2-remove"]
    assert (folder / "1-promote/pods.txt").read_text().count(f"  {V1}  ") == 3
    assert (folder / "2-remove/pods.txt").read_text().count(f"  {V2}  ") == 4
    assert [step.title for step in record.steps].count("Keep the evidence") == 2


def test_a_service_whose_pods_are_the_same_is_not_written_twice(world: Any) -> None:
    """Going back restores what was not promoted, then removes the canary: one moment is enough."""
    world.behave(V2, failing=0.05)

    _, record, folder = rolled_out(world)

    kept = [step.detail for step in record.steps if step.title == "Keep the evidence"]
    assert kept == [f"6 files in {folder}/1-restore; 2 things missing, see its about.json", f"as before, in {folder}"]


def test_logs_are_kept_as_bytes(world: Any) -> None:
    """A log in no encoding is evidence, too."""
    world.behave(V2, failing=0.05)
    (name,) = (pod["metadata"]["name"] for pod in world.pods()[:1])
    world.cluster.log = FakeLogs({(name, "checkout", False): b"\xff\xfe\x00\n"}).log
    for pod in world.pods():
        where = f"/api/v1/namespaces/shop/pods/{pod['metadata']['name']}/status"
        statuses = [{"name": "checkout", "restartCount": 0, "ready": True, "state": {"running": {}}}]
        status = {**pod["status"], "containerStatuses": statuses}
        world.cluster.request("PATCH", where, body={"status": status}, content_type="application/merge-patch+json")

    _, _, folder = rolled_out(world)

    assert (folder / f"1-restore/logs/{name}.checkout.log").read_bytes() == b"\xff\xfe\x00\n"


@pytest.mark.parametrize("trouble", ["no disk", "no answer", "a bug"])
def test_nothing_that_goes_wrong_with_it_stops_a_rollout(
    world: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trouble: str
) -> None:
    """A full disk, an API server that is silent to it, a mistake of ours: the canary is removed all the same."""
    world.behave(V2, failing=0.05)

    def fail(*_: object) -> Any:
        raise {
            "no disk": OSError(28, "No space left on device"),
            "no answer": UnreachableError("an answer", "silence", "wait"),
            "a bug": KeyError("metadata"),
        }[trouble]

    monkeypatch.setattr(Witness, "look", fail)
    if trouble == "no disk":
        monkeypatch.setattr(Bundle, "put", fail)

    outcome, record, _ = rolled_out(world)

    assert outcome.ending is Ending.ROLLED_BACK
    assert world.deployments() == ["checkout"]
    kept = [step.detail for step in record.steps if step.title == "Keep the evidence"]
    assert all(detail.startswith("not kept: ") for detail in kept)
    assert ("The evidence was not kept: OSError" in capsys.readouterr().err) == (trouble == "no disk")


def test_a_run_that_takes_up_another_adds_to_its_bundle(world: Any) -> None:
    """What the first kept stays, and moments go on counting."""
    _, record, folder = rolled_out(world)
    session = world.session()
    assert session.keeper(record).keep("remove").startswith(f"6 files in {folder}/3-remove")

    assert [each.name for each in Bundle(folder).moments] == ["1-promote", "2-remove", "3-remove"]


def test_an_environment_that_is_gone_is_not_made_again(world: Any) -> None:
    """`local down` during a rollout leaves nothing behind."""
    session = world.session()
    record = session.record(session.plan(V2, session.view().inspect()))
    (world.folder / "local").rmdir()

    assert session.keeper(record).keep("remove").startswith("not kept: FileNotFoundError")
    assert not (world.folder / "local").exists()


class Actions:
    """A flow of some actions that notes what it is answered."""

    def __init__(self, *actions: do.Action) -> None:
        self._actions = actions
        self.answers: list[object] = []

    def flow(self) -> do.Flow:
        """Yield them."""
        for action in self._actions:
            try:
                self.answers.append((yield action))
            except Exception as error:  # noqa: BLE001 -- noted
                self.answers.append(error)
        return do.Outcome(Ending.ABORTED, "over")


def test_evidence_is_kept_before_each_action_that_takes_pods_away() -> None:
    """Every action and every answer passes through."""
    inner = Actions(do.Measure(), do.Promote(V2), do.DeleteCanary())
    outer = keeping(inner.flow())

    asked: list[Any] = [next(outer), *map(outer.send, ("a look", "kept", "promoted", "kept"))]
    with pytest.raises(StopIteration) as over:
        outer.send("deleted")

    promoted, removed = do.KeepEvidence("promote"), do.KeepEvidence("remove")
    assert asked == [do.Measure(), promoted, do.Promote(V2), removed, do.DeleteCanary()]
    assert inner.answers == ["a look", "promoted", "deleted"]
    assert over.value.value == do.Outcome(Ending.ABORTED, "over")


def test_somebody_who_stops_it_while_evidence_is_kept_is_heard_by_the_flow() -> None:
    """It is the flow's to go back."""
    inner = Actions(do.Promote(V2), do.Measure())
    outer = keeping(inner.flow())
    assert next(outer) == do.KeepEvidence("promote")
    stopped = do.Interrupted(Ending.INTERRUPTED, "stopped by Ctrl-C")

    assert outer.throw(stopped) == do.Measure()
    assert inner.answers == [stopped]


def test_an_abort_that_somebody_stops_before_its_first_step_back_is_walked_to_its_end(world: Any) -> None:
    """Keeping the evidence is no step at which it could be left: what comes next puts everything back."""
    world.cluster.request("POST", path("Deployment", "shop"), body=canary_of(world.deployment(), V2, 1))
    session = world.session()
    plan = session.plan(V2, session.view().inspect(any_state=True))
    real = world.cluster.request
    stopped: list[str] = []

    def request(method: str, where: str, **options: Any) -> Any:
        if not stopped and any("leases" in each for _, each in world.cluster.requests[before:]) and "canary" in where:
            stopped.append(where)
            signal.raise_signal(signal.SIGINT)
        return real(method, where, **options)

    before = len(world.cluster.requests)
    world.cluster.request = request

    outcome, _ = session.run(flow.abort(plan), session.record(plan))

    assert stopped
    assert outcome.ending is Ending.ABORTED
    assert world.deployments() == ["checkout"]


def test_a_bundle_has_a_bound(tmp_path: Path) -> None:
    """What has no room is left out, and a file that grows takes the place of what it was."""
    made = Bundle(tmp_path / "b", most=1000)

    assert made.put("record.json", b"a" * 900)
    assert made.put("record.json", b"b" * 950)
    assert not made.put("report.html", b"c" * 51)
    assert made.add("promote", Scene({"pods.txt": b"d" * 51}), {}) is None
    assert everything(tmp_path / "b") == ["record.json"]
    assert (tmp_path / "b/record.json").read_bytes() == b"b" * 950


def test_a_bundle_has_so_many_moments(tmp_path: Path) -> None:
    """A rollout that is killed again and again fills no disk."""
    made = Bundle(tmp_path / "b")
    added = [made.add("remove", Scene({"logs/a.log": b"x"}), {"n": n}) for n in range(7)]

    assert [each and each.name for each in added] == [*(f"{n}-remove" for n in range(1, 6)), None, None]
    assert made.size == sum(len((tmp_path / "b" / name).read_bytes()) for name in everything(tmp_path / "b"))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """It says which file it looked for."""
    (tmp_path / "record.json").write_text("{}")

    with pytest.raises(UsageError, match=r"answers\.jsonl\.gz"):
        bundle.read(tmp_path)


def test_a_tape_that_is_full_is_left_out(world: Any) -> None:
    """Half of it could not be judged again, and that is said."""
    session = world.session()
    record = session.record(session.plan(V2, session.view().inspect()))
    kept: Keeper = session.keeper(record)
    kept.tape.look([])
    kept.tape.full = True

    session.records.mkdir()
    assert kept.close() == f"answers.jsonl.gz had no room in {session.records / record.id}"


def test_the_answers_are_readable(world: Any) -> None:
    """One JSON object a line, by any tool that reads gzip."""
    _, _, folder = rolled_out(world)

    first, second, *_ = gzip.decompress((folder / "answers.jsonl.gz").read_bytes()).decode().splitlines()
    assert json.loads(first) == {"format": 1, "version": "v2"}
    assert {pod["track"] for pod in json.loads(second)["pods"]} == {"canary", "stable"}
