"""A collection of a real API server is followed through a proxy that drops watches and lets their versions expire."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_proxy import FaultProxy, proxied
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.follow import Told, follow, raise_lasting

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_contract.errors import QuarterdeckError
    from quarterdeck_scripts.kube.client import Cluster

pytestmark = pytest.mark.tools

ALL = path("ConfigMap", "shop")
LABELS = {"followed": "yes"}
OURS = {"labelSelector": "followed=yes"}
"""The namespace has a ConfigMap of its controllers too."""
SEED = 11
CHANGES = 120


class StoppedError(Exception):
    """Nobody wants to be told more."""


class Follower:
    """Follows in a thread of its own, and keeps what it was told."""

    def __init__(self, cluster: Cluster) -> None:
        self.told: list[tuple[Told, str, str]] = []
        """What, of which ConfigMap, with which data."""
        self.present: dict[str, str] = {}
        self._cluster = cluster
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(StoppedError):
            self._follow()

    def _follow(self) -> None:
        for told, found in follow(self._cluster, ALL, OURS, trouble=self._go_on, sleep=lambda _: self._see()):
            if told is Told.COMPLETE:
                self.told.append((told, "", ""))
                continue
            name, data = found["metadata"]["name"], (found.get("data") or {}).get("n", "")
            self.told.append((told, name, data))
            if told is Told.PRESENT:
                self.present[name] = data
            else:
                del self.present[name]

    def _go_on(self, error: QuarterdeckError) -> None:
        self._see()
        raise_lasting(error)

    def _see(self) -> None:
        if self._stopped:
            raise StoppedError

    def stop(self, proxy: FaultProxy) -> None:
        """End it: one that nobody answers any more would ask time and again, beside all tests that come after."""
        self._stopped = True

        def has_ended() -> bool:
            proxy.drop_connections()
            return not self._thread.is_alive()

        until(has_ended, "the follower to end")


@pytest.mark.parametrize("expiring", [False, True])
def test_no_change_is_missed(plane: Path, tmp_path: Path, *, expiring: bool) -> None:
    """Dropped watches go on where they were: each change is told once. After a 410 what is told ends as the truth."""
    chance = random.Random(SEED)  # noqa: S311 -- the same changes in every run
    cluster: Any = connect(plane)
    cluster.request("DELETE", ALL, query=OURS)
    truth: dict[str, str] = {}
    made: list[tuple[Told, str, str]] = []
    with proxied(plane, tmp_path) as (proxy, through):
        follower = Follower(connect(through))
        until(lambda: (Told.COMPLETE, "", "") in follower.told, "the first list")
        for number in range(CHANGES):
            name = f"map-{chance.randrange(6)}"
            if name in truth and chance.random() < 0.3:
                cluster.request("DELETE", path("ConfigMap", "shop", name))
                made.append((Told.ABSENT, name, truth.pop(name)))
            else:
                body = {"metadata": {"name": name, "labels": LABELS}, "data": {"n": str(number)}}
                if name in truth:
                    cluster.request("PATCH", path("ConfigMap", "shop", name), body=body, content_type=MERGE_PATCH)
                else:
                    cluster.request("POST", ALL, body=body)
                truth[name] = str(number)
                made.append((Told.PRESENT, name, str(number)))
            if number % 9 == 0:
                proxy.drop_connections(expired=expiring and number % 18 == 0)
        until(lambda: follower.present == truth, lambda: f"{truth}, not {follower.present}", 60)
        follower.stop(proxy)

    told = [each for each in follower.told if each[0] is not Told.COMPLETE]
    lists = len(follower.told) - sum(each[0] is not Told.COMPLETE for each in follower.told)
    if expiring:
        assert lists > 1
        assert [each for each in told if each[0] is Told.PRESENT and each not in made] == []
    else:
        assert lists == 1
        assert told == made
