"""A run asks an API server once a second in the long run, however often there is something new."""

from __future__ import annotations

from typing import Any

from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.pace import Allowance, Paced
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


class Counting:
    """A cluster that notes when it was asked."""

    def __init__(self, cluster: Any, clock: Any) -> None:
        self._cluster, self._clock = cluster, clock
        self.asked: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, *what: Any, **options: Any) -> Any:
        """Note and pass on."""
        self.asked.append(self._clock.now())
        return self._cluster.request(*what, **options)


def test_a_run_asks_once_a_second_while_it_judges(world: Any) -> None:
    """Scrapes come every two seconds, and each look asks three times; without a limit it was 1.7 a second."""
    for image in (V1, V2):
        world.behave(image, rate=1.0)
    real, world.cluster = world.cluster, Counting(world.cluster, world.clock)
    counting, session = world.cluster, world.session()
    world.cluster = real
    plan = session.plan(V2, session.view().inspect())
    began = world.clock.now()

    outcome, _ = session.run(flow.start(plan), session.record(plan))

    assert outcome.ending is Ending.INCONCLUSIVE
    steady = [at - began for at in counting.asked if 120 <= at - began < 280]
    assert 0.5 < len(steady) / 160 <= 1.03  # a look more or less at either end


def test_what_comes_at_once_need_not_wait() -> None:
    """Up to the burst; then each request is a second's wait, which nobody is made to make."""
    clock = FakeClock()
    paced = Paced(FakeCluster(), clock.monotonic, Allowance(rate=1.0, burst=3.0))
    asked = path("Namespace")

    pauses = [(paced.request("GET", asked), paced.pause())[1] for _ in range(5)]
    assert pauses == [0.0, 0.0, 0.0, 1.0, 2.0]

    clock.sleep(1.5)
    assert paced.pause() == 0.5
    clock.sleep(1000)
    assert [(list(paced.watch(asked, query={}, timeout=1)), paced.pause())[1] for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_it_is_the_cluster_otherwise() -> None:
    """Its address and its clock are told."""
    cluster = FakeCluster()
    paced = Paced(cluster, FakeClock().monotonic)

    assert (paced.server, paced.skew) == (cluster.server, cluster.skew)
