"""`quarterdeck contract diff`: what changed between two states of the contract, and which queries that breaks."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from quarterdeck_contract import metrics
from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION, Kind, Metric
from quarterdeck_dashboards.adapters import committed
from quarterdeck_dashboards.check import lock, rules, run
from quarterdeck_dashboards.check.changes import between
from quarterdeck_dashboards.check.diff import Difference, compare
from quarterdeck_dashboards.check.known import Environment
from quarterdeck_dashboards.command import contract as command

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

ALL = {metric.name: metric for metric in metrics.ALL}
SCRAPE = Environment(timedelta(seconds=15))
IN_MILLISECONDS = Metric("jobs.duration", "ms", Kind.HISTOGRAM, "", (Label("queue", ""),), (100.0, 1000.0))
IN_SECONDS = replace(IN_MILLISECONDS, unit="s", buckets=(0.1, 1.0))


def _compared(
    catalogue: Catalogue, text: str, old: tuple[Metric, ...], new: tuple[Metric, ...]
) -> tuple[list[str], list[str]]:
    sources = run.Sources(tuple(rules.parse(text, "own.yaml")))
    found = compare(catalogue, sources, *({metric.name: metric for metric in each} for each in (old, new)))
    return list(map(str, found.changes)), [str(each).partition("expr: ")[2] or str(each) for each in found.breaks]


def _rule(expr: str) -> str:
    return f"groups: [{{name: own, rules: [{{record: a:b, expr: '{expr}'}}]}}]\n"


def test_a_lock_is_read_as_it_was_written() -> None:
    """All that queries depend on; descriptions are not of it."""
    stated = {
        name: replace(metric, description="", labels=tuple(Label(each.name, "", each.values) for each in metric.labels))
        for name, metric in ALL.items()
    }

    assert lock.parse(lock.text(), "contract.json") == stated


def test_the_committed_lock_is_the_contract(root: Path) -> None:
    """Written by tools/reference.py."""
    assert (root / "docs/reference/contract.json").read_text(encoding="utf-8") == lock.text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metrics": [{"name": "a"}]}', '{"metrics": 3}'])
def test_what_is_no_lock_is_a_usage_error(text: str) -> None:
    """With what to do."""
    with pytest.raises(UsageError, match="to be a lock of the contract"):
        lock.parse(text, "old.json")


def test_nothing_changed_breaks_nothing(catalogue: Catalogue) -> None:
    """Everything generated and registered, with the contract as it is."""
    assert compare(catalogue, run.sources(catalogue, SCRAPE), ALL, ALL) == Difference((), ())


@pytest.mark.parametrize(
    ("new", "change"),
    [
        (
            replace(IN_MILLISECONDS, name="job.durations"),
            "jobs.duration: jobs.duration became job.durations",
        ),
        (replace(IN_MILLISECONDS, name="other"), "jobs.duration: removed: jobs.duration"),
        (replace(IN_MILLISECONDS, kind=Kind.COUNTER, buckets=()), "jobs.duration: kind: histogram became counter"),
        (replace(IN_MILLISECONDS, unit="s"), "jobs.duration: unit: ms became s; multiply thresholds by 0.001"),
        (replace(IN_MILLISECONDS, unit="By"), "jobs.duration: unit: ms became By"),
        (replace(IN_MILLISECONDS, labels=()), "jobs.duration: label: removed: queue"),
        (
            replace(IN_MILLISECONDS, labels=(Label("queues", ""),)),
            "jobs.duration: label: queue became queues, by a guess",
        ),
        (
            replace(IN_MILLISECONDS, labels=(Label("queue", "", ("a",)),)),
            "jobs.duration: values of queue: any became a",
        ),
        (replace(IN_MILLISECONDS, buckets=(100.0,)), "jobs.duration: buckets: 100, 1000 became 100"),
    ],
)
def test_each_kind_of_change_is_told(new: Metric, change: str) -> None:
    """Renames are said to be guesses, units with the factor for thresholds."""
    found = between({IN_MILLISECONDS.name: IN_MILLISECONDS}, {new.name: new})

    assert str(found[0]).startswith(change)


def test_what_is_new_is_told_and_breaks_nothing(catalogue: Catalogue) -> None:
    """A metric and a label."""
    labelled = replace(IN_SECONDS, labels=(*IN_SECONDS.labels, Label("host", "")))
    text = _rule("sum(rate(jobs_duration_seconds_sum[5m]))")

    assert _compared(catalogue, text, (IN_SECONDS,), (labelled, replace(IN_SECONDS, name="mail.size"))) == (
        ["jobs.duration: label: new: host", "mail.size: new: mail.size"],
        [],
    )


def test_a_unit_changes_thresholds_by_its_factor(catalogue: Catalogue) -> None:
    """From milliseconds to seconds: the new name, the new threshold, and no change where a share is compared."""
    quantile = "histogram_quantile(0.9, rate(jobs_duration_milliseconds_bucket[5m]))"
    within = 'rate(jobs_duration_milliseconds_bucket{le="100.0"}[5m])'
    share = f"{within} / ignoring(le) rate(jobs_duration_milliseconds_count[5m])"

    _, breaks = _compared(catalogue, _rule(f"{quantile} > 500"), (IN_MILLISECONDS,), (IN_SECONDS,))
    _, others = _compared(catalogue, _rule(f"{share} > 0.9"), (IN_MILLISECONDS,), (IN_SECONDS,))

    where = "own.yaml:1: own/a:b: "
    assert breaks == [
        (
            f"{where}jobs_duration_milliseconds_bucket: expected the name that it has in the new contract, found "
            "jobs_duration_milliseconds_bucket; did you mean jobs_duration_seconds_bucket?"
        ),
        f"{where}{quantile} > 500: expected a threshold in s, 0.001 times the old one, found 500; did you mean 0.5?",
    ]
    assert [each.rpartition("did you mean ")[2] for each in others] == [
        "jobs_duration_seconds_bucket?",
        "jobs_duration_seconds_count?",
    ]


def test_a_bucket_that_is_gone_breaks_what_asked_for_it(catalogue: Catalogue) -> None:
    """And only that."""
    text = _rule('sum(rate(jobs_duration_seconds_bucket{le="1.0"}[5m])) / sum(rate(jobs_duration_seconds_count[5m]))')

    _, breaks = _compared(catalogue, text, (IN_SECONDS,), (replace(IN_SECONDS, buckets=(0.1, 2.5)),))

    assert [each.partition(": expected ")[2] for each in breaks] == [
        "a value that le can have, found '1.0'; did you mean 0.1?"
    ]


def test_a_label_that_a_rule_passes_on_is_missed_by_its_readers_too(catalogue: Catalogue) -> None:
    """The rule that records a series, and who asks for that series by the label."""
    text = """\
