"""Routes: a shifted mix of them is nobody's fault, one that fails is, and what their traffic cannot tell is said."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.rollout.judge.counts import Batch, Counts, RouteCounts, Tally
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.verdict import Trial, Verdict

FAILED = Objective("availability", Bad.FAILED, floor=0.0025)
SLOW = Objective("latency", Bad.SLOW, floor=0.005, threshold=0.25)

Sides = tuple[int, int, int, int]
"""Canary requests, bad ones among them, and the same of stable, in one scrape."""


def trial(scrapes: int, objective: Objective = FAILED, **routes: Sides) -> Trial:
    """Return a trial after so many *scrapes*, in each of which the *routes* had so much."""
    parts = tuple(RouteCounts(f"GET /{name}", Counts(*each[:2]), Counts(*each[2:])) for name, each in routes.items())
    whole = Tally.of(parts)
    evidence = Trial.of(objective, Criteria())
    for _ in range(scrapes):
        evidence = evidence.add(Batch(whole.canary, whole.stable, 15, parts))
    return evidence


def test_a_shifted_mix_of_routes_does_not_fail() -> None:
    """The canary is asked mostly for the route that always fails more: its whole ratio is 4 times stable's."""
    evidence = trial(40, search=(1000, 50, 1000, 50), home=(500, 1, 9000, 18))

    assert evidence.canary.share > 4 * evidence.stable.share
    assert evidence.verdict() is Verdict.PASS


def test_the_same_counts_without_routes_fail() -> None:
    """The control: it is the routes that tell a shifted mix from a broken canary."""
    evidence = Trial.of(FAILED, Criteria())
    for _ in range(40):
        evidence = evidence.add(Batch(Counts(1500, 51), Counts(10_000, 68), 15))

    assert evidence.verdict() is Verdict.FAIL


def test_one_failing_route_fails_where_the_whole_passes() -> None:
    """A route with a thousandth of the traffic is broken: the whole canary stays below the floor."""
    evidence = trial(8, home=(3000, 1, 27_000, 9), export=(3, 3, 27, 0))
    judgement = evidence.judge()

    assert judgement.verdict is Verdict.FAIL
    assert judgement.canary.share < FAILED.floor
    assert judgement.route is not None
    assert judgement.route.route == "GET /export"
    assert judgement.explanation.startswith(
        "Availability of GET /export: the canary failed 24 of 24 requests (100 %), "
        "the stable version 0 of 216 requests (0 %): shown to happen at least "
    )


def test_one_slow_route_fails_where_the_whole_passes() -> None:
    """Latency is judged route by route too."""
    judgement = trial(12, SLOW, home=(3000, 2, 27_000, 18), export=(5, 4, 45, 1)).judge()

    assert judgement.verdict is Verdict.FAIL
    assert judgement.route is not None
    assert judgement.route.route == "GET /export"


def test_one_pause_of_a_process_does_not_fail_as_slow() -> None:
    """What is slow in three scrape intervals may be one event and its aftermath."""
    crowd = (300, 150, 2700, 0)

    assert trial(3, SLOW, home=crowd).verdict() is Verdict.INCONCLUSIVE
    assert trial(4, SLOW, home=crowd).verdict() is Verdict.FAIL


def test_a_pass_waits_for_a_route_under_suspicion() -> None:
    """Too little to fail it, too much to promote it: the route is named."""
    judgement = trial(8, home=(3000, 1, 27_000, 9), export=(1, 1, 9, 1)).judge()

    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.explanation == (
        "Availability of GET /export: the canary failed 8 of 8 requests (100 %), the stable version 8 of 72 requests "
        "(11 %): the rest passes, but this route is under suspicion and waits for more requests."
    )


def test_a_route_that_stable_never_served_cannot_fail_but_keeps_it_from_passing() -> None:
    """A new route that fails has nothing to be compared with."""
    judgement = trial(40, home=(3000, 1, 27_000, 9), new=(3, 2, 0, 0)).judge()

    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.explanation.endswith(
        "the rest passes, but nothing can be compared with a route that the stable version has not served."
    )


def test_a_pass_says_which_part_of_the_routes_it_is_blind_to() -> None:
    """A route with three requests could fail them all unseen."""
    judgement = trial(8, home=(3000, 1, 27_000, 9), cart=(30, 0, 270, 0), rare=(0, 0, 3, 0)).judge()

    assert judgement.verdict is Verdict.PASS
    assert [(route.route, route.telling) for route in judgement.routes] == [
        ("GET /home", True),
        ("GET /cart", True),
        ("GET /rare", False),
    ]
    assert judgement.explanation.endswith("; 1 of 3 routes had too few requests to show even a total failure.")


@pytest.mark.parametrize("requests", [5, 40])
def test_a_route_is_telling_when_its_total_failure_would_fail(requests: int) -> None:
    """What is said of a healthy route is what happens to a broken one with the same traffic."""
    home = (3000, 1, 27_000, 9)
    (_, told) = trial(2, home=home, export=(requests // 2, 0, requests * 4, 0)).judge().routes
    broken = trial(2, home=home, export=(requests // 2, requests // 2, requests * 4, 0))

    assert told.telling is (broken.verdict() is Verdict.FAIL)
