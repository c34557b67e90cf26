"""What is logged fails a canary whose requests look well: plainly more than stable's, and all the time."""

from __future__ import annotations

import math
import random as random_
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.ports import Series
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.guards import Rules, Sight, word
from quarterdeck_scripts.rollout.judge.logged import LogCount, Logged, LogRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEED = 20_261_123
EVERY = 15.0
"""Seconds between two looks."""
CANARY, STABLE = PodFact("c", "canary", True, True), PodFact("s", "stable", True, False)


def said(pod: str, *samples: tuple[float, float], severity: str = "ERROR") -> Series:
    """Return a counter of what *pod* logs."""
    return Series({"__name__": "quarterdeck_log_records_total", "pod": pod, "log_severity": severity}, samples)


def seen(
    canary: Callable[[float], float],
    stable: Callable[[float], float] = lambda _: 0.0,
    *,
    looks: int = 20,
    served: tuple[float, float] = (10.0, 90.0),
    pods: tuple[int, int] = (1, 9),
) -> list[Sight]:
    """Return sights of what both sides log, errors each second by the seconds since the rollout began.

    *served*: requests each second of both sides; *pods*: how many there are.
    """
    errors, sights = [0.0, 0.0], []
    for look in range(looks):
        at = look * EVERY
        requests = (round(served[0] * at), round(served[1] * at))
        minutes = (pods[0] * at / 60, pods[1] * at / 60)
        sights.append(Sight(1000.0 + at, logged=Logged((round(errors[0]), round(errors[1])), requests, minutes)))
        errors = [errors[0] + EVERY * canary(at), errors[1] + EVERY * stable(at)]
    return sights


def first_alarm(sights: list[Sight], floor: float = 0.0025) -> float | None:
    """Return after how many seconds the canary fails; None if it does not."""
    moments = (n for n in range(1, len(sights) + 1) if word(sights[:n], 1.5, Rules(), floor).alarm)
    return next(((n - 1) * EVERY for n in moments), None)


def test_errors_that_go_on_fail() -> None:
    """Five minutes of them; a PASS waits from the second look on."""
    sights = seen(lambda _: 1.0, lambda _: 0.09, looks=24)

    assert [bool(word(sights[:n], 1.5).wait) for n in range(1, 21)] == [False] * 2 + [True] * 18
    assert word(sights[:4], 1.5).wait == (
        "Logs: the canary has logged 30 errors within 30 s, all the time, 10 on 100 requests; the stable pods 0.11: "
        "the rest passes, and waits to see whether it goes on."
    )
    assert first_alarm(sights) == 300.0
    assert word(sights[:21], 1.5).alarm == (
        "Logs: the canary has logged 300 errors within 300 s, all the time, 10 on 100 requests; the stable pods 0.1."
    )


def test_a_pass_waits_as_soon_where_looks_are_frequent() -> None:
    """Regression: a canary seen each two seconds passed eight seconds after its warm-up, logging with each request."""
    often = [
        Sight(1000.0 + 2.0 * look, logged=Logged((5 * max(0, look - 10), 0), (20 * look, 80 * look), (look, 9 * look)))
        for look in range(15)
    ]

    assert [bool(word(often[:n], 1.5).wait) for n in range(10, 16)] == [False] * 3 + [True] * 3


def test_what_sets_in_later_has_to_go_on_for_longer() -> None:
    """It may be one pod's bad luck: it fails when it was so half of the time. A PASS waits meanwhile."""
    sights = seen(lambda at: 1.0 if at >= 600 else 0.0, looks=90)

    assert [bool(word(sights[:n], 1.5).wait) for n in (40, 43, 50, 75)] == [False, True, True, True]
    assert first_alarm(sights) == 1155.0


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        (lambda _: 0.09, lambda _: 0.0),  # less than one on 100 requests
        (lambda _: 1.0, lambda _: 1.9),  # less than five times as many on each request
        (lambda at: 5.0 if at < 200 else 0.0, lambda _: 0.0),  # once, while something was away
        (lambda at: 5.0 if at % 180 < 60 else 0.0, lambda _: 0.0),  # again and again, with two minutes of peace
        (lambda _: 1.0, lambda at: 18.0 if at < 60 else 0.0),  # as the stable pods did before, for a minute
        (lambda at: 3.0 if at > 100 else 0.0, lambda at: 27.0 if at > 100 else 0.0),  # both: what they depend on
    ],
    ids=["few", "as stable", "once", "now and then", "as stable did", "both"],
)
def test_what_is_not_plain_does_not_fail(canary: Callable[[float], float], stable: Callable[[float], float]) -> None:
    """Less than is always allowed, less than a plain multiple, over soon, or not the canary's alone."""
    assert first_alarm(seen(canary, stable, looks=40)) is None


