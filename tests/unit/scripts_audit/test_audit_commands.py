"""`quarterdeck audit`, as a person types it, on the log of a cluster in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_scripts import cli
from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.environment import Environment
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.fake import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

SEGMENT = path("ConfigMap", SYSTEM_NAMESPACE, "quarterdeck-audit-000001")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCluster]:
    """Return the cluster that the commands speak to: two services were changed, and one change is unfinished."""
    monkeypatch.chdir(tmp_path)
    cluster = FakeCluster([{"kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}])
    facts = EnvironmentFacts("local", "http://p.invalid", "http://a.invalid", "", "15s")
    opened = Environment("local", cluster, facts, "uid")
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: opened)
    anna, ben = (AuditLog(cluster, Path(".quarterdeck/audit"), actor) for actor in ("anna@bridge", "ben@deck"))
    with anna.change(action="scale", subject="Deployment shop/cart", before={"replicas": 2}, why="the sale") as change:
        change.after = {"replicas": 4}
    canary = "Deployment shop/checkout-canary"
    with ben.change(action="rollout: create canary", subject=canary, before=None, why="") as change:
        change.after = {"image": "v2"}
    with ben.change(
        action="rollout: promote", subject="Deployment shop/checkout", before={"image": "v1"}, why=""
    ) as change:
        change.after = {"image": "v2"}
    under_way = ben.change(action="restart", subject="Deployment shop/cart", before={}, why="")
    under_way.__enter__()  # and never left, while the test lasts
    yield cluster
    del under_way


def meddle(cluster: FakeCluster, key: str, line: str | None) -> None:
    """Change an entry in the cluster behind the log's back."""
    cluster.request("PATCH", SEGMENT, body={"data": {key: line}}, content_type=MERGE_PATCH)


def lines(cluster: FakeCluster) -> dict[str, str]:
    """Return the cluster's entries by their keys."""
    data: dict[str, str] = cluster.request("GET", SEGMENT)["data"]
    return data


def test_show_tells_each_change_in_a_few_lines(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """When, who, what to what, how it ended, why, and the state before and after."""
    assert cli.run(["audit", "show", "--service", "cart"]) == 0

    first, second = capsys.readouterr().out.split("\n\n")
    when = json.loads(lines(cluster)["00000001"])["time"]
    assert first == (
        f"{when}  anna@bridge\n"
        "  scale  Deployment shop/cart: done\n"
        "  why     the sale\n"
        '  before  {"replicas": 2}\n'
        '  after   {"replicas": 4}'
    )
    assert second.endswith("  restart  Deployment shop/cart: unfinished\n  before  {}\n")


@pytest.mark.parametrize(
    ("options", "actions"),
    [
        ([], ["scale", "rollout: create canary", "rollout: promote", "restart"]),
        (["--service", "checkout"], ["rollout: create canary", "rollout: promote"]),
        (["--action", "rollout: p"], ["rollout: promote"]),
        (["--actor", "anna"], ["scale"]),
        (["--last", "2"], ["rollout: promote", "restart"]),
        (["--last", "0"], ["scale", "rollout: create canary", "rollout: promote", "restart"]),
        (["--since", "1h", "--actor", "ben", "--last", "1"], ["restart"]),
        (["--since", "2099-01-01"], []),
        (["--since", "2000-01-01T00:00Z", "--action", "scale"], ["scale"]),
    ],
)
def test_show_finds_what_is_looked_for(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], options: list[str], actions: list[str]
) -> None:
    """By service (its canary's objects too), action, person, time, and how many."""
    del cluster
    assert cli.run(["audit", "show", "--output", "json", *options]) == 0
    assert [made["action"] for made in json.loads(capsys.readouterr().out)] == actions


def test_a_time_that_is_none_is_a_usage_error(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is understood."""
    del cluster
    assert cli.run(["audit", "show", "--since", "yesterday"]) == 2
    assert "Found 'yesterday'.\nNext: write `--since 24h`, or a time." in capsys.readouterr().err


def test_verify_says_that_all_is_there_and_what_is_unfinished(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the last hash, to be kept elsewhere."""
    last = json.loads(lines(cluster)["00000007"])

    assert cli.run(["audit", "verify"]) == 0

    assert capsys.readouterr().out == (
        f"Intact: 7 entries; the last one's hash is {last['hash']}\n"
        f"  unfinished: restart Deployment shop/cart, begun {last['time']} by ben@deck\n"
    )


def test_an_empty_log_is_intact(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was ever changed here."""
    cluster.request("DELETE", SEGMENT)
    Path(".quarterdeck/audit").rename("elsewhere")

    assert cli.run(["audit", "verify"]) == 0
    assert cli.run(["audit", "show"]) == 0
    assert capsys.readouterr().out == "Intact: 0 entries\nNo such change.\n"


@pytest.mark.parametrize("command", [["verify"], ["show", "--last", "0"], ["export"]])
def test_an_altered_entry_ends_every_command_with_1(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """The place is named."""
    meddle(cluster, "00000003", lines(cluster)["00000003"].replace("ben@deck", "carl@deck"))

    assert cli.run(["audit", *command]) == 1
    named = f"entry 3 of ConfigMap {SYSTEM_NAMESPACE}/quarterdeck-audit-000001: it was altered"
    assert named in capsys.readouterr().err


def test_what_was_cut_off_at_the_end_shows_by_this_machines_copy(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chain alone cannot show it."""
    meddle(cluster, "00000007", None)

    assert cli.run(["audit", "verify", "--output", "json"]) == 1

    out = json.loads(capsys.readouterr().out)
    assert (out["intact"], out["entries"]) == (False, 6)
    assert out["broken"].startswith("line 7 of ")


def test_an_export_is_the_log_and_proves_itself(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte, on stdout or in a file, and verified without a cluster."""
    text = "".join(f"{line}\n" for _, line in sorted(lines(cluster).items()))
    assert cli.run(["audit", "export"]) == 0
    assert capsys.readouterr().out == text

    assert cli.run(["audit", "export", "--out", "kept/log.jsonl"]) == 0
    assert Path("kept/log.jsonl").read_text() == text
    assert cli.run(["audit", "verify", "--file", "kept/log.jsonl"]) == 0
    assert "Intact: 7 entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("meddled", "said"),
    [
        (lambda text: text.replace("the sale", "the sail"), "line 1 of kept.jsonl: it was altered"),
        (
            lambda text: "".join(text.splitlines(keepends=True)[:2] + text.splitlines(keepends=True)[3:]),
            "entry 3 is expected",
        ),
        (lambda text: "nonsense\n" + text, "line 1 of kept.jsonl: it is no entry"),
    ],
)
def test_a_meddled_export_does_not(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], meddled: object, said: str
) -> None:
    """Altered, cut, or added to."""
    del cluster
    assert callable(meddled)
    assert cli.run(["audit", "export", "--out", "kept.jsonl"]) == 0
    Path("kept.jsonl").write_text(meddled(Path("kept.jsonl").read_text()))

    assert cli.run(["audit", "verify", "--file", "kept.jsonl"]) == 1
    assert said in capsys.readouterr().err
