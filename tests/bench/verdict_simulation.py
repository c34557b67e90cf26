"""Simulated canaries under our verdict and its peers' rules: how often each is wrong, and how long it takes.

    python tests/bench/verdict_simulation.py [SEEDS] [--only TEXT] [--write]

prints the table; `--write` puts it into docs/benchmarks.json, from which docs/benchmarks.md is made. `--only` takes the
scenarios with that text in their names. On the rows whose chance of a false abort is promised there are 5,000 seeds, on
the others SEEDS. Every request fails independently with its side's and its route's error ratio; the rules look at every
scrape.
`tests/unit/scripts_rollout/test_verdict_simulated.py` runs a few seeds of it.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

sys.path.insert(0, str(Path(__file__).parent))

from verdict_rules import RULES, Ours

from quarterdeck_scripts.rollout.judge.counts import Batch, Counts, RouteCounts, Tally
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from verdict_rules import Rule

PROMISED_SEEDS = 5000
"""Runs of the rows whose share of false aborts is promised: its upper bound is what counts."""


@dataclass(frozen=True)
class Route:
    """One route's part of the traffic of both sides, and how it fails."""

    canary_part: float
    stable_part: float
    canary_ratio: float | None = None
    """None: the scenario's."""
    stable_ratio: float | None = None


EVEN = tuple(Route(part, part) for part in (0.5, 0.25, 0.15, 0.08, 0.02))
"""Five routes, alike on both sides: the busiest has half of the traffic, the quietest a fiftieth."""


@dataclass(frozen=True)
class Scenario:
    """One kind of canary."""

    name: str
    canary_ratio: float
    stable_ratio: float
    canary_rate: float
    """Requests a second."""
    stable_rate: float
    minutes: float = 60
    scrape: float = 15
    """Seconds."""
    routes: tuple[Route, ...] = EVEN
    every: float = 0.0
    """Minutes from one spell of failing to the next; 0: it always fails."""
    spell: float = 0.0
    """Minutes that one lasts; between them the canary is as good as stable."""
    incident: float = 0.0
    """Error ratio of both sides from minute 10 to 15, beside their own."""
    bad: bool = False
    """Whether the canary should be aborted."""
    promised: bool = False
    """Whether the share of false aborts is promised, and so simulated `PROMISED_SEEDS` times."""

    def ratios(self, route: Route, minute: float) -> tuple[float, float]:
        """Return the error ratios of canary and stable on *route* at that time."""
        stable = self.stable_ratio if route.stable_ratio is None else route.stable_ratio
        canary = self.canary_ratio if route.canary_ratio is None else route.canary_ratio
        if self.every and minute % self.every >= self.spell:
            canary = stable
        beside = self.incident if 10 <= minute < 15 else 0.0
        return min(1.0, canary + beside), min(1.0, stable + beside)


_MARGIN = (0.0048, 0.0032)
"""Two groups that differ by 20 % either way in nature: 1.2 / 0.8. Every FAIL is a false abort."""

