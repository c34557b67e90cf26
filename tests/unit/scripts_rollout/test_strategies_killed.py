"""Each strategy, killed before, during or after any request that changes something: whoever goes on comes to its end.

A fixed seed chooses a sample of the matrix. `QUARTERDECK_MATRIX=whole` runs all of it, with what changes the lock and
the audit log besides: `make bench` does.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.kubernetes import HELD, ROLLOUT_STATE
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.rollout.steps import flow

if TYPE_CHECKING:
    from collections.abc import Callable

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

WHOLE = os.environ.get("QUARTERDECK_MATRIX") == "whole"

SEED, SAMPLE = 7, 60

MOST = 80
"""Requests that change anything in one rollout, at most; of those that have fewer, the last rows kill nobody."""

WAYS: dict[str, dict[str, Any]] = {
    "canary": {},
    "configuration": {},
    "fresh baseline": {"baseline": "fresh"},
    "weights": {"weights": "[50]"},
    "blue-green": {"strategy": "blue-green", "history": 400.0},
    "rolling": {"strategy": "rolling"},
    "partition": {"strategy": "rolling", "kind": "StatefulSet"},
    "daemons": {"strategy": "rolling", "kind": "DaemonSet"},
}

MOMENTS = ("before", "during", "after")
"""Of a request: it never arrives; it is stored and no controller has reacted yet; all of them have."""

CHANGES = {
    "canary": (6, 5),
    "configuration": (7, 8),
    "fresh baseline": (8, 7),
    "weights": (12, 11),
    "blue-green": (9, 9),
    "rolling": (6, 6),
    "partition": (5, 5),
    "daemons": (6, 6),
}
"""Changes of the service's objects in a rollout that is promoted, and in one that is taken back: a way that needs
another number fails the first test here."""

OURS = ("/shop/configmaps", "/deployments", "/statefulsets", "/daemonsets", "/services", "/httproutes", "/pods")
"""What a service's objects have in their paths."""


class Killed(BaseException):
    """The process dies: nothing more of it runs."""


class Mortal:
    """A cluster on whose change number *number* its user dies; it notes the changes that were made."""

    def __init__(self, world: Any, number: int = -1, moment: str = "") -> None:
        """Every change counts from 0 where the whole matrix is run, else those of the service's objects."""
        self._cluster = world.cluster
        self._controllers = world.controllers
        self._left, self._moment = number, moment
        self.made: list[tuple[str, str]] = []
        self.died = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or die."""
        own = any(part in where for part in OURS)
        if method == "GET" or not (WHOLE or own):
            return self._cluster.request(method, where, **options)
        strikes, self._left = self._left == 0, self._left - 1
        self.died = self.died or strikes
        if strikes and self._moment == "before":
            raise Killed
        self._controllers.asleep = strikes and self._moment == "during"
        answer = self._cluster.request(method, where, **options)
        if own:
            # A pod's name is another one each time.
            self.made.append((method, where.rpartition("/")[0] if "/pods/" in where else where))
        if strikes:
            raise Killed
        return answer


def made(make_world: Callable[..., Any], way: str, failing: float) -> Any:
    """Return a world in which v2 fails so many of its requests; for `configuration`, one that somebody changes."""
    world = make_world(**WAYS[way])
    world.behave(V2, failing=failing)
    if way == "configuration":
        real, passing = world.cluster, world.clock.sleep
        where = path("ConfigMap", "shop", "settings")
        real.request("POST", path("ConfigMap", "shop"), body={"metadata": {"name": "settings"}, "data": {"a": "1"}})
        deployment = world.deployment()
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["envFrom"] = [{"configMapRef": {"name": "settings"}}]
        real.request("PUT", path("Deployment", "shop", "checkout"), body=deployment)

        def sleep(seconds: float) -> None:
            passing(seconds)
            if {*world.images()} == {V1, V2}:
                world.clock.sleep = passing  # once
                real.request("PATCH", where, body={"data": {"a": "2"}}, content_type=MERGE_PATCH)

        world.pass_time(10)
        world.clock.sleep = sleep
    return world


def run(world: Any) -> None:
    """Run `rollout start`, as whoever comes next would: not if it is over."""
    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    session.run(flow.start(plan), session.record(plan))


def end_state(world: Any) -> tuple[Any, ...]:
    """Return what must not depend on how often a rollout died."""
    workload = world.deployment()
    annotations = workload["metadata"].get("annotations") or {}
    return (
        world.images(),
        world.deployments(),
        workload["spec"],
        {HELD, ROLLOUT_STATE} & set(annotations),
        [each["spec"] for kind in ("Service", "HTTPRoute") for each in world._items(kind)],
        [each["data"] for each in world._items("ConfigMap") if each["metadata"]["name"] == "settings"],
    )


def go_on(world: Any, real: Any, mortal: Mortal) -> list[tuple[str, str]]:
    """Let the dead one's lock lapse and the controllers wake; run it again if it is not over; return what it made."""
    world.controllers.asleep = False
    world.controllers.settle(real)
    world.pass_time(31)
    world.cluster = real
    situation = world.session().view().inspect()
    begun = any("/configmaps" not in where for _, where in mortal.made)
    if begun and situation.state is None:
        return []
    world.cluster = second = Mortal(world)
    run(world)
    world.cluster = real
    return second.made


