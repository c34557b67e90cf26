"""Any order of commands, deaths and other people's doings leaves a service as the model says: a real control plane.

A few orders, the same in every run. `QUARTERDECK_FAULTS=all` plays more.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.faults.conftest import RATE, Shop
from tests.programs import until
from tests.rollout_machine import play
from tests.rollouts import WAYS

from quarterdeck_contract.kubernetes import TRACK, TRACK_STABLE
from quarterdeck_scripts.kube.client import path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.tools, pytest.mark.timeout(3600)]

ALL = os.environ.get("QUARTERDECK_FAULTS") == "all"
"""As in `make bench`."""

ORDERS, STEPS = (20 if ALL else 4), 8
"""Orders that are played for each strategy, and commands in each."""

SEED = 30
"""Of the first strategy's orders; each further one has the next."""

BITS = {"healthy", "died", "meanwhile", "edit"}
"""What a sample contains by several strategies, however long it took; another Hypothesis may need another seed."""

ALL_BITS = BITS | {"failing", "silent", "gone on with", "promoted", "aborted", "undone", "retried", "refused"}


class Played(Shop):
    """A shop where people wait for what controllers do; in a cluster in memory they do it at once."""

    def settle(self) -> None:
        """Wait for the pods of what was deployed."""
        until(self.is_quiet, "the pods of what was deployed")

    def settle_gone(self) -> None:
        """Wait until nothing of a deleted workload is left."""
        kept = "ReplicaSet" if self.kind == "Deployment" else "ControllerRevision"
        stable, kinds = {"labelSelector": f"{TRACK}={TRACK_STABLE}"}, (kept, "Pod")

        def left() -> bool:
            return any(self.cluster.request("GET", path(kind, "shop"), query=stable)["items"] for kind in kinds)

        until(lambda: not left(), "nothing to be left")


def test_any_order_in_a_cluster_leaves_what_it_should(shop: Callable[..., Any]) -> None:
    """By each strategy: whoever dies, whoever goes on, and whatever others do to the service meanwhile."""

    @contextmanager
    def opened(way: str) -> Iterator[Any]:
        with shop(of=Played, **{"max_wait": "1m", **WAYS[way]}) as world:
            yield world

    played: set[str] = set()
    for number, way in enumerate(WAYS):
        played |= play(opened, [way], orders=ORDERS, steps=STEPS, rate=RATE, seeded=SEED + number)

    assert played >= {*WAYS, *(ALL_BITS if ALL else BITS)}