SCENARIOS = (
    Scenario("0.2 % to 1 %, 10 rps beside 90", 0.01, 0.002, 10, 90, bad=True),
    Scenario("0.2 % to 1 %, 10 rps beside 10", 0.01, 0.002, 10, 10, bad=True),
    Scenario("0.2 % to 5 %, 10 rps beside 90", 0.05, 0.002, 10, 90, bad=True),
    Scenario("0.2 % to 5 %, 10 rps beside 10", 0.05, 0.002, 10, 10, bad=True),
    Scenario("0.2 % to 0.4 %, 10 rps beside 90", 0.004, 0.002, 10, 90, bad=True),
    Scenario("0.05 % to 1 %, 2 rps beside 38", 0.01, 0.0005, 2, 38, bad=True),
    Scenario("0.2 % to 10 %, one minute in five, 10 rps beside 90", 0.1, 0.002, 10, 90, every=5, spell=1, bad=True),
    Scenario(
        "one route of 1 % of the traffic fails half, 10 rps beside 90",
        *(0.002, 0.002, 10, 90),
        routes=(Route(0.79, 0.79), Route(0.2, 0.2), Route(0.01, 0.01, 0.5)),
        bad=True,
    ),
    Scenario("healthy at 0.2 %, 100 rps beside 900", 0.002, 0.002, 100, 900),
    Scenario("healthy without errors, 100 rps beside 900", 0.0, 0.0, 100, 900),
    Scenario("healthy without errors, 40 rps beside 120, 2 s", 0.0, 0.0, 40, 120, scrape=2),
    Scenario("0 % to 5 %, 40 rps beside 120, 2 s", 0.05, 0.0, 40, 120, scrape=2, bad=True),
    Scenario("an incident of 5 % hits both, 10 rps beside 90", 0.002, 0.002, 10, 90, incident=0.05),
    Scenario(
        "another mix: 60 % for a route that fails 3 %, not 10 %, 100 rps beside 900",
        *(0.001, 0.001, 100, 900),
        routes=(Route(0.6, 0.1, 0.03, 0.03), Route(0.4, 0.9)),
    ),
    Scenario("on the margin (1.2/0.8), 500 rps: 50 beside 450", *_MARGIN, 50, 450, promised=True),
    Scenario("on the margin (1.2/0.8), 10 rps: 1 beside 9", *_MARGIN, 1, 9, promised=True),
    Scenario("on the margin (1.2/0.8), 500 rps: 250 beside 250", *_MARGIN, 250, 250, promised=True),
    Scenario("on the margin (1.2/0.8), 10 rps: 5 beside 5", *_MARGIN, 5, 5, promised=True),
)
"""One committed configuration, `Criteria()`, for all of them."""


class Kind(Protocol):
    """What there may be results of."""

    @property
    def name(self) -> str:
        """See `Scenario`."""

    @property
    def bad(self) -> bool:
        """See `Scenario`."""

    @property
    def promised(self) -> bool:
        """See `Scenario`."""


@dataclass(frozen=True)
class Result:
    """How many runs ended how, and when."""

    scenario: Kind
    minutes: dict[Verdict, list[float]]

    @property
    def runs(self) -> int:
        """How many there were."""
        return sum(map(len, self.minutes.values()))

    def share(self, verdict: Verdict) -> float:
        """Return the share of runs that ended so."""
        return len(self.minutes[verdict]) / self.runs

    def median(self, verdict: Verdict) -> float:
        """Return the median time to *verdict* in minutes, over all runs; infinity when most never came to it."""
        never = self.runs - len(self.minutes[verdict])
        return statistics.median_high([*self.minutes[verdict], *[math.inf] * never])

    def upper_bound(self, verdict: Verdict) -> float:
        """Return the one-sided 95 % upper bound (Clopper-Pearson) of that share."""
        hits = len(self.minutes[verdict])
        low, high = hits / self.runs, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _at_most(hits, self.runs, middle) > 0.05 else (low, middle)
        return high

    def row(self, rule: str) -> dict[str, Any]:
        """Return it as docs/benchmarks.json has it."""
        times = {verdict: self.median(verdict) for verdict in (Verdict.FAIL, Verdict.PASS)}
        return {
            "scenario": self.scenario.name,
            "rule": rule,
            "bad": self.scenario.bad,
            "promised": self.scenario.promised,
            "runs": self.runs,
            "fail": self.share(Verdict.FAIL),
            "fail, at most": self.upper_bound(Verdict.FAIL),
            "pass": self.share(Verdict.PASS),
            "minutes to fail": None if math.isinf(times[Verdict.FAIL]) else times[Verdict.FAIL],
            "minutes to pass": None if math.isinf(times[Verdict.PASS]) else times[Verdict.PASS],
        }


def simulate(scenario: Scenario, seeds: int, rule: type[Rule] = Ours, first: int = 0) -> Result:
    """Run *scenario* once per seed."""
    minutes: dict[Verdict, list[float]] = {verdict: [] for verdict in Verdict}
    for seed in range(first, first + seeds):
        verdict, took = run(scenario, random.Random(f"{scenario.name}/{seed}"), rule())  # noqa: S311 -- a simulation
        minutes[verdict].append(took)
    return Result(scenario, minutes)


