"""PASS, FAIL, INCONCLUSIVE: what counts lead to which, and what is said of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_dashboards.catalogue import parse
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective, objectives_of
from quarterdeck_scripts.rollout.judge.guards import Word
from quarterdeck_scripts.rollout.judge.verdict import Batch, Counts, Trial, Verdict, assess

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine with other work to do is no failure."""

FAILED = Objective("availability", Bad.FAILED, floor=0.0025)


def trial(*batches: tuple[int, int, int, int], criteria: Criteria | None = None) -> Trial:
    """Return a trial after *batches* of canary requests, canary errors, stable requests, stable errors; 15 s each."""
    evidence = Trial.of(FAILED, criteria or Criteria())
    for canary, canary_bad, stable, stable_bad in batches:
        evidence = evidence.add(Batch(Counts(canary, canary_bad), Counts(stable, stable_bad), 15))
    return evidence


def test_clear_damage_fails() -> None:
    """5 % beside 0.2 % is decided by the second scrape."""
    judgement = trial((150, 8, 1350, 3), (150, 7, 1350, 2)).judge()

    assert judgement.verdict is Verdict.FAIL
    assert judgement.effect.low > 1.5
    assert judgement.canary_share.low > FAILED.floor


def test_one_burst_does_not_fail() -> None:
    """Errors of a single scrape are one event, however many."""
    assert trial((150, 60, 1350, 2)).verdict() is Verdict.INCONCLUSIVE


def test_damage_on_both_sides_does_not_fail() -> None:
    """An incident that hits both versions alike is not the canary's fault."""
    assert trial(*[(150, 30, 1350, 270)] * 10).verdict() is not Verdict.FAIL


def test_an_incident_half_way_through_does_not_fail() -> None:
    """The baseline may move in time: only the split of the errors counts."""
    assert trial(*[(150, 0, 1350, 2)] * 20, *[(150, 15, 1350, 135)] * 10).verdict() is not Verdict.FAIL


def test_no_errors_on_either_side_pass() -> None:
    """Zero errors are evidence: after some 2,000 requests the canary is shown to be below the floor."""
    assert trial(*[(150, 0, 1350, 0)] * 10).verdict() is Verdict.INCONCLUSIVE
    judgement = trial(*[(150, 0, 1350, 0)] * 13).judge()

    assert judgement.verdict is Verdict.PASS
    assert judgement.canary_share.high is not None
    assert judgement.canary_share.high < FAILED.floor


def test_a_canary_like_the_stable_version_passes_above_the_floor() -> None:
    """A service that fails 1 % of its requests may be replaced by one that does the same."""
    judgement = trial(*[(1500, 15, 13500, 135)] * 20).judge()

    assert judgement.verdict is Verdict.PASS
    assert judgement.effect.high is not None
    assert judgement.effect.high < 1.5


def test_a_pass_needs_time() -> None:
    """Any number of good requests in one moment is one moment."""
    assert trial((100_000, 0, 900_000, 0)).verdict() is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("sides", [(0, 0, 1000, 0), (0, 0, 0, 0)])
def test_no_canary_requests_decide_nothing(sides: tuple[int, int, int, int]) -> None:
    """Without traffic there is no verdict."""
    judgement = trial(*[sides] * 50).judge()

    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.explanation.endswith("the canary has served no request that counts.")


def test_it_says_how_long_it_still_takes() -> None:
    """The requests and seconds still needed follow from the growth of the evidence so far."""
    judgement = trial(*[(150, 0, 1350, 0)] * 8).judge()

    assert judgement.needed_requests is not None
    assert judgement.needed_seconds is not None
    left = judgement.needed_requests
    assert trial(*[(150, 0, 1350, 0)] * 8, (left + 150, 0, 1350, 0)).verdict() is Verdict.PASS
    assert judgement.needed_seconds == pytest.approx(left / 10)


def test_it_explains_itself() -> None:
    """One sentence with the counts, what they show, and what is allowed."""
    assert trial((150, 8, 1350, 3), (150, 7, 1350, 2)).judge().explanation == (
        "Availability: the canary failed 15 of 300 requests (5 %), the stable version 5 of 2,700 requests (0.19 %): "
        "shown to happen at least 5.3 times as often as with stable (1.5 times is allowed), on more than 1.8 % of "
        "requests (0.25 % is always allowed); the chance that this is a false alarm is at most 1 %."
    )


def test_any_cause_makes_it_inconclusive() -> None:
    """Doubt about the data outweighs what the counts seem to show."""
    passing, failing = trial(*[(150, 0, 1350, 0)] * 20), trial(*[(150, 50, 1350, 0)] * 20)

    for evidence in (passing, failing):
        assessment = assess([evidence], ["a counter of pod x had the value nan"])
        assert assessment.verdict is Verdict.INCONCLUSIVE
        assert assessment.explanation == "No verdict: a counter of pod x had the value nan."


def test_one_objective_fails_all_must_pass() -> None:
    """A slow canary fails although it answers everything; a fast one waits for the other objective."""
    passing, failing, open_ = trial(*[(150, 0, 1350, 0)] * 20), trial(*[(150, 50, 1350, 0)] * 20), trial()

    assert assess([passing, failing], []).verdict is Verdict.FAIL
    assert assess([passing, open_], []).verdict is Verdict.INCONCLUSIVE
    assert assess([passing, passing], []).verdict is Verdict.PASS
    assert assess([], []).verdict is Verdict.INCONCLUSIVE


