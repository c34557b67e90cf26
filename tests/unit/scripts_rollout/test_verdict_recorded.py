"""Recorded traffic judged again: what real processes served and a real Prometheus scraped leads to the same verdicts.

The recordings and what is in them: `tests/bench/recordings/README.md`. Of each case the first pair of sides is judged
here; `make bench` judges all.
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.ports import Series
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

PEERS = ("threshold", "mann-whitney")


@pytest.fixture(scope="module")
def recorded(simulation: Any) -> ModuleType:
    """Return `tests/bench/verdict_recordings.py` as a module; *simulation* lies beside it."""
    return importlib.import_module("verdict_recordings")


@pytest.fixture(scope="module")
def written(root: Path) -> dict[tuple[str, str], Any]:
    """Return the committed rows of the table of recorded canaries, by case and rule."""
    rows = json.loads((root / "docs/benchmarks.json").read_text())["recorded-verdicts"]
    return {(row["scenario"], row["rule"]): row for row in rows}


def first(recorded: Any, name: str) -> tuple[Any, Any]:
    """Return the case called *name*, and its first pair as it was recorded."""
    case = next(each for each in recorded.CASES if each.name == name)
    return case, recorded.run(case.recording, case.pairs[0], case.warm_up)


OUTCOMES = [
    ("0.2 % to 1 %, 10 rps beside 90", "FAIL", 3.75),
    ("0.2 % to 1 %, 10 rps beside 10", "FAIL", 5.75),
    ("0.2 % to 5 %, 10 rps beside 90", "FAIL", 0.75),
    ("0.2 % to 5 %, 10 rps beside 10", "FAIL", 1.0),
    ("0.2 % to 10 %, one minute in five, 10 rps beside 90", "FAIL", 0.75),
    ("one route of 1 % of the traffic fails half, 10 rps beside 90", "FAIL", 4.0),
    ("one request in twelve 0.3 s slower, 10 rps beside 90", "FAIL", 1.75),
    ("cold for a minute and a half, and no word of it, 10 rps beside 90", "FAIL", 1.5),
    ("503 beyond 8 rps, 5 rps with tides and bursts beside 15", "FAIL", 0.75),
    ("0.2 % to 1 %, 10 rps beside 90, starved", "FAIL", 7.75),
    ("0.2 % to 5 %, 10 rps beside 90, starved", "FAIL", 0.75),
    ("one request in twelve 0.3 s slower, 10 rps beside 90, starved", "FAIL", 1.75),
    ("healthy at 0.2 %, 10 rps beside 90", "INCONCLUSIVE", 36.0),
    ("healthy without errors, 50 rps beside 150", "PASS", 2.75),
    ("healthy, each of nine pods beside the others, 10 rps beside 80", "PASS", 20.75),
    ("healthy, by nature a quarter worse, 30 rps beside 60", "INCONCLUSIVE", 36.0),
    ("cold for a minute and a half, `warm_up: 2m`, 10 rps beside 90", "INCONCLUSIVE", 36.0),
    ("another mix: 60 % for a route that fails 3 %, not 1 %, 10 rps beside 90", "INCONCLUSIVE", 36.0),
    ("an incident hits both, 5 rps with tides and bursts beside 15", "INCONCLUSIVE", 36.0),
    ("healthy at 0.2 %, 10 rps beside 90, starved", "INCONCLUSIVE", 11.5),
    ("healthy, each of nine pods beside the others, 10 rps beside 80, starved", "PASS", 6.25),
]
"""What ours comes to in each case, and after how many minutes: of the whole recording where it came to none."""


def test_every_case_is_judged_here(recorded: Any) -> None:
    """A case that is added has its outcome written down."""
    assert [case.name for case in recorded.CASES] == [name for name, _, _ in OUTCOMES]


@pytest.mark.parametrize(("name", "verdict", "minutes"), OUTCOMES, ids=[name for name, _, _ in OUTCOMES])
def test_a_recorded_canary_is_judged_rightly(recorded: Any, name: str, verdict: str, minutes: float) -> None:
    """From raw samples to the verdict as in a rollout: bad canaries fail at this minute, and no other ever does."""
    case, run = first(recorded, name)

    assert (run.verdict, run.minutes) == (verdict, minutes)
    assert case.bad is (run.verdict is Verdict.FAIL)


@pytest.mark.parametrize("name", [name for name, _, _ in OUTCOMES])
def test_the_committed_table_follows_from_the_recordings(recorded: Any, written: Any, name: str) -> None:
    """Every rule comes to what is written in docs/benchmarks.json: ours as a rollout, its peers by the same counts."""
    case, run = first(recorded, name)

    assert written[name, "ours"]["recorded"][0] == [run.verdict, run.minutes]
    for rule in PEERS:
        assert written[name, rule]["recorded"][0] == list(recorded.judged(rule, run.looks))
    assert {row["bad"] for (scenario, _), row in written.items() if scenario == name} == {case.bad}


@pytest.mark.parametrize("rule", ["ours", *PEERS])
def test_a_whole_row_follows_from_the_recordings(recorded: Any, written: Any, rule: str) -> None:
    """So do the runs from every minute on, and the shares as counted."""
    name = "0.2 % to 5 %, 10 rps beside 90"
    case, _ = first(recorded, name)

    assert recorded.row(case, rule) == written[name, rule]


def test_no_healthy_canary_was_aborted_from_any_minute_on(written: Any) -> None:
    """In the whole committed table ours aborts bad canaries alone, and passes none of them."""
    ours = [row for (_, rule), row in written.items() if rule == "ours"]

    assert [row["scenario"] for row in ours if row["fail"] and not row["bad"]] == []
    assert [row["scenario"] for row in ours if row["pass"] and row["bad"]] == []


def test_counts_alone_lead_to_what_a_rollout_finds(recorded: Any) -> None:
    """The peers are told the counts that ours is told: on them alone ours comes to the same verdict."""
    for name in ("0.2 % to 1 %, 10 rps beside 90", "healthy, each of nine pods beside the others, 10 rps beside 80"):
        _, run = first(recorded, name)

        assert recorded.judged("ours", run.looks) == (run.verdict, run.minutes)


def test_a_recording_is_read_as_it_was_written(recorded: Any, tmp_path: Path) -> None:
    """To the sample: whole numbers, fractions, a counter that fell, times in milliseconds."""
    series = (
        Series({"__name__": "a", "pod": "x"}, ((1_700_000_000.125, 3.0), (1_700_000_015.126, 7.0))),
        Series({"__name__": "a", "pod": "y"}, ((1_700_000_000.5, 9.0), (1_700_000_015.5, 2.0))),
        Series({"__name__": "b", "pod": "x"}, ((1_700_000_001.0, 0.25), (1_700_000_016.0, 3.0))),
    )
    recorded.recordings.write("small", {"since": 5}, series, tmp_path)
    found = recorded.recordings.read("small", tmp_path)

    assert found.made == {"since": 5}
    assert found.series == series


def test_a_recording_answers_as_its_prometheus_did(recorded: Any) -> None:
    """A range ends at the time it is asked for, and does not have its own beginning."""
    asked = recorded.recordings.Recorded([Series({"__name__": "a"}, ((10.0, 1.0), (25.0, 2.0), (40.0, 3.0)))])
    asked.now = 30.0

    assert asked.query('a{service="x"}[20s]').series == (Series({"__name__": "a"}, ((25.0, 2.0),)),)
    assert asked.query('a{service="x"}[20s]', at=40.0).series == (
        Series({"__name__": "a"}, ((25.0, 2.0), (40.0, 3.0))),
    )
    assert asked.query("b{}[20s]").series == ()
    assert asked.query("time()").series == (Series({}, ((30.0, 30.0),)),)
