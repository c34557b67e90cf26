"""Recorded canaries under our verdict and its peers' rules: `python tests/bench/verdict_recordings.py [--write]`.

`record_traffic.py` has made the recordings. Each is judged as it was: ours by all that a rollout does, from raw samples
to the verdict, guards and doubts about the data included; its peers by the same counts, of failed and of slow requests,
of which either aborts. Where several pods can stand on a side, each pair of sides is a run of its own; stable pods
stand for healthy canaries too.

How soon a canary is found depends on when one begins to look. So each pair is also judged from every minute of its
recording on, while at least LEAST minutes are left. Nothing is drawn with replacement: failures that are counted twice
would be evidence twice, and a healthy canary's bad luck would become its nature.
`tests/unit/scripts_rollout/test_verdict_recorded.py` judges the recordings again, and has the same outcomes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import recordings
from verdict_rules import MINUTE, OBJECTIVE, RULES, Ours
from verdict_simulation import Result

from quarterdeck_contract import kubernetes
from quarterdeck_scripts.ports import Series
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord, news
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from verdict_rules import Rule

    from quarterdeck_scripts.rollout.judge.verdict import Batch

OBJECTIVES = (OBJECTIVE, Objective("latency", Bad.SLOW, floor=0.005, threshold=0.25))
"""What is promised: 99.5 % without failure, and 99 % within 250 ms."""
LEAST = 12.0
"""Minutes that a run has at least: Mann-Whitney has looked three times by then, and threshold counting twelve."""
HOUR = 3600.0
"""Seconds of judging that a rollout allows here: more than there are."""
MEMORY = 512e6
"""Bytes that a pod may have."""

STABLE = tuple(f"stable-{number}" for number in range(9))
ORDERS = STABLE[:3]

STARVED = "checkout-starved"
"""The recording of a machine that had twenty times as much to do as it could."""

Pair = tuple[tuple[str, ...], tuple[str, ...]]
"""The pods that are the canary, and those that are the stable version."""


@dataclass(frozen=True)
class Case:
    """One kind of canary."""

    name: str
    pairs: tuple[Pair, ...]
    recording: str = "checkout"
    bad: bool = False
    """Whether the canary should be aborted."""
    warm_up: float = Criteria().warm_up
    """Seconds, as the catalogue may say of a service."""
    promised: bool = False
    """See `verdict_simulation.Scenario`: about recorded ones nothing is promised beforehand."""


def _beside(canary: str, *stables: tuple[str, ...]) -> tuple[Pair, ...]:
    return tuple(((canary,), stable) for stable in stables or (STABLE,))


_EACH = tuple((name,) for name in STABLE[::4])
_ALONE = tuple(((name,), tuple(other for other in STABLE if other != name)) for name in STABLE)
_BROWSE = (tuple(f"as-well-{number}" for number in range(5)), tuple(f"stable-{number}" for number in range(15)))

CASES = (
    Case("0.2 % to 1 %, 10 rps beside 90", _beside("one-percent"), bad=True),
    Case("0.2 % to 1 %, 10 rps beside 10", _beside("one-percent", *_EACH), bad=True),
    Case("0.2 % to 5 %, 10 rps beside 90", _beside("five-percent"), bad=True),
    Case("0.2 % to 5 %, 10 rps beside 10", _beside("five-percent", *_EACH), bad=True),
    Case("0.2 % to 10 %, one minute in five, 10 rps beside 90", _beside("now-and-then"), bad=True),
    Case("one route of 1 % of the traffic fails half, 10 rps beside 90", _beside("one-route"), bad=True),
    Case("one request in twelve 0.3 s slower, 10 rps beside 90", _beside("slow"), bad=True),
    Case("cold for a minute and a half, and no word of it, 10 rps beside 90", _beside("cold"), bad=True),
    Case("503 beyond 8 rps, 5 rps with tides and bursts beside 15", _beside("at-peaks", ORDERS), "orders", bad=True),
    Case("0.2 % to 1 %, 10 rps beside 90, starved", _beside("one-percent"), STARVED, bad=True),
    Case("0.2 % to 5 %, 10 rps beside 90, starved", _beside("five-percent"), STARVED, bad=True),
    Case("one request in twelve 0.3 s slower, 10 rps beside 90, starved", _beside("slow"), STARVED, bad=True),
    Case("healthy at 0.2 %, 10 rps beside 90", _beside("as-well")),
    Case("healthy without errors, 50 rps beside 150", (_BROWSE,), "browse"),
    Case("healthy, each of nine pods beside the others, 10 rps beside 80", _ALONE),
    Case("healthy, by nature a quarter worse, 30 rps beside 60", ((STABLE[6:], STABLE[:6]),)),
    Case("cold for a minute and a half, `warm_up: 2m`, 10 rps beside 90", _beside("cold"), warm_up=120.0),
    Case("another mix: 60 % for a route that fails 3 %, not 1 %, 10 rps beside 90", _beside("another-mix")),
    Case("an incident hits both, 5 rps with tides and bursts beside 15", _beside("as-well", ORDERS), "orders"),
    Case("healthy at 0.2 %, 10 rps beside 90, starved", _beside("as-well"), STARVED),
    Case("healthy, each of nine pods beside the others, 10 rps beside 80, starved", _ALONE, STARVED),
)


@dataclass(frozen=True)
class Run:
    """One pair as it was recorded."""

    verdict: Verdict
    minutes: float
    """Until the verdict; of the whole recording without one."""
    why: str
    """In the words of the verdict, at that time."""
    looks: tuple[tuple[Batch, ...], ...]
    """What each look brought, for each objective."""


@cache
def run(name: str, pair: Pair, warm_up: float = Criteria().warm_up) -> Run:
    """Return what a rollout makes of *pair*: its first verdict, and what was counted until the recording's end."""
    recording = recordings.read(name)
    # In whole seconds, as a cluster says when a canary was created.
    since, interval = float(int(recording.made["since"])), recording.made["interval"]
    series, facts = _as_pair(recording, pair)
    record = RolloutRecord(
        *("id", name, "shop", "bench", "uid", "x:v2", "x:v1", "anna", since, interval, HOUR),
        *(Criteria(warm_up=warm_up), OBJECTIVES),
        since=since,
    )
    prometheus = recordings.Recorded(series)
    measurer = Measurer(prometheus, record, version="v2")
    first = None
    for look in range(1, int(recording.made["seconds"] / interval) + 1):
        prometheus.now = since + look * interval
        assessment = measurer.look(facts)
        if assessment.verdict is not Verdict.INCONCLUSIVE and first is None:
            first = assessment.verdict, (prometheus.now - since) / 60, assessment.explanation
    looks, previous = [], None
    for reading in record.readings:
        if not reading.causes:
            looks.append(news(previous, reading, since))
            previous = reading
    verdict, minutes, why = first or (Verdict.INCONCLUSIVE, (prometheus.now - since) / 60, assessment.explanation)
    return Run(verdict, minutes, why, tuple(looks))


