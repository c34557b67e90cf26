"""What docs/benchmarks.md says of a rollout's verdict beside its peers' rules, on simulated and recorded traffic."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmark_table import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    _Row = dict[str, Any]
    """What one rule made of one case."""


def simulated(rows: Sequence[_Row]) -> str:
    """Write what each rule made of each canary: bad ones should be aborted soon, others never, and passed soon."""
    by_rule = {rule: {row["scenario"]: row for row in rows if row["rule"] == rule} for rule in _RULES}
    ours = by_rule["ours"]
    bad = table(
        "Bad canaries: median minutes until each rule aborts, a scrape every 15 s",
        ("error ratio; traffic of canary and stable", *_RULES.values()),
        ([name, *(_aborted(by_rule[rule][name]) for rule in _RULES)] for name, row in ours.items() if row["bad"]),
    )
    others = table(
        "Other canaries: share that each rule aborts within an hour, and median minutes until ours passes",
        ("error ratio; traffic of canary and stable", *_RULES.values(), "passed after"),
        (
            [name, *(_wrongly(by_rule[rule][name]) for rule in _RULES), _minutes(row["minutes to pass"])]
            for name, row in ours.items()
            if not row["bad"]
        ),
    )
    fewest = min(row["runs"] for row in rows)
    return "\n".join((bad, _OF_ALL.format(runs=fewest), others, _OF_MARGINS))


_OF_ALL = """\
Both sides are alike but for what a row says. {runs:,} simulated runs or more of each rule in each row. Ours has the one
committed configuration, five routes, and half of the chance of a false alarm, for latency is judged beside errors. The
peers' rules are written from their public descriptions, in `tests/bench/verdict_rules.py`.
"""
_OF_MARGINS = """\
On the margin two groups of pods differ by 20 % either way by nature: every abort is false. Beside the share is its 95 %
upper bound, and of how many runs. The peers' rules have no PASS but the end of a fixed wait.
"""


def recorded(rows: Sequence[_Row]) -> str:
    """Write the same of recorded canaries: from their beginning, and from every minute of the recording on."""
    by_rule = {rule: {row["scenario"]: row for row in rows if row["rule"] == rule} for rule in _RULES}
    ours = by_rule["ours"]
    columns = ("what is seen; traffic of canary and stable", "failed, %", "slow, %")
    twice = [text for rule in _SHORT.values() for text in (rule, "any minute")]
    bad = table(
        "Recorded bad canaries: minutes until each rule aborts",
        (*columns, *twice),
        (
            [name, *_shares(row), *(text for rule in _RULES for text in _found(by_rule[rule][name]))]
            for name, row in ours.items()
            if row["bad"]
        ),
    )
    others = table(
        "Recorded other canaries: share of runs that each rule aborts, and minutes until ours passes",
        (*columns, *twice, "passed after", "any minute"),
        (
            [
                *(name, *_shares(row)),
                *(text for rule in _RULES for text in _found_wrongly(by_rule[rule][name])),
                *(_passed(row), _minutes(row["minutes to pass"])),
            ]
            for name, row in ours.items()
            if not row["bad"]
        ),
    )
    return f"{bad}\n{_OF_RECORDINGS}\n{others}\n{_OF_OTHERS}"


_SHORT = {"ours": "ours", "threshold": "threshold", "mann-whitney": "Mann-Whitney"}
_OF_RECORDINGS = """\
Real processes under `quarterdeck-instrument`, customers over HTTP, and a real Prometheus that scrapes them every 15 s,
for up to 36 minutes: `tests/bench/record_traffic.py` makes the recordings, `tests/bench/recordings/README.md` says how
these were made. The shares of failed and slow requests are as counted, the canary's first. Each rule judges failed and
slow requests, and aborts for either; each is told the same counts, with the warm-up taken off. Ours judges the
beginning as a rollout does, by raw samples, guards (but logged errors) and doubts about the data. *Any minute* is the
median over runs that begin in any minute of the recording and go on to its end, for twelve minutes or more where there
are as many. For 10 beside 10, three stable pods are taken in turn. What is cold is so in its beginning alone.
"""
_OF_OTHERS = """\
Each of nine healthy pods stands for a canary, and three of them for one, beside the others. A canary that has not
passed by the end of its recording has not failed either: at 0.2 % and 10 requests a second, where 0.25 % is always
allowed, that takes an hour. *Starved* is a machine with twenty times the work that it has processors for: each version
answers 3 % of requests too late, which a threshold calls the canary's fault.
"""


def _shares(row: _Row) -> tuple[str, ...]:
    return tuple("{:.2f}, {:.2f}".format(*(100 * share for share in pair)) for pair in row["counted"])


def _found(row: _Row) -> tuple[str, str]:
    """Return the median minutes until *row*'s rule aborted, over the pairs of sides, and from any minute."""
    minutes = [minutes for verdict, minutes in row["recorded"] if verdict == "FAIL"]
    missed = len(row["recorded"]) - len(minutes)
    as_it_was = _minutes(statistics.median_high(minutes)) if minutes else "never"
    return as_it_was + (f" ({missed} of {len(row['recorded'])} missed)" if minutes and missed else ""), _aborted(row)


def _found_wrongly(row: _Row) -> tuple[str, str]:
    aborted = [verdict for verdict, _ in row["recorded"]].count("FAIL")
    return f"{aborted} of {len(row['recorded'])}", f"{row['fail']:.1%}"


def _passed(row: _Row) -> str:
    minutes = [minutes for verdict, minutes in row["recorded"] if verdict == "PASS"]
    never = len(row["recorded"]) - len(minutes)
    return (_minutes(statistics.median_high(minutes)) if minutes else "not yet") + (
        f" ({never} of {len(row['recorded'])} not yet)" if minutes and never else ""
    )


_RULES = {"ours": "ours", "threshold": "threshold, the 4th failed minute", "mann-whitney": "Mann-Whitney"}
"""By the names that `verdict_simulation.py` writes."""


def _aborted(row: _Row) -> str:
    share = "" if row["fail"] in {0, 1} else f" ({row['fail']:.1%} of runs)"
    return f"{_minutes(row['minutes to fail'])}{share}"


def _wrongly(row: _Row) -> str:
    bound = f" (≤ {row['fail, at most']:.2%}, {row['runs']:,})" if row["scenario"].startswith("on the margin") else ""
    return f"{row['fail']:.2%}{bound}"


def _minutes(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")