def test_guards_fail_whatever_the_counts_show_and_hold_a_pass() -> None:
    """An alarm fails even while Prometheus is silent; what has to be waited for makes no FAIL and no PASS."""
    passing, failing = trial(*[(150, 0, 1350, 0)] * 20), trial(*[(150, 50, 1350, 0)] * 20)

    assert assess([passing], [], Word(alarm="Restarts: two.")).verdict is Verdict.FAIL
    assert assess([passing], ["silence"], Word(alarm="Restarts: two.")).explanation == "Restarts: two."
    assert assess([passing], [], Word(wait="It grows.")).verdict is Verdict.INCONCLUSIVE
    assert assess([failing], [], Word(wait="It grows.")).verdict is Verdict.FAIL


def test_a_pass_far_from_the_peak_says_what_it_does_not_show() -> None:
    """By the traffic that it was made of, 100 requests a second, whatever there was when the rollout began."""
    passing, failing = trial(*[(150, 0, 1350, 0)] * 20), trial(*[(150, 50, 1350, 0)] * 20)
    words = "Judged at 25 % of the last week's peak: what fails only at the peak is not shown."

    assert assess([passing], [], peak=400.0).unseen == words
    assert assess([passing], [], peak=400.0).explanation.endswith(f" (0.25 % is always allowed). {words}")
    assert [assess([passing], [], peak=peak).unseen for peak in (0.0, 190.0)] == ["", ""]
    assert assess([failing], [], peak=400.0).unseen == ""


def test_objectives_and_routes_share_the_chance_of_a_false_alarm() -> None:
    """Whatever may fail a canary has a part of the chance, so that the rollout as a whole keeps its promise."""
    criteria = Criteria()
    each = Trial.of(FAILED, criteria, sharers=2)
    with_others = criteria.most_routes + 1

    assert 2 * (each.alpha_fail + with_others * each.alpha_route) == pytest.approx(criteria.false_fail)


def test_objectives_come_from_the_catalogue() -> None:
    """The floor is half the error budget; errors are judged even where none, or only a part, is promised.

    Promises about anything but requests are no canary's.
    """
    text = """
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: a
    owner: x
    image: localhost/a:v1
    slos: [{name: fast, kind: latency, objective: 99, threshold: 250ms}]
  - name: b
    owner: x
    image: localhost/b:v1
    slos: [{name: up, kind: availability, objective: 99.9}]
  - name: c
    owner: x
    image: localhost/c:v1
    metrics: [{name: jobs.done, kind: counter, description: Jobs.}]
    slos:
      - {name: users, kind: availability, objective: 99.9, route: "/users/{id}", method: GET}
      - {name: jobs, kind: throughput, objective: 99, metric: jobs.done, minimum: 1}
"""
    first, second, third = parse(text, "a test").services

    assert objectives_of(first, Criteria()) == (
        Objective("errors", Bad.FAILED, 0.0025),
        Objective("fast", Bad.SLOW, 0.005, 0.25),
    )
    assert objectives_of(second, Criteria()) == (Objective("up", Bad.FAILED, 0.0005),)
    assert objectives_of(third, Criteria()) == (
        Objective("errors", Bad.FAILED, 0.0025),
        Objective(
            "users",
            Bad.FAILED,
            0.0005,
            where=(("http_route", "/?users/[{<][^/]*[}>]/?"), ("http_request_method", "GET")),
        ),
    )


counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
batches = st.lists(st.tuples(counts, counts).map(lambda pair: (*pair[0], *pair[1])), max_size=12)


@UNHURRIED
@given(batches)
def test_verdicts_follow_from_the_bounds(given_batches: list[tuple[int, int, int, int]]) -> None:
    """FAIL only above both thresholds, PASS only below one: the numbers shown are the reason."""
    evidence = trial(*given_batches)
    judgement = evidence.judge()
    ratio, high = evidence.criteria.ratio, judgement.effect.high

    assert judgement.verdict is evidence.verdict()
    if judgement.verdict is Verdict.FAIL:
        assert judgement.effect.low >= ratio * (1 - 1e-9)
        assert judgement.canary_share.low >= FAILED.floor * (1 - 1e-9)
    if judgement.verdict is Verdict.PASS:
        below_ratio = high is not None and high <= ratio * (1 + 1e-9)
        assert below_ratio or (judgement.canary_share.high or 1) <= FAILED.floor * (1 + 1e-9)


@UNHURRIED
@given(batches)
def test_bounds_hold_the_estimate(given_batches: list[tuple[int, int, int, int]]) -> None:
    """What was counted lies within what is possible."""
    judgement = trial(*given_batches).judge()
    share = judgement.canary_share

    assert 0 <= share.low <= (share.high or 1) <= 1
    if share.value is not None:
        assert share.low <= share.value * (1 + 1e-9) + 1e-12
        assert (share.high or 1) >= share.value * (1 - 1e-9)
    assert judgement.effect.low <= (judgement.effect.high or math.inf)


@UNHURRIED
@given(batches, st.integers(1, 50))
def test_more_canary_errors_never_help(given_batches: list[tuple[int, int, int, int]], more: int) -> None:
    """Turning good canary requests bad only adds to the evidence against it."""
    usable = [batch for batch in given_batches if batch[0] - batch[1] >= more]
    worse = [(n, bad + more, stable, stable_bad) for n, bad, stable, stable_bad in usable]

    # The proportion alone: with the ratio a canary error also says something of the baseline's level.
    only_share = replace(Criteria(), fail_scrapes=0, pass_scrapes=0)
    before, after = (trial(*each, criteria=only_share)._share_curve() for each in (usable, worse))
    assert after.above() >= before.above() - 1e-9
    assert after.below() <= before.below() + 1e-9