def uninterrupted(world: Any) -> Mortal:
    """Run a rollout to its end."""
    real, world.cluster = world.cluster, Mortal(world)
    mortal: Mortal = world.cluster
    run(world)
    world.cluster = real
    return mortal


@pytest.mark.parametrize("failing", [0.0, 0.05])
@pytest.mark.parametrize("way", WAYS)
def test_a_rollout_makes_so_many_changes(make_world: Callable[..., Any], way: str, failing: float) -> None:
    """The matrix below has a row for each."""
    world = made(make_world, way, failing)

    assert len(uninterrupted(world).made) == CHANGES[way][failing > 0]


def points() -> list[tuple[str, float, int, str]]:
    """Return the matrix, or the sample of it that is always run."""
    whole = [
        (way, failing, number, moment)
        for way, counts in CHANGES.items()
        for failing, count in zip((0.0, 0.05), counts, strict=True)
        for number in range(MOST if WHOLE else count)
        for moment in MOMENTS
    ]
    return whole if WHOLE else random.Random(SEED).sample(whole, SAMPLE)  # noqa: S311 -- a sample, not a secret


@pytest.mark.parametrize(("way", "failing", "number", "moment"), points())
def test_killed_at_any_change_it_comes_to_the_same_end(
    make_world: Callable[..., Any], way: str, failing: float, number: int, moment: str
) -> None:
    """The next `start` ends as if nothing had happened, and no change is made twice."""
    world = made(make_world, way, failing)
    before = end_state(world)
    real, world.cluster = world.cluster, Mortal(world, number, moment)
    mortal: Mortal = world.cluster

    with suppress(Killed):
        run(world)
    assert mortal.died or WHOLE
    again = go_on(world, real, mortal)

    images, *rest = end_state(world)
    assert images == [V1 if failing else V2] * 3
    if failing:
        assert rest == list(before[1:])
    # Killed before it is noted, a rollout is begun anew: copies made for the first one are then the second one's.
    once = [(method, where) for method, where in [*mortal.made, *again] if method != "PATCH" or "-kept-" not in where]
    assert Counter(once) == Counter(reference(make_world, way, failing))


_REFERENCES: dict[tuple[str, float], list[tuple[str, str]]] = {}


def reference(make_world: Callable[..., Any], way: str, failing: float) -> list[tuple[str, str]]:
    """Return the changes that an uninterrupted rollout makes; computed once."""
    if (way, failing) not in _REFERENCES:
        world = made(make_world, way, failing)
        _REFERENCES[way, failing] = uninterrupted(world).made
    return _REFERENCES[way, failing]


def leave_half_way(world: Any) -> None:
    """Have a rollout to v2 die when it is about to judge."""

    def die(*_: object) -> None:
        raise Killed

    answer, world.prometheus._answer = world.prometheus._answer, die
    with pytest.raises(Killed):
        run(world)
    world.prometheus._answer = answer
    world.pass_time(31)


def abort(world: Any) -> None:
    """Run `rollout abort`, if anything is left."""
    session = world.session()
    situation = session.view().inspect(any_state=True)
    if situation.state is not None or situation.canary_image is not None or situation.directed:
        plan = session.plan(situation.canary_image or situation.state.image, situation)
        session.run(flow.abort(plan), session.record(plan), take_over=True)


def deaths_of_aborts() -> list[tuple[str, int, str]]:
    """Return each way with every change of an abort and every moment, or with one of them."""
    if WHOLE:
        return [(way, number, moment) for way in WAYS for number in range(MOST // 2) for moment in MOMENTS]
    chosen = random.Random(SEED)  # noqa: S311 -- likewise
    return [(way, chosen.randrange(2), chosen.choice(MOMENTS)) for way in WAYS]


@pytest.mark.parametrize(("way", "number", "moment"), deaths_of_aborts())
def test_an_abort_that_dies_is_finished_by_the_next(
    make_world: Callable[..., Any], way: str, number: int, moment: str
) -> None:
    """Everything is back, whatever the first one had put back already."""
    world = made(make_world, way, 0.0)
    before = end_state(world)
    leave_half_way(world)
    real, world.cluster = world.cluster, Mortal(world, number, moment)
    mortal: Mortal = world.cluster

    with suppress(Killed):
        abort(world)
    assert mortal.died or WHOLE
    world.cluster, world.controllers.asleep = real, False
    world.controllers.settle(real)
    world.pass_time(31)
    abort(world)

    assert world.images() == [V1] * 3
    assert end_state(world)[1:] == before[1:]
