"""Guards: restarts and saturation fail a canary whose requests look well, but no cold one, and none like stable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.pods import memory_limit_of, restarts_of
from quarterdeck_scripts.ports import Series
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.guards import Fullness, Sight, Watch, word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.client import Json

LIMIT = 512e6
"""Bytes that each pod may have."""


def pod(name: str, restarts: int = 0, *, ready: bool = True) -> PodFact:
    """Return a canary's pod, or a stable one when its name says so."""
    canary = not name.startswith("stable")
    return PodFact(name, "canary" if canary else "stable", ready, canary, restarts, LIMIT)


def gauge(values: dict[str, float], **labels: str) -> tuple[Series, ...]:
    """Return what each pod last said."""
    return tuple(Series({"pod": name, **labels}, ((1000.0, value),)) for name, value in values.items())


def watched(looks: Iterable[list[PodFact]], every: float = 15.0, **shares: dict[str, float]) -> list[Sight]:
    """Return what is seen at *looks*, with the same *shares* of memory at each."""
    watch, memory = Watch(warm_up=30), shares.get("memory", {})
    gauges = {"process.memory.usage": gauge({name: share * LIMIT for name, share in memory.items()})}
    return [watch.take(pods, gauges, 1000.0 + every * n) for n, pods in enumerate(looks)]


def memory(canary: Iterable[float], stable: Iterable[float], every: float = 15.0) -> list[Sight]:
    """Return sights of a canary's and the stable pods' shares of their memory limit, one a look."""
    return [
        Sight(1000.0 + every * n, full=(Fullness("memory limit", "c", *pair),))
        for n, pair in enumerate(zip(canary, stable, strict=True))
    ]


def test_restarts_after_ready_fail() -> None:
    """Two are no accident, where the stable pods have none."""
    sights = watched([[pod("c", n), pod("stable-1")] for n in (0, 1, 2)])

    assert word(sights[:2], 1.5).alarm == ""
    assert word(sights, 1.5).alarm == (
        "Restarts: the canary's pods were restarted 2 times after they had been Ready, the stable ones 0 times."
    )


def test_a_cold_canary_may_restart_until_it_is_ready() -> None:
    """A liveness probe that is too eager kills a slow start twice; then the pod serves."""
    looks = [[pod("c", n, ready=n == 3), pod("stable-1")] for n in (0, 1, 2, 3, 3, 3)]

    assert word(watched(looks), 1.5).alarm == ""


def test_restarts_of_both_sides_are_not_the_canarys_fault() -> None:
    """A node in trouble, or a dependency, restarts the stable pods as often."""
    looks = [[pod("c", n), pod("stable-1", n), pod("stable-2", n)] for n in range(4)]

    assert word(watched(looks), 1.5).alarm == ""


def test_restarts_of_pods_that_are_gone_still_count() -> None:
    """A pod that is replaced leaves its restarts behind."""
    looks = [[pod("a"), pod("stable-1")], [pod("a", 1), pod("stable-1")], [pod("b", 5), pod("stable-1")]]
    looks.append([pod("b", 6), pod("stable-1")])

    assert watched(looks)[-1].restarts == (2, 0)


def test_what_is_full_for_a_minute_fails() -> None:
    """From the end of the warm-up on, at every look."""
    sights = watched([[pod("c"), pod("stable-1")]] * 7, memory={"c": 0.97, "stable-1": 0.4})

    assert [bool(word(sights[: n + 1], 1.5).alarm) for n in range(7)] == [False] * 6 + [True]
    assert word(sights, 1.5).alarm == (
        "Saturation: 97% of the memory limit of the canary's pod c are in use and have been for 60 s, "
        "of the stable pods' 40%."
    )


def test_a_burst_does_not_fail() -> None:
    """One look at which it was not full is enough."""
    shares = [0.5, 0.97, 0.97, 0.9, 0.97, 0.97, 0.97]

    assert word(memory(shares, [0.4] * 7), 1.5).alarm == ""


def test_what_is_full_with_stable_too_does_not_fail() -> None:
    """A service that always runs near its limit may be replaced by one that does."""
    assert word(memory([0.97] * 10, [0.96] * 10), 1.5).alarm == ""


def test_a_leak_fails_before_memory_is_full() -> None:
    """Growth without a rest for five minutes, that would reach the limit within the hour."""
    growing = [0.2 + 0.005 * n for n in range(21)]

    assert word(memory(growing[:20], [0.2] * 20), 1.5).alarm == ""
    assert word(memory(growing, [0.2] * 21), 1.5).alarm == (
        "Saturation: the memory of the canary's pod c has grown without a rest to 30% of its limit, which it would "
        "reach in 32 min; the stable pods' is at 20%."
    )


