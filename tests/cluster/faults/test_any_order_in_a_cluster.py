"""Any order of commands, deaths and other people's doings leaves a service as the model says: a real control plane."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.faults.conftest import RATE, Shop
from tests.programs import until
from tests.rollout_machine import FAILING, HEALTHY, SILENT, WAYS, play

from quarterdeck_scripts.kube.client import path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.tools, pytest.mark.timeout(3600)]

ORDERS, STEPS = (int(os.environ.get("ORD", "4")), 8)
"""Orders that are played for each strategy, and commands in each."""

BEHAVIOUR = {HEALTHY: {"rate": RATE}, FAILING: {"rate": RATE, "failing": 0.2}, SILENT: {"rate": 0.0}}


class Played(Shop):
    """A shop where people's doings are waited for, as they are done in no time in a cluster in memory."""

    behaviours_of = BEHAVIOUR

    def settle(self) -> None:
        """Wait until controllers have done what there is to do."""
        until(self.is_quiet, "the pods of what was deployed")

    def settle_gone(self) -> None:
        """Wait until nothing of a deleted workload is left."""
        kind = "ReplicaSet" if self.kind == "Deployment" else "ControllerRevision"
        until(lambda: not self._of_stable(kind) and not self._of_stable("Pod"), "nothing to be left")

    def _of_stable(self, kind: str) -> list[str]:
        items = self.cluster.request("GET", path(kind, "shop"))["items"]
        return [each["metadata"]["name"] for each in items]


@pytest.mark.parametrize("way", WAYS)
def test_any_order_in_a_cluster_leaves_what_it_should(shop: Callable[..., Any], way: str) -> None:
    """By each strategy: whoever dies, whoever goes on, and whatever others do to the service meanwhile."""

    @contextmanager
    def opened(way: str) -> Iterator[Any]:
        with shop(of=Played, **{"max_wait": "1m", **WAYS[way]}) as world:
            yield world

    play(opened, [way], orders=ORDERS, steps=STEPS)
