"""Simulated canaries under the real verdict: how often it is wrong, and how long it takes.

    python tests/bench/verdict_simulation.py [SEEDS]

prints the table. Every request fails independently with its side's error ratio; the verdict looks at every
scrape. `tests/unit/scripts_rollout/test_verdict_simulated.py` runs a few seeds of it.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from dataclasses import dataclass

from quarterdeck_scripts.rollout.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.verdict import Batch, Counts, Trial, Verdict

OBJECTIVE = Objective("availability", Bad.FAILED, floor=0.0025)
"""An SLO of 99.5 %: what a service with an error ratio of 0.2 % can promise."""


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
    objectives: int = 1
    """How many objectives share the chance of a false alarm."""


@dataclass(frozen=True)
class Result:
    """How many runs ended how, and when."""

    scenario: Scenario
    minutes: dict[Verdict, list[float]]

    def share(self, verdict: Verdict) -> float:
        """Return the share of runs that ended so."""
        return len(self.minutes[verdict]) / sum(map(len, self.minutes.values()))

    def median(self, verdict: Verdict) -> float:
        """Return the median time to *verdict* in minutes, over all runs; infinity when most never came to it."""
        never = sum(len(times) for ended, times in self.minutes.items() if ended is not verdict)
        return statistics.median_high([*self.minutes[verdict], *[math.inf] * never])

    def upper_bound(self, verdict: Verdict) -> float:
        """Return the one-sided 95 % upper bound (Clopper-Pearson) of that share."""
        runs, hits = sum(map(len, self.minutes.values())), len(self.minutes[verdict])
        low, high = hits / runs, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _at_most(hits, runs, middle) > 0.05 else (low, middle)
        return high


SCENARIOS = (
    Scenario("0.2 % to 1 %, 10 rps beside 90", 0.01, 0.002, 10, 90),
    Scenario("0.2 % to 1 %, 10 rps beside 10", 0.01, 0.002, 10, 10),
    Scenario("0.2 % to 5 %, 10 rps beside 90", 0.05, 0.002, 10, 90),
    Scenario("0.2 % to 5 %, 10 rps beside 10", 0.05, 0.002, 10, 10),
    Scenario("0.2 % to 0.4 %, 10 rps beside 90", 0.004, 0.002, 10, 90),
    Scenario("healthy at 0.2 %, 100 rps beside 900", 0.002, 0.002, 100, 900),
    Scenario("healthy without errors, 100 rps beside 900", 0.0, 0.0, 100, 900),
    Scenario("healthy without errors, 40 rps beside 120, 2 s", 0.0, 0.0, 40, 120, scrape=2, objectives=2),
    Scenario("0 % to 5 %, 40 rps beside 120, 2 s", 0.05, 0.0, 40, 120, scrape=2, objectives=2),
    Scenario("on the margin (1.2/0.8), 1 rps beside 9", 0.0048, 0.0032, 1, 9),
    Scenario("on the margin (1.2/0.8), 5 rps beside 5", 0.0048, 0.0032, 5, 5),
    Scenario("on the margin (1.2/0.8), 50 rps beside 450", 0.0048, 0.0032, 50, 450),
    Scenario("on the margin (1.2/0.8), 250 rps beside 250", 0.0048, 0.0032, 250, 250),
)
"""One committed configuration, `Criteria()`, for all of them. On the margin every FAIL is a false alarm."""


def simulate(scenario: Scenario, seeds: int, first: int = 0) -> Result:
    """Run *scenario* once per seed."""
    minutes: dict[Verdict, list[float]] = {verdict: [] for verdict in Verdict}
    for seed in range(first, first + seeds):
        verdict, took = run(scenario, random.Random(f"{scenario.name}/{seed}"))  # noqa: S311 -- a simulation
        minutes[verdict].append(took)
    return Result(scenario, minutes)


def run(scenario: Scenario, chance: random.Random) -> tuple[Verdict, float]:
    """Run *scenario* once; return the verdict and the minutes it took."""
    trial = Trial.of(OBJECTIVE, Criteria(), scenario.objectives)
    canary, stable = (round(rate * scenario.scrape) for rate in (scenario.canary_rate, scenario.stable_rate))
    for scrape in range(1, int(scenario.minutes * 60 / scenario.scrape) + 1):
        batch = Batch(
            Counts(canary, failures(canary, scenario.canary_ratio, chance)),
            Counts(stable, failures(stable, scenario.stable_ratio, chance)),
            scenario.scrape,
        )
        trial = trial.add(batch)
        verdict = trial.verdict()
        if verdict is not Verdict.INCONCLUSIVE:
            return verdict, scrape * scenario.scrape / 60
    return Verdict.INCONCLUSIVE, scenario.minutes


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


def main() -> None:
    """Print the table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{seeds} seeds each; minutes are medians over all runs")  # noqa: T201 -- this is its output
    for scenario in SCENARIOS:
        began = time.monotonic()
        result = simulate(scenario, seeds)
        shown = "  ".join(
            f"{each} {result.share(each):7.2%} (<= {result.upper_bound(each):6.2%}) {result.median(each):6.2f} min"
            for each in (Verdict.FAIL, Verdict.PASS)
        )
        print(f"{scenario.name:48} {shown}  [{time.monotonic() - began:.0f} s]", flush=True)  # noqa: T201 -- likewise


if __name__ == "__main__":
    main()
