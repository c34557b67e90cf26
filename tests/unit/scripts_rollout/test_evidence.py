"""Raw samples become exact counts, or a reason why they cannot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_scripts.ports import Series
from quarterdeck_scripts.rollout.judge.counts import OTHER_ROUTES, Counts, RouteCounts
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import Ledger, PodFact, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine with other work to do is no failure."""

FAILED = Objective("availability", Bad.FAILED, floor=0.0025)
SLOW = Objective("latency", Bad.SLOW, floor=0.005, threshold=0.25)

SINCE = 1000.0
"""When the canary was created."""

CANARY = PodFact("canary-1", "canary", ready=True, born_during=True)
STABLE = PodFact("stable-1", "stable", ready=True, born_during=False)


def ledger(*objectives: Objective, warm_up: float = 0, most_routes: int = 50) -> Ledger:
    """Return an empty ledger with a scrape every 10 s."""
    criteria = Criteria(warm_up=warm_up, most_routes=most_routes)
    return Ledger(objectives or (FAILED,), since=SINCE, interval=10, version="v2", criteria=criteria)


def series(pod: PodFact, values: dict[float, float], status: str = "200", le: str = "+Inf", **more: str) -> Series:
    """Return the samples of one of *pod*'s counters."""
    labels = {
        "cluster": "local",
        "pod": pod.name,
        "track": pod.track,
        "version": "v2" if pod.track == "canary" else "v1",
        "http_response_status_code": status,
        "le": le,
        **more,
    }
    return Series(labels, tuple(values.items()))