def test_a_pass_waits_until_it_is_known_whether_more_memory_than_stables_grows() -> None:
    """A leaking canary passed at its third look, while six were needed for it to be under suspicion."""
    looks = memory([0.116, 0.120, 0.123], [0.095] * 3, every=4.0)
    settled = memory([0.116, 0.120, 0.123, 0.123, 0.123, 0.123], [0.095] * 6)

    assert word(looks, 1.5).wait == (
        "Saturation: 12% of the memory limit of the canary's pod c are in use, of the stable pods' 10%: the rest "
        "passes, and waits for as many looks as show whether it grows."
    )
    assert [word(each, 1.5).wait for each in (settled, memory([0.11] * 3, [0.095] * 3))] == ["", ""]


def test_a_pass_waits_while_memory_seems_to_leak() -> None:
    """Before five minutes are over, growth may be a cache's: nothing fails, and nothing passes."""
    growing = [0.2 + 0.005 * n for n in range(21)]

    assert word(memory(growing[:5], [0.2] * 5), 1.5).wait == ""
    assert word(memory(growing[:8], [0.18] * 8), 1.5).wait == (
        "Saturation: the memory of the canary's pod c has grown without a rest to 24% of its limit, which it would "
        "reach in 36 min; the stable pods' is at 18%: the rest passes, and waits to see whether it goes on."
    )
    assert word(memory([*growing[:8], *[0.235] * 8], [0.18] * 16), 1.5).wait == ""


@pytest.mark.parametrize(
    "shares",
    [
        [0.3 + 0.2 * (1 - 0.5**n) for n in range(40)],  # fills caches, then rests
        [0.3 + 0.01 * (n % 8) for n in range(40)],  # the saw of a garbage collector
        [0.3 + 0.0001 * n for n in range(40)],  # would be full in hours
    ],
)
def test_memory_that_settles_does_not_fail(shares: list[float]) -> None:
    """A healthy process takes memory while it warms up, and has some back."""
    assert word(memory(shares, [0.3] * 40), 1.5).alarm == ""


def test_a_cold_canary_that_fills_its_caches_does_not_leak() -> None:
    """It grows towards what the stable pods have had for long."""
    growing = [0.4 + 0.01 * n for n in range(30)]

    assert word(memory(growing, [0.7] * 30), 1.5).alarm == ""


def test_growth_of_both_sides_is_not_the_canarys_fault() -> None:
    """The day's peak fills the stable pods' memory too."""
    growing = [0.2 + 0.005 * n for n in range(40)]

    assert word(memory(growing, growing), 1.5).alarm == ""


def test_slots_are_a_share_of_what_there_is_by_pool() -> None:
    """The fullest pool counts; a pool without a capacity is none."""
    busy = (*gauge({"c": 7}, pool="requests"), *gauge({"c": 1}, pool="threads"), *gauge({"c": 9}, pool="odd"))
    capacity = (*gauge({"c": 8}, pool="requests"), *gauge({"c": 40}, pool="threads"))
    watch = Watch(warm_up=0)

    sight = watch.take([pod("c")], {"quarterdeck.worker.busy": busy, "quarterdeck.worker.capacity": capacity}, 1000.0)

    assert sight.full == (Fullness("worker slots", "c", 0.875, 0.0),)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_a_value_that_no_gauge_has_is_not_full(value: float) -> None:
    """Bad data is no reason to abort either."""
    sights = watched([[pod("c"), pod("stable-1")]] * 12, memory={"c": value, "stable-1": 0.4})

    assert sights[-1].full == ()
    assert word(sights, 1.5).alarm == ""


def manifest(name: str = "checkout", **resources: Json) -> Json:
    """Return a pod with a sidecar before the container that serves."""
    containers = [
        {"name": "proxy", "resources": {"limits": {"memory": "64Mi"}}},
        {"name": name, "resources": resources},
    ]
    return {"metadata": {"labels": {"app.kubernetes.io/name": "checkout"}}, "spec": {"containers": containers}}


def test_the_limit_is_that_of_the_container_which_serves() -> None:
    """It is named as the service, else the first; 0 where there is none."""
    assert memory_limit_of(manifest(limits={"memory": "512Mi"})) == 536_870_912
    assert memory_limit_of(manifest()) == 0
    assert memory_limit_of(manifest(limits={"memory": "1e9"})) == 0
    assert memory_limit_of(manifest("other", limits={"memory": "512Mi"})) == 67_108_864


def test_restarts_are_those_of_all_containers() -> None:
    """A sidecar that dies takes its pod's requests with it."""
    statuses = [{"restartCount": 2}, {"restartCount": 1}]

    assert restarts_of({"status": {"containerStatuses": statuses}}) == 3
    assert restarts_of({}) == 0