def test_a_handful_of_lines_is_no_reason() -> None:
    """Less than twenty errors are few, on however few requests."""
    quiet = (0.1, 0.9)

    assert first_alarm(seen(lambda _: 19 / 300, served=quiet, looks=40)) is None
    assert first_alarm(seen(lambda _: 20 / 300, served=quiet, looks=40)) == 300.0


def test_more_may_be_logged_where_more_may_fail() -> None:
    """A failed request is logged by handler, framework and server; its share is what requests are judged by."""
    sights = seen(lambda _: 0.9, looks=30)

    assert first_alarm(sights, floor=0.02) == 300.0
    assert first_alarm(sights, floor=0.025) is None


def test_errors_that_no_request_makes_are_compared_by_pod() -> None:
    """A canary that gets a hundredth of the traffic logs as much beside it as each other pod."""
    behind_a_gateway = (1.0, 99.0)

    assert first_alarm(seen(lambda _: 0.5, lambda _: 4.5, served=behind_a_gateway, looks=40)) is None
    assert first_alarm(seen(lambda _: 3.0, lambda _: 4.5, served=behind_a_gateway, looks=40)) == 300.0


def test_a_service_that_nobody_asks_is_judged_by_pod() -> None:
    """A consumer: more than ten a minute and pod, and five times the stable pods'."""
    nobody = (0.0, 0.0)

    assert first_alarm(seen(lambda _: 0.2, served=nobody, looks=30)) == 300.0
    assert first_alarm(seen(lambda _: 0.16, served=nobody, looks=30)) is None
    assert first_alarm(seen(lambda _: 0.6, lambda _: 1.9, served=nobody, looks=30)) is None
    assert word(seen(lambda _: 1.0, lambda _: 0.9, served=nobody, looks=21), 1.5).alarm == (
        "Logs: the canary has logged 300 errors within 300 s, all the time, 60 in each pod's minute; the stable pods 6."
    )


def test_without_a_stable_side_nothing_is_said() -> None:
    """Of an older instrumentation, which counts no records, nothing is known: neither good nor bad."""
    sights = seen(lambda _: 5.0, pods=(1, 0), looks=30)
    silent = [Sight(each.at) for each in sights]

    assert first_alarm(sights) is None
    assert first_alarm(seen(lambda _: 5.0, served=(10.0, 0.0), looks=30)) is None
    assert (word(silent, 1.5).alarm, word(silent, 1.5).wait) == ("", "")
    assert (word([*sights, Sight(9e9)], 1.5).alarm, word([*sights, Sight(9e9)], 1.5).wait) == ("", "")


def test_slow_looks_need_as_many() -> None:
    """With one each two minutes there are ten minutes of them, not five."""
    minutes = [Sight(each.at * 8, logged=each.logged) for each in seen(lambda _: 1.0)]

    assert [bool(word(minutes[:n], 1.5).alarm) for n in range(1, 8)] == [False] * 5 + [True] * 2


def test_nobody_who_looked_before_there_was_such_a_guard_hears_it() -> None:
    """A bundle from then is judged as then."""
    sights = seen(lambda _: 5.0, looks=21)

    assert word(sights, 1.5).alarm != ""
    assert word(sights, 1.5, Rules(logs=None)).alarm == ""


def counted(answers: Iterable[list[Series]], pods: list[PodFact] | None = None, warm_up: float = 30.0) -> list[object]:
    """Return what is counted of *answers*, one look each 15 s from 1000 on: errors, or None."""
    count = LogCount(warm_up)
    taken = [count.take(pods or [CANARY, STABLE], each, (0, 0), 1000.0 + n * EVERY) for n, each in enumerate(answers)]
    return [each and each.errors for each in taken]