def run(scenario: Scenario, chance: random.Random, rule: Rule) -> tuple[Verdict, float]:
    """Run *scenario* once; return the verdict and the minutes it took."""
    for minute, batch in traffic(scenario, chance):
        verdict = rule.look(batch)
        if verdict is not Verdict.INCONCLUSIVE:
            return verdict, minute
    return Verdict.INCONCLUSIVE, scenario.minutes


def traffic(scenario: Scenario, chance: random.Random) -> Iterator[tuple[float, Batch]]:
    """Yield what is counted in each scrape interval, with the minute in which it ends."""
    for scrape in range(1, int(scenario.minutes * 60 / scenario.scrape) + 1):
        minute = (scrape - 1) * scenario.scrape / 60
        parts = []
        for number, route in enumerate(scenario.routes):
            sides = zip(
                (scenario.canary_rate * route.canary_part, scenario.stable_rate * route.stable_part),
                scenario.ratios(route, minute),
                strict=True,
            )
            counts = []
            for rate, ratio in sides:
                requests = int(rate * scenario.scrape * scrape) - int(rate * scenario.scrape * (scrape - 1))
                counts.append(Counts(requests, failures(requests, ratio, chance)))
            parts.append(RouteCounts(f"GET /{number}", *counts))
        whole = Tally.of(tuple(parts))
        yield scrape * scenario.scrape / 60, Batch(whole.canary, whole.stable, scenario.scrape, whole.routes)


def failures(requests: int, ratio: float, chance: random.Random) -> int:
    """Draw a binomial number exactly, by the gaps between failures."""
    if ratio <= 0:
        return 0
    count, position = 0, 0
    log_success = math.log1p(-ratio)
    while True:
        position += int(math.log(1.0 - chance.random()) / log_success) + 1
        if position > requests:
            return count
        count += 1


def _at_most(hits: int, runs: int, chance: float) -> float:
    if chance >= 1:
        return 0.0
    log_terms = [
        math.lgamma(runs + 1)
        - math.lgamma(k + 1)
        - math.lgamma(runs - k + 1)
        + k * math.log(chance)
        + (runs - k) * math.log1p(-chance)
        for k in range(hits + 1)
    ]
    return sum(map(math.exp, log_terms))


_PORTION = 250
"""Seeds that one process takes at a time."""


def measure(scenario: Scenario, rule: str, seeds: int, pool: ProcessPoolExecutor) -> Result:
    """Run *scenario* under the rule called *rule*, in several processes."""
    starts = range(0, seeds, _PORTION)
    count = len(starts)
    portions = pool.map(
        simulate,
        [scenario] * count,
        [min(_PORTION, seeds - first) for first in starts],
        [RULES[rule]] * count,
        starts,
    )
    minutes: dict[Verdict, list[float]] = {verdict: [] for verdict in Verdict}
    for portion in portions:
        for verdict, times in portion.minutes.items():
            minutes[verdict] += times
    return Result(scenario, minutes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=500)
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    parser.add_argument("--only", default="", help="the scenarios with this text in their names")
    options = parser.parse_args(arguments)
    rows = []
    with ProcessPoolExecutor() as pool:
        for scenario in (each for each in SCENARIOS if options.only in each.name):
            for rule in RULES:
                began = time.monotonic()
                ours = rule == "ours" and scenario.promised
                result = measure(scenario, rule, max(options.seeds, PROMISED_SEEDS if ours else 0), pool)
                rows.append(result.row(rule))
                shown = "  ".join(
                    f"{each} {result.share(each):.2%} (<= {result.upper_bound(each):.2%}) {result.median(each):.2f} min"
                    for each in (Verdict.FAIL, Verdict.PASS)
                )
                took = time.monotonic() - began
                print(f"{scenario.name[:60]:60} {rule:12} {shown}  [{took:.0f} s]", flush=True)  # noqa: T201 -- its output
    if options.write:
        import results  # noqa: PLC0415 -- needs the environments of the peers, for which this measurement does not ask

        results.write("verdicts", rows, key=("scenario", "rule"))


if __name__ == "__main__":
    main()
