"""What tests of Datadog's metrics share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.office import Office, opened
from tests.unit.scripts_datadog.datadog_world import World
from tests.unit.scripts_datadog.metric_store import Metrics
from tests.unit.scripts_publish.datadog_server import DatadogServer
from tests.unit.scripts_publish.description import judge

from quarterdeck_scripts.datadog.metrics import PodLabels

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world in which `checkout` has served at v1 for ten minutes, and a canary of v2 has just come."""
    server = DatadogServer(judge())
    server.metrics = Metrics()
    world = World(server)
    try:
        world.pods = {"checkout-a": PodLabels("stable", "v1"), "checkout-b": PodLabels("stable", "v1")}
        for pod in world.pods:
            world.serve(pod, 600)
        world.clock.sleep(600)
        world.pods["checkout-canary-a"] = PodLabels("canary", "v2")
        yield world
        assert server.wrong == []
    finally:
        server.close()


@pytest.fixture
def office() -> Iterator[Office]:
    """Return a server, to which Prometheus' questions go, that runs until the test has ended."""
    with opened() as running:
        yield running
