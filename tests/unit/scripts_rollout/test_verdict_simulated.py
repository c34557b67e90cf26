"""The verdict's promises, on simulated canaries. The large table is `tests/bench/verdict_simulation.py`."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_scripts.rollout.verdict import Verdict

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


@pytest.mark.parametrize("name", ["healthy at 0.2 %, 100 rps beside 900", "healthy without errors, 100 rps beside 900"])
def test_a_healthy_canary_passes_in_time(simulation: Any, name: str) -> None:
    """The median time to PASS is within ten minutes, and no healthy canary fails."""
    result = simulation.simulate(scenario(simulation, name), SEEDS)

    assert result.median(Verdict.PASS) <= 10
    assert result.share(Verdict.FAIL) == 0


def test_a_canary_on_the_margin_is_hardly_ever_aborted(simulation: Any) -> None:
    """An hour of looking every 15 s at a canary 1.5 times as bad by nature: false alarms stay at their promise."""
    result = simulation.simulate(scenario(simulation, "on the margin (1.2/0.8), 50 rps beside 450"), 100)

    assert result.share(Verdict.FAIL) <= 0.01


def test_failures_are_drawn_from_the_binomial(simulation: Any) -> None:
    """The simulation's own dice: mean and variance over 4,000 draws are those of 200 requests at 3 %."""
    import random  # noqa: PLC0415 -- the dice of this test alone

    chance = random.Random(5)  # noqa: S311 -- a simulation
    draws = [simulation.failures(200, 0.03, chance) for _ in range(4000)]
    mean = sum(draws) / len(draws)

    assert mean == pytest.approx(6.0, abs=0.12)
    assert sum((draw - mean) ** 2 for draw in draws) / len(draws) == pytest.approx(5.82, abs=0.4)
