"""`quarterdeck rollout analyze` judges what runs, what ran, and what was kept, and changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts import cli
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.kube.client import UnreachableError, path
from quarterdeck_scripts.ports import Answer, FakePrometheus
from quarterdeck_scripts.rollout.analysis import command
from quarterdeck_scripts.rollout.analysis.window import MOST_LOOKS, Window, moment_of
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.steps import flow

if TYPE_CHECKING:
    from pathlib import Path

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

ANALYZE = ["rollout", "analyze"]


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the command speaking to it instead of an environment."""
    monkeypatch.setattr(command, "_open", lambda *_: world.session())
    return world


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Return what the command prints as data."""
    capsys.readouterr()
    assert cli.run([*ANALYZE, *arguments]) == code
    return capsys.readouterr().out


def let_in(world: Any, failing: float, seconds: float = 60.0) -> None:
    """Run a canary of v2 beside the stable version, and let time pass."""
    world.behave(V2, failing=failing)
    world.cluster.request("POST", path("Deployment", "shop"), body=workloads.canary_of(world.deployment(), V2, 1))
    world.pass_time(seconds)


def roll_out(world: Any, forced: str = "") -> tuple[RolloutRecord, Path]:
    """Roll v2 out; return the record and the bundle."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect(), forced)
    record = session.record(plan)
    session.run(flow.start(plan), record)
    return record, session.records / record.id


@pytest.mark.parametrize(
    ("failing", "verdict", "code"), [(0.05, "FAIL", 1), (0.0, "PASS", 0), (0.004, "INCONCLUSIVE", 3)]
)
def test_a_canary_is_judged_as_it_stands(
    typed: Any, capsys: pytest.CaptureFixture[str], failing: float, verdict: str, code: int
) -> None:
    """From its creation until now, at every scrape, without the lock and without a change."""
    let_in(typed, failing)
    before = [request for request in typed.cluster.requests if request[0] != "GET"]

    out = printed(capsys, "checkout", code=code)

    assert out.startswith(f"checkout: {verdict}\n  {verdict:12} Availability: the canary failed ")
    assert "  looked       from " in out
    assert f" of {V2} and {V1}\n" in out
    assert "\n  asked        http_server_request_duration_seconds_bucket{" in out
    assert [request for request in typed.cluster.requests if request[0] != "GET"] == before