groups:
  - name: own
    rules:
      - {record: "a:b", expr: 'sum by (queue) (rate(jobs_duration_seconds_count[5m]))'}
      - {record: "a:c", expr: 'a:b{queue="mail"}'}
"""

    changes, breaks = _compared(catalogue, text, (IN_SECONDS,), (replace(IN_SECONDS, labels=(Label("queues", ""),)),))

    assert changes == ["jobs.duration: label: queue became queues, by a guess from their likeness"]
    assert [each[:20] for each in breaks] == ["own.yaml:4: own/a:b:", "own.yaml:5: own/a:c:"]
    assert [each.endswith("found queue; did you mean queues?") for each in breaks] == [True, True]


def test_revisions_are_compared_as_files_are(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the usual path, with one from the top, and beside a file that is not committed."""
    monkeypatch.chdir(tmp_path)
    renamed = [replace(each, unit="ms") if each is HTTP_SERVER_DURATION else each for each in ALL.values()]
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "reference" / "contract.json").write_text(lock.text())
    (tmp_path / "now.json").write_text(lock.text(renamed))
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], [*own, "commit", "--quiet", "--message", "One"]):
        subprocess.run(["git", *arguments], check=True)  # noqa: S607 -- the machine's own
    options = ["diff", "--services", str(root / "services.yaml")]

    same = CliRunner().invoke(command, [*options, "HEAD", "HEAD:docs/reference/contract.json"], standalone_mode=False)
    other = CliRunner().invoke(command, [*options, "HEAD", "now.json"], standalone_mode=False)

    assert (same.return_value, same.stdout) == (0, "")
    assert other.return_value == 1
    assert f"{HTTP_SERVER_DURATION.name}: unit: s became ms; multiply thresholds by 1000\n" in other.stdout


@pytest.mark.parametrize("place", ["nowhere", "HEAD:nowhere.json", "--help", "no such:thing"])
def test_what_is_neither_file_nor_revision_is_refused(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what git says of it; nothing is taken for an option of git's."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)  # noqa: S607 -- the machine's own

    with pytest.raises(UsageError, match=r"a file,? or (what git has as|a revision)"):
        committed.text_of(place, "contract.json")


def test_the_command_tells_what_breaks(root: Path, tmp_path: Path) -> None:
    """Exit code 1, and JSON for programs."""
    (tmp_path / "old.json").write_text(lock.text())
    renamed = [
        replace(each, name="http.server.duration") if each is HTTP_SERVER_DURATION else each for each in ALL.values()
    ]
    options = ["diff", "--services", str(root / "services.yaml"), "-", str(tmp_path / "old.json")]

    same = CliRunner().invoke(command, options, input=lock.text(), standalone_mode=False)
    (tmp_path / "old.json").write_text(lock.text(renamed))
    other = CliRunner().invoke(command, [*options, "--output", "json"], input=lock.text(), standalone_mode=False)

    assert (same.return_value, same.stdout) == (0, "")
    assert other.return_value == 1
    document = json.loads(other.stdout)
    assert [(each["old"], each["new"], each["guess"]) for each in document["changes"]] == [
        (HTTP_SERVER_DURATION.name, "http.server.duration", True)
    ]
    assert {each["nearest"] for each in document["breaks"]} >= {"http_server_duration_seconds_count"}