def _as_pair(recording: recordings.Recording, pair: Pair) -> tuple[list[Series], list[PodFact]]:
    """Return the series of the pods of *pair*, each with the track and version it stands for, and the pods."""
    stands = {name: track for track, names in zip(_SIDES, pair, strict=True) for name in names}
    kept = [
        Series({**each.labels, "track": track, "version": _SIDES[track]}, each.samples)
        for each in recording.series
        if (track := stands.get(each.labels["pod"]))
    ]
    born = {name for name, made in recording.made["pods"].items() if made["track"] == kubernetes.TRACK_CANARY}
    return kept, [PodFact(name, track, True, name in born, memory=MEMORY) for name, track in stands.items()]


_SIDES = {kubernetes.TRACK_CANARY: "v2", kubernetes.TRACK_STABLE: "v1"}
"""The versions of both sides."""


def judged(rule: str, looks: Iterable[Sequence[Batch]]) -> tuple[Verdict, float]:
    """Return what the rule called *rule* makes of *looks*, and after how many minutes: of all that it looks at."""
    each = [Ours(len(OBJECTIVES), one) if rule == "ours" else RULES[rule]() for one in OBJECTIVES]
    seconds = 0.0
    for batches in looks:
        seconds += batches[0].seconds
        verdict = _together(each, batches)
        if verdict is not Verdict.INCONCLUSIVE:
            return verdict, seconds / 60
    return Verdict.INCONCLUSIVE, seconds / 60