def test_it_says_when_a_rollout_would_have_ended(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Not only what all the evidence says, but from when on it was enough."""
    let_in(typed, 0.05)

    assert "\n  first        FAIL after " in printed(capsys, "checkout", code=1)


@pytest.mark.parametrize("given", [("--until", "1h"), ("--version", "v2")])
def test_a_window_without_a_beginning_is_refused(
    typed: Any, capsys: pytest.CaptureFixture[str], given: tuple[str, str]
) -> None:
    """What is given would have no effect, and what is printed would be of another time."""
    assert cli.run([*ANALYZE, "checkout", *given]) == 2
    assert f"Expected --since with {given[0]}" in capsys.readouterr().err
    assert cli.run([*ANALYZE, "--replay", str(typed.folder), *given]) == 2
    assert f"Found {given[0]}." in capsys.readouterr().err


@pytest.mark.parametrize("output", ["text", "json"])
def test_an_analysis_is_printed_again_byte_for_byte(
    typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """From its bundle, with nobody to ask."""
    let_in(typed, 0.05)
    where = str(tmp_path / "kept" / "bundle")

    live = printed(capsys, "checkout", "--bundle", where, "--output", output, code=1)
    typed.session = None
    again = printed(capsys, "--replay", where, "--output", output, code=1)

    assert again == live
    assert (tmp_path / "kept/bundle/1-analysed/pods.txt").read_text().count("\n") == 4


@pytest.mark.parametrize("failing", [0.0, 0.05])
def test_a_rollouts_bundle_is_judged_again(typed: Any, capsys: pytest.CaptureFixture[str], failing: float) -> None:
    """Its record comes out as it was written: every count, every bound, the verdict."""
    typed.behave(V2, failing=failing)
    record, folder = roll_out(typed)

    again = printed(capsys, "--replay", str(folder), "--output", "json", code=1 if failing else 0)

    assert again == (folder / "record.json").read_text() == record.to_json()


def test_a_canary_that_is_gone_is_judged_from_its_window(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Prometheus has its counters still: the same counts lead to the same verdict."""
    typed.behave(V2, failing=0.05)
    record, _ = roll_out(typed)
    typed.pass_time(20)

    found = RolloutRecord.from_json(printed(capsys, "checkout", "--since", "10m", "--output", "json", code=3))
    first = printed(capsys, "checkout", "--since", "10m", code=3)

    last = next(reading for reading in reversed(found.readings) if not reading.causes)
    assert last.tallies[0].canary == record.readings[-1].tallies[0].canary
    assert (found.image, found.origin, found.ending) == ("v2", "v1", "analysed")
    assert "no verdict   no canary pod is ready" in first
    assert "\n  first        FAIL after " in first


def test_a_window_ends_where_one_says(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """While the canary was there, it is a FAIL."""
    let_in(typed, 0.05)
    typed.cluster.request("DELETE", path("Deployment", "shop", "checkout-canary"))
    typed.pass_time(60)

    assert printed(capsys, "checkout", "--since", "5m", "--until", "62s", code=1).startswith("checkout: FAIL\n")


def test_two_versions_of_one_workload_are_told_apart_by_name(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A plain update has no canary: who names the new version has it compared with the old one."""
    typed.behave(V2, failing=0.05)
    roll_out(typed, forced="a test")
    typed.pass_time(30)

    assert cli.run([*ANALYZE, "checkout", "--since", "50s"]) == 2
    assert "its pods had the versions v1, v2" in capsys.readouterr().err
    out = printed(capsys, "checkout", "--since", "50s", "--version", "v2", code=3)
    assert "of v2 and v1" in out
    assert "no verdict   no stable pod is ready" in out


def test_a_prometheus_that_was_out_is_no_pass(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Pods that were not scraped for long are not taken to be well."""
    let_in(typed, 0.0)
    typed.scraping = False
    typed.pass_time(30)

    assert "no verdict   the newest sample of the canary pod" in printed(capsys, "checkout", code=3)
    assert "no verdict   no canary pod is ready" in printed(capsys, "checkout", "--since", "5m", code=3)


def test_a_service_without_a_second_version_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what runs, and how to judge the past."""
    assert cli.run([*ANALYZE, "checkout"]) == 4
    assert f"Found only {V1}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the name of a service, or a bundle"),
        (["checkout", "--since", "yesterday"], "Next: write how long ago, such as `2h`."),
        (["checkout", "--since", "2999-01-01T00:00:00Z"], "a time in the past"),
        (["checkout", "--since", "10s", "--until", "1m"], "a window of at least one scrape"),
        (["checkout", "--since", "20s"], "one canary of checkout"),
        (["checkout", "--since", "20s", "--version", "v9"], "one canary of checkout"),
        (["checkout", "--replay", "."], "nothing beside --replay"),
        (["--replay", "."], "a bundle with record.json"),
    ],
)
def test_what_it_cannot_judge_is_a_usage_error(
    typed: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Nothing to judge, no time, no window, no second version, no bundle."""
    del typed
    assert cli.run([*ANALYZE, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_bundle_is_not_mixed_with_another(typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with something in it is left as it is."""
    let_in(typed, 0.0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "record.json").write_text("mine")

    assert cli.run([*ANALYZE, "checkout", "--bundle", str(tmp_path / "full")]) == 2
    assert "a folder for a new bundle" in capsys.readouterr().err
    assert (tmp_path / "full" / "record.json").read_text() == "mine"


def test_a_bundle_that_was_changed_is_found_out(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that its answers do not lead to is no evidence; it says what differs."""
    typed.behave(V2, failing=0.05)
    _, folder = roll_out(typed)
    document = json.loads((folder / "record.json").read_text())
    document["assessment"]["verdict"] = "PASS"
    (folder / "record.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")

    assert cli.run([*ANALYZE, "--replay", str(folder)]) == 1
    assert "Found FAIL where PASS is written" in capsys.readouterr().err

    document["assessment"]["verdict"] = "FAIL"
    document["readings"][0]["tallies"][0]["canary"]["bad"] += 1
    (folder / "record.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")

    assert cli.run([*ANALYZE, "--replay", str(folder)]) == 1
    assert "Found another value of readings" in capsys.readouterr().err


def test_a_record_of_another_version_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not know it does not judge."""
    _, folder = roll_out(typed)
    (folder / "record.json").write_text('{"of": "tomorrow"}')

    assert cli.run([*ANALYZE, "--replay", str(folder)]) == 2
    assert "a record of this version" in capsys.readouterr().err


def test_a_prometheus_that_warns_has_no_past(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Which pods there were may then be only a part of them."""
    let_in(typed, 0.0)
    real = typed.prometheus
    typed.prometheus = FakePrometheus(lambda promql, at: Answer(real.query(promql, at=at).series, ("a store is away",)))

    assert cli.run([*ANALYZE, "checkout", "--since", "1m"]) == 1
    assert "a store is away" in capsys.readouterr().err


def test_a_prometheus_that_is_silent_is_said(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to judge from."""
    let_in(typed, 0.0)

    def silence(*_: object) -> Answer:
        raise UnreachableError("an answer", "connection refused", "wait")

    typed.prometheus = FakePrometheus(silence)

    assert cli.run([*ANALYZE, "checkout"]) == 1
    assert "connection refused" in capsys.readouterr().err


def test_a_long_window_is_looked_at_less_often() -> None:
    """A week has as many looks as two hours; the last is at its end."""
    assert list(Window(0, 10).moments(4)) == [4, 8, 10]
    assert list(Window(0, 8).moments(4)) == [4, 8]
    assert list(Window(5, 5).moments(4)) == [5]
    moments = list(Window(0, 604_800).moments(15))
    assert (len(moments), moments[-1]) == (MOST_LOOKS, 604_800)


def test_times_are_said_as_people_say_them() -> None:
    """How long ago, or when; without a zone it is this machine's."""
    assert moment_of("2h", 10_000) == 2_800
    assert moment_of("1970-01-01T01:00:00Z", 10_000) == 3_600
    assert moment_of("1970-01-01T03:00:00+02:00", 10_000) == 3_600
