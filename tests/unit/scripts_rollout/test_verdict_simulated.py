"""The verdict's promises, on simulated canaries. The large table is `tests/bench/verdict_simulation.py`."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_scripts.rollout.judge.counts import Batch, Counts
from quarterdeck_scripts.rollout.judge.verdict import Verdict

SEEDS = 60
"""Enough for a median; the seeds are fixed, so the figures are too."""


def scenario(simulation: Any, name: str) -> Any:
    """Return one of the committed scenarios."""
    return next(each for each in simulation.SCENARIOS if each.name == name)


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("0.2 % to 1 %, 10 rps beside 90", 3.0),
        ("0.2 % to 1 %, 10 rps beside 10", 7.0),
        ("0.2 % to 5 %, 10 rps beside 90", 1.0),
        ("0.2 % to 5 %, 10 rps beside 10", 1.0),
    ],
)
def test_damage_is_found_in_time(simulation: Any, name: str, minutes: float) -> None:
    """The median time to FAIL, with a scrape every 15 s, is within what is promised; no bad canary passes."""
    result = simulation.simulate(scenario(simulation, name), SEEDS)

    assert result.median(Verdict.FAIL) <= minutes
    assert result.share(Verdict.PASS) == 0


@pytest.mark.parametrize(
    "name",
    [
        "healthy at 0.2 %, 100 rps beside 900",
        "healthy without errors, 100 rps beside 900",
        "another mix: 60 % for a route that fails 3 %, not 10 %, 100 rps beside 900",
    ],
)
def test_a_healthy_canary_passes_in_time(simulation: Any, name: str) -> None:
    """The median time to PASS is within ten minutes, and no healthy canary fails, whatever mix of routes it gets."""
    result = simulation.simulate(scenario(simulation, name), SEEDS)

    assert result.median(Verdict.PASS) <= 10
    assert result.share(Verdict.FAIL) == 0


def test_a_canary_on_the_margin_is_hardly_ever_aborted(simulation: Any) -> None:
    """An hour of looking every 15 s at a canary 1.5 times as bad by nature: false alarms stay at their promise."""
    result = simulation.simulate(scenario(simulation, "on the margin (1.2/0.8), 500 rps: 50 beside 450"), 30)

    assert result.share(Verdict.FAIL) <= 0.01


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("0.2 % to 10 %, one minute in five, 10 rps beside 90", 1.0),
        ("one route of 1 % of the traffic fails half, 10 rps beside 90", 5.0),
    ],
)
def test_a_canary_that_fails_now_and_then_or_on_one_route_is_found(simulation: Any, name: str, minutes: float) -> None:
    """What a mean over time or over routes hides is damage too."""
    result = simulation.simulate(scenario(simulation, name), SEEDS)

    assert result.median(Verdict.FAIL) <= minutes
    assert result.share(Verdict.PASS) == 0


def test_an_incident_that_hits_both_sides_does_not_abort(simulation: Any) -> None:
    """Five minutes in which both versions fail 5 % of their requests are nobody's fault."""
    result = simulation.simulate(scenario(simulation, "an incident of 5 % hits both, 10 rps beside 90"), SEEDS)

    assert result.share(Verdict.FAIL) == 0


@pytest.mark.parametrize(("rule", "minutes"), [("threshold", 9), ("mann-whitney", 10)])
def test_the_peers_rules_do_as_is_known_of_them(simulation: Any, rule: str, minutes: float) -> None:
    """From 0.2 to 1 %: the fourth of the minutes above 1 %, and the first look of the ranks."""
    found = scenario(simulation, "0.2 % to 1 %, 10 rps beside 90")
    result = simulation.simulate(found, SEEDS, simulation.RULES[rule])

    assert result.share(Verdict.FAIL) == 1
    assert result.median(Verdict.FAIL) == pytest.approx(minutes, abs=1)


def test_ranks_say_so_when_they_see_nothing(simulation: Any) -> None:
    """Two sides that are the same in every minute are not told apart by any rule."""
    rules = [rule() for rule in simulation.RULES.values()]
    same = Batch(Counts(150, 1), Counts(1350, 9), 15)

    for _ in range(240):
        assert Verdict.FAIL not in [rule.look(same) for rule in rules]


def test_failures_are_drawn_from_the_binomial(simulation: Any) -> None:
    """The simulation's own dice: mean and variance over 4,000 draws are those of 200 requests at 3 %."""
    import random  # noqa: PLC0415 -- the dice of this test alone

    chance = random.Random(5)  # noqa: S311 -- a simulation
    draws = [simulation.failures(200, 0.03, chance) for _ in range(4000)]
    mean = sum(draws) / len(draws)

    assert mean == pytest.approx(6.0, abs=0.12)
    assert sum((draw - mean) ** 2 for draw in draws) / len(draws) == pytest.approx(5.82, abs=0.4)