def _together(rules: Sequence[Rule], batches: Sequence[Batch]) -> Verdict:
    verdicts = {rule.look(batch) for rule, batch in zip(rules, batches, strict=True)}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INCONCLUSIVE


def windows(looks: Sequence[Sequence[Batch]]) -> Iterator[Sequence[Sequence[Batch]]]:
    """Yield *looks* from every minute on, while enough of them are left: the first time all."""
    seconds = looks[-1][0].seconds
    minute, least = round(MINUTE / seconds), round(LEAST * MINUTE / seconds)
    for begin in range(0, max(1, len(looks) - least + 1), minute):
        yield looks[begin:]


def as_recorded(case: Case, rule: str) -> list[tuple[Verdict, float]]:
    """Return what the rule called *rule* made of each pair of *case*, and after how many minutes."""
    runs = [run(case.recording, pair, case.warm_up) for pair in case.pairs]
    if rule == "ours":
        return [(each.verdict, each.minutes) for each in runs]
    return [judged(rule, each.looks) for each in runs]


def from_every_minute(case: Case, rule: str) -> Result:
    """Return what the rule called *rule* makes of each pair of *case*, looking from every minute on."""
    minutes: dict[Verdict, list[float]] = {verdict: [] for verdict in Verdict}
    for pair in case.pairs:
        for looks in windows(run(case.recording, pair, case.warm_up).looks):
            verdict, took = judged(rule, looks)
            minutes[verdict].append(took)
    return Result(case, minutes)


def row(case: Case, rule: str) -> dict[str, Any]:
    """Return *case* under the rule called *rule*, as docs/benchmarks.json has it."""
    found = as_recorded(case, rule)
    return {
        **from_every_minute(case, rule).row(rule),
        "counted": [_counted(case, number) for number in range(len(OBJECTIVES))],
        "recorded": [[verdict.value, minutes] for verdict, minutes in found],
    }


def _counted(case: Case, objective: int) -> list[float]:
    """Return the shares of bad requests of canary and stable, over all pairs."""
    batches = [look[objective] for pair in case.pairs for look in run(case.recording, pair, case.warm_up).looks]
    sides = [[batch.canary for batch in batches], [batch.stable for batch in batches]]
    return [sum(each.bad for each in side) / sum(each.requests for each in side) for side in sides]


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge every case and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the outcomes into docs/benchmarks.json")
    parser.add_argument("--why", action="store_true", help="say why ours decided so, and no more")
    options = parser.parse_args(arguments)
    if options.why:
        for case in CASES:
            for found in (run(case.recording, pair, case.warm_up) for pair in case.pairs):
                print(f"{case.name}\n  {found.verdict} {found.minutes:g} {found.why}")  # noqa: T201 -- its output
        return
    rows = []
    with ProcessPoolExecutor() as pool:
        for several in pool.map(_rows, CASES):
            rows += several
            for each in several:
                print(_line(each), flush=True)  # noqa: T201 -- its output
    if options.write:
        import results  # noqa: PLC0415 -- needs the environments of the peers, for which this measurement does not ask

        results.write("recorded-verdicts", rows, key=("scenario", "rule"))


def _rows(case: Case) -> list[dict[str, Any]]:
    return [row(case, rule) for rule in RULES]


def _line(found: dict[str, Any]) -> str:
    verdicts = [verdict for verdict, _ in found["recorded"]]
    took = statistics.median_high(minutes for _, minutes in found["recorded"])
    shares = "  ".join("{:.2%} beside {:.2%}".format(*each) for each in found["counted"])
    again = f"fail {found['fail']:.1%} {found['minutes to fail']}  pass {found['pass']:.1%} {found['minutes to pass']}"
    return f"{found['scenario'][:60]:60} {found['rule']:12} {'/'.join(verdicts)} {took:g}  {again}  [{shares}]"


if __name__ == "__main__":
    main()