def test_increments_are_added_up_over_severities_and_portions() -> None:
    """What was told before is not counted again; what a counter stood at when it was first seen is of the past."""
    answers = [
        [said("s", (985.0, 7.0), (1000.0, 9.0)), said("s", (1000.0, 1.0), severity="FATAL")],
        [said("s", (985.0, 7.0), (1000.0, 9.0), (1015.0, 12.0)), said("s", (1015.0, 2.0), severity="FATAL")],
        [],
        [said("s", (1045.0, 20.0))],
    ]

    assert counted(answers) == [(0, 2), (0, 6), None, (0, 14)]


def test_a_cold_process_may_log_what_it_likes() -> None:
    """In the half minute after its first sample, or after its counters fell: a new process begins at nothing."""
    new = [[said("c", (1000.0 + n * EVERY, value))] for n, value in enumerate([3.0, 50.0, 53.0, 60.0])]
    again = [[said("s", (1000.0 + n * EVERY, value))] for n, value in enumerate([5.0, 9.0, 2.0, 40.0, 41.0])]

    assert counted(new) == [(0, 0), (0, 0), (3, 0), (10, 0)]
    assert counted(again) == [(0, 0), (0, 4), (0, 4), (0, 4), (0, 5)]
    assert counted(again, warm_up=0.0) == [(0, 0), (0, 4), (0, 6), (0, 44), (0, 45)]


def test_pods_that_are_gone_keep_what_they_logged() -> None:
    """And others, of a rollout before this one, are nobody's."""
    count = LogCount(0.0)
    count.take([CANARY, STABLE], [said("c", (1000.0, 0.0)), said("other", (1000.0, 0.0))], (0, 0), 1000.0)
    count.take([CANARY, STABLE], [said("c", (1015.0, 4.0)), said("other", (1015.0, 9.0))], (5, 6), 1015.0)

    last = count.take([STABLE], [said("c", (1030.0, 9.0)), said("s", (1030.0, 1.0))], (7, 8), 1030.0)

    assert last == Logged((4, 0), (7, 8), (0.25, 0.25))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_a_value_that_no_counter_has_is_not_counted(value: float) -> None:
    """Nor one of a time to come: bad data aborts nobody."""
    answers = [[said("s", (1000.0, 1.0))], [said("s", (1015.0, value), (1e9, 50.0))], [said("s", (1030.0, 3.0))]]

    assert counted(answers) == [(0, 0), None, (0, 2)]


def crowds(random: random_.Random, apart: float, size: float, lasting: float) -> Callable[[float], float]:
    """Return what a pod logs: crowds of about *size* errors, *apart* seconds from each other, *lasting* so long."""
    begins = [random.expovariate(1 / apart)]
    while begins[-1] < 3600:
        begins.append(begins[-1] + random.expovariate(1 / apart))
    sizes = [random.paretovariate(1.5) * size / 3 for _ in begins]
    return lambda at: sum(n / lasting for begin, n in zip(begins, sizes, strict=True) if begin <= at < begin + lasting)


@pytest.mark.parametrize("pods", [(1, 1), (1, 9)])
def test_healthy_canaries_are_not_aborted_for_what_comes_in_crowds(pods: tuple[int, int]) -> None:
    """Of an hour each, looked at every 15 s, of pods that are all alike, none ends in an abort.

    Each pod logs crowds of a few errors to hundreds, now and then or all the time, over at once or after a minute.
    """
    random = random_.Random(SEED)  # noqa: S311 -- a fixed seed is what is wanted
    for _ in range(40):
        apart, size = random.choice((30.0, 120.0, 600.0)), random.choice((3.0, 30.0, 300.0))
        served, lasting = random.choice((1.0, 10.0)), random.choice((15.0, 60.0))
        canary, *stable = (crowds(random, apart, size, lasting) for _ in range(sum(pods)))
        sights = seen(
            canary,
            lambda at, stable=stable: sum(each(at) for each in stable),  # type: ignore[misc]  # bound at once
            looks=240,
            served=(served * pods[0], served * pods[1]),
            pods=pods,
        )

        assert first_alarm(sights) is None, (apart, size, served, lasting)


def test_rules_are_about_what_they_say() -> None:
    """Half of what an SLO of 99.5 % allows to fail, logged four times, is what is never too much."""
    assert LogRules().times_allowed * 0.0025 == LogRules().share