def scrapes(until: float, *pods: PodFact, since: float = 960.0) -> list[Series]:
    """Return what says that *pods* were scraped every 10 s."""
    times = [since + 10 * n for n in range(int((until - since) // 10) + 1)]
    return [Series({"pod": pod.name, "track": pod.track}, tuple((time, 1.0) for time in times)) for pod in pods]


def take(counters: Sequence[Series], *pods: PodFact, now: float = 1040.0, into: Ledger | None = None) -> Reading:
    """Return a reading of *counters*, with all *pods* scraped until *now*; the canary since it was created."""
    pods = pods or (CANARY, STABLE)
    seen = [each for pod in pods for each in scrapes(now, pod, since=1010.0 if pod.born_during else 960.0)]
    return (into or ledger()).take(counters, seen, pods, now)


def test_increments_are_summed_without_extrapolation() -> None:
    """A stable counter counts from its last sample before the canary was created."""
    counter = series(STABLE, {980: 90, 990: 95, 1000: 100, 1010: 107, 1020: 120})

    assert take([counter]).tallies[0].stable == Counts(20, 0)


def test_a_canary_counts_from_zero() -> None:
    """The first value of a pod born during the rollout is counted in full: its first errors are not lost."""
    good, bad = series(CANARY, {1010: 40, 1020: 80}), series(CANARY, {1010: 3, 1020: 3}, status="500")

    assert take([good, bad]).tallies[0].canary == Counts(83, 3)


def test_a_series_born_on_a_known_pod_counts_from_zero() -> None:
    """A stable pod's first error ever makes a new series; the pod was scraped before without it."""
    good = series(STABLE, {990: 95, 1000: 100, 1010: 110})
    bad = series(STABLE, {1010: 2, 1020: 3}, status="503")

    assert take([good, bad]).tallies[0].stable == Counts(13, 3)


def test_a_pod_never_seen_before_counts_from_its_first_sample() -> None:
    """An old stable pod that was not scraped before has a past that is not this rollout's."""
    late = PodFact("stable-2", "stable", ready=True, born_during=False)
    counter = series(late, {1030: 5000, 1040: 5004})
    reading = ledger().take([counter], [*scrapes(1040, CANARY, STABLE), *scrapes(1040, late, since=1030)], [], 1040)

    assert reading.tallies[0].stable == Counts(4, 0)


def test_a_stable_pod_born_during_the_rollout_counts_in_full() -> None:
    """A pod that replaces an evicted one has no past."""
    fresh = PodFact("stable-2", "stable", ready=True, born_during=True)

    assert take([series(fresh, {1030: 8, 1040: 9})], fresh).tallies[0].stable == Counts(9, 0)


def test_a_restart_loses_nothing_that_was_scraped() -> None:
    """A counter that drops begins anew at zero; what it counted before stays."""
    counter = series(CANARY, {1010: 50, 1020: 90, 1030: 4, 1040: 10})

    assert take([counter]).tallies[0].canary == Counts(100, 0)


def test_a_pod_that_vanishes_keeps_its_counts() -> None:
    """Samples that no longer come back are not taken away."""
    book = ledger()
    gone = PodFact("canary-0", "canary", ready=True, born_during=True)
    take([series(gone, {1010: 30, 1020: 31})], gone, STABLE, now=1020, into=book)

    assert take([series(CANARY, {1030: 5, 1040: 6})], into=book).tallies[0].canary == Counts(37, 0)


def test_overlapping_answers_count_once() -> None:
    """Each question reaches back over the one before; a sample that came already is not new."""
    book = ledger()
    take([series(CANARY, {1010: 10, 1020: 20})], now=1020, into=book)

    assert take([series(CANARY, {1010: 10, 1020: 20, 1030: 25})], now=1030, into=book).tallies[0].canary.requests == 25


def test_slow_requests_are_those_above_the_threshold_that_succeeded() -> None:
    """Latency is judged on successful requests; failed ones are the other objective's."""
    counters = [
        series(CANARY, {1010: 100}),
        series(CANARY, {1010: 93}, le="0.25"),
        series(CANARY, {1010: 50}, status="500"),
        series(CANARY, {1010: 1}, status="500", le="0.25"),
    ]

    reading = take(counters, into=ledger(FAILED, SLOW))

    assert [tally.canary for tally in reading.tallies] == [Counts(150, 50), Counts(100, 7)]


def test_what_is_slow_while_a_pod_is_cold_does_not_count() -> None:
    """Half a minute after a new pod's first sample its latency counts; its failures count from the first on."""
    counters = [
        series(CANARY, {1010: 100, 1020: 200, 1030: 300, 1040: 400, 1050: 500}),
        series(CANARY, {1010: 0, 1020: 50, 1030: 150, 1040: 249, 1050: 349}, le="0.25"),
        series(CANARY, {1010: 5, 1050: 6}, status="500"),
        series(STABLE, {1000: 100, 1010: 200}),
        series(STABLE, {1000: 100, 1010: 190}, le="0.25"),
    ]

    reading = take(counters, now=1050, into=ledger(FAILED, SLOW, warm_up=30))

    assert [tally.canary for tally in reading.tallies] == [Counts(506, 6), Counts(200, 1)]
    assert reading.tallies[1].stable == Counts(100, 10)


def test_a_restarted_process_is_cold_again() -> None:
    """All its counters are, also those that had passed their old value by the next scrape."""
    counters = [
        series(CANARY, {1010: 10, 1050: 20, 1060: 30, 1090: 60}),
        series(CANARY, {1010: 10, 1050: 20, 1060: 5, 1090: 35}, le="0.25"),
    ]

    reading = take(counters, now=1090, into=ledger(SLOW, warm_up=30))

    assert reading.tallies[0].canary == Counts(40, 0)


def test_routes_are_told_apart_by_method_and_template() -> None:
    """Each route has its own counts; the whole is their sum."""
    pay = {"http_request_method": "POST", "http_route": "/pay"}
    counters = [
        series(CANARY, {1010: 10}, **pay),
        series(CANARY, {1010: 2}, status="500", **pay),
        series(CANARY, {1010: 7}, http_request_method="GET", http_route="/pay"),
        series(STABLE, {1000: 900, 1010: 930}, **pay),
    ]

    tally = take(counters).tallies[0]

    assert tally.routes == (
        RouteCounts("POST /pay", Counts(12, 2), Counts(30, 0)),
        RouteCounts("GET /pay", Counts(7, 0), Counts()),
    )
    assert (tally.canary, tally.stable) == (Counts(19, 2), Counts(30, 0))


def test_the_busiest_routes_have_names_of_their_own() -> None:
    """Beyond the most that are told apart, routes are counted together, whenever they first come."""
    book = ledger(most_routes=2)
    first = [series(STABLE, {1000: 5.0 * n, 1010: 5.0 * n + n}, http_route=f"/{n}") for n in (1, 2, 3)]
    take(first, into=book)
    late = series(STABLE, {1020: 90}, http_route="/late")

    assert take([*first, late], into=book).tallies[0].routes == (
        RouteCounts("/3", Counts(), Counts(3, 0)),
        RouteCounts("/2", Counts(), Counts(2, 0)),
        RouteCounts(OTHER_ROUTES, Counts(), Counts(91, 0)),
    )


def test_an_objective_of_one_route_counts_that_route() -> None:
    """A promise about one route is judged on its requests, however its framework writes the template."""
    where = (("http_route", "/?users/[{<][^/]*[}>]/?"), ("http_request_method", "GET"))
    of_users = Objective("users", Bad.FAILED, floor=0.0025, where=where)
    counters = [
        series(CANARY, {1010: 10}, http_route="users/<int:id>", http_request_method="GET"),
        series(CANARY, {1010: 20}, http_route="users/<int:id>", http_request_method="POST"),
        series(CANARY, {1010: 40}, http_route="/users", http_request_method="GET"),
    ]

    assert take(counters, into=ledger(of_users)).tallies[0].canary == Counts(10, 0)


def test_another_canarys_leftovers_are_not_counted() -> None:
    """Series of the canary before this one carry another version."""
    assert take([series(CANARY, {1010: 10}, version="v1-bad")]).tallies[0].canary == Counts(0, 0)


def test_trustworthy_samples_have_no_cause() -> None:
    """With every ready pod scraped and both sides there, the counts may be judged."""
    reading = take([series(CANARY, {1030: 10, 1040: 12}), series(STABLE, {1000: 1, 1040: 9})])

    assert reading.causes == ()
    assert reading.newest == (1040, 1040)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_a_value_no_counter_has_is_a_cause_for_good(value: float) -> None:
    """After NaN, infinity or a negative value the count has a hole, whatever comes later."""
    book = ledger()
    assert "had the value" in take([series(CANARY, {1010: value})], into=book).causes[0]
    assert "had the value" in take([series(CANARY, {1020: 5})], into=book).causes[0]


def test_a_pod_scraped_twice_is_a_cause() -> None:
    """Two series of one counter at the same time would count every request twice."""
    twice = [series(CANARY, {1010: 10, 1020: 20}, job=job) for job in ("pods", "pods-again")]

    assert "it is scraped twice" in take(twice).causes[0]


def test_a_restart_elsewhere_is_the_same_counter() -> None:
    """A series that ends before the other begins is its successor: another `instance`, the same pod."""
    parts = [series(CANARY, {1010: 10, 1020: 20}, instance="a"), series(CANARY, {1030: 5, 1040: 6}, instance="b")]

    reading = take(parts)
    assert (reading.causes, reading.tallies[0].canary) == ((), Counts(26, 0))


def test_workers_that_answer_in_turn_are_a_cause() -> None:
    """A counter that falls again and again is several processes behind one address."""
    values = {1000.0 + n: 10.0 * (n % 2) + n for n in range(1, 20)}

    assert "several processes answer" in take([series(CANARY, values)]).causes[0]


def test_a_stale_pod_is_a_cause() -> None:
    """A ready pod whose newest sample is older than three scrapes may hide anything."""
    reading = ledger().take([], [*scrapes(1000, CANARY), *scrapes(1040, STABLE)], [CANARY, STABLE], 1040)

    assert reading.causes == ("the newest sample of the canary pod canary-1 is 40 s old, with a scrape every 10 s",)


def test_a_pod_never_scraped_is_a_cause() -> None:
    """A ready pod without a sample is named."""
    reading = ledger().take([], scrapes(1040, STABLE), [CANARY, STABLE], 1040)

    assert reading.causes == ("Prometheus has not scraped the canary pod canary-1 yet",)


def test_no_series_at_all_is_a_cause() -> None:
    """An empty answer is no evidence of health."""
    assert "Prometheus has no series of this service" in ledger().take([], [], [CANARY, STABLE], 1040).causes


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_a_side_without_a_ready_pod_is_a_cause(track: str) -> None:
    """There is nothing to compare with."""
    (there,) = (pod for pod in (CANARY, STABLE) if pod.track != track)

    assert take([], there).causes == (f"no {track} pod is ready",)


def test_several_clusters_are_a_cause() -> None:
    """The same service in two clusters must not be added up."""
    counters = [series(CANARY, {1010: 1}), series(STABLE, {1010: 1}, cluster="other")]

    assert "several clusters answer: local, other" in take(counters).causes[0]


def test_more_slow_requests_than_requests_are_a_cause() -> None:
    """Buckets that contradict each other are not counted."""
    counters = [series(CANARY, {1010: 10}), series(CANARY, {1010: 12}, le="0.25")]

    reading = take(counters, into=ledger(FAILED, SLOW))

    assert "contradict each other" in reading.causes[-1]


@pytest.mark.parametrize("without", [(STABLE,), (CANARY, STABLE)], ids=["stable", "both"])
def test_a_pod_without_the_thresholds_bucket_is_a_cause(without: tuple[PodFact, ...]) -> None:
    """Its requests would all be called slow, and a slow canary no worse than the stable version."""
    pods = (CANARY, STABLE)
    counters = [series(pod, {1010: 10, 1040: 40}, http_route="/pay", http_request_method="GET") for pod in pods]
    counters += [
        series(pod, {1010: 9, 1040: 38}, le="0.25", http_route="/pay", http_request_method="GET")
        for pod in pods
        if pod not in without
    ]

    assert take(counters, into=ledger(FAILED, SLOW)).causes == tuple(
        f"Prometheus has no bucket of 0.25 s of the {pod.track} pod {pod.name}, GET /pay for one" for pod in without
    )


def test_a_bucket_is_missed_only_where_slowness_is_judged() -> None:
    """Not of failed requests, not of routes that nothing is promised about, nor where only errors are judged."""
    of_users = Objective("users", Bad.SLOW, 0.005, 0.25, where=(("http_route", "/users"),))
    counters = [
        *(series(pod, {1010: 10, 1040: 40}, http_route="/users") for pod in (CANARY, STABLE)),
        *(series(pod, {1010: 9, 1040: 38}, le="0.25", http_route="/users") for pod in (CANARY, STABLE)),
        series(CANARY, {1010: 1, 1040: 1}, status="500", http_route="/users"),
        series(CANARY, {1010: 1, 1040: 1}, http_route="/pay"),
    ]

    assert take(counters, into=ledger(FAILED, of_users)).causes == ()


def test_a_bucket_that_comes_late_ends_the_doubt() -> None:
    """Parts of a scrape may be on their way; the count is right once they are there."""
    book = ledger(SLOW)
    whole, fast = series(CANARY, {1010: 10, 1040: 40}), series(CANARY, {1010: 9, 1040: 38}, le="0.25")
    stable = [series(STABLE, {1000: 5, 1010: 9}), series(STABLE, {1000: 5, 1010: 9}, le="0.25")]

    assert take([whole, *stable], into=book).causes != ()
    reading = take([whole, fast, *stable], into=book)

    assert (reading.causes, reading.tallies[0].canary) == ((), Counts(40, 2))


@UNHURRIED
@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(1, 29), max_size=5),
)
def test_any_portions_give_the_same_count(history: list[tuple[int, bool]], cuts: list[int]) -> None:
    """However the samples are cut into answers, and however often the process restarts, the sum is the truth."""
    samples, value, truth = [], 0, 0
    for n, (events, restart) in enumerate(history):
        # A restart shows only when the new process has counted less than the old one.
        value = events if restart and events < value else value + events
        truth += events
        samples.append((1010.0 + 10 * n, float(value)))
    book = Ledger((FAILED,), since=SINCE, interval=10, version="v2")
    for cut in [*sorted(cuts), len(samples)]:
        part = Series(series(CANARY, {}).labels, tuple(samples[:cut]))
        reading = book.take([part], [], [], 2000)

    assert reading.tallies[0].canary.requests == truth
