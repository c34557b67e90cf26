"""Credentials that are refused in the middle of a rollout stop it where it is; the same command goes on."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_scripts.kube.client import ApiError
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

V2 = "localhost/checkout:v2"


class Expiring:
    """A cluster that refuses everybody from one change of a Deployment on."""

    def __init__(self, cluster: Any, change: int) -> None:
        self._cluster, self._left = cluster, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or refuse."""
        if self._left < 0 or (method != "GET" and "/deployments" in where):
            self._left -= 1
        if self._left < 0:
            raise ApiError(401, "Unauthorized", "token expired", method=method, path=where)
        return self._cluster.request(method, where, **options)


@pytest.mark.parametrize("change", [1, 2, 3, 4])
def test_it_stops_where_it_is_and_goes_on_after_a_login(world: Any, change: int) -> None:
    """Nothing is put back without credentials; what a person has to do is said."""
    real = world.cluster
    world.cluster = Expiring(real, change)
    session = world.session()
    world.cluster = real
    plan = session.plan(V2, session.view().inspect())
    with pytest.raises(ApiError, match=r"(?s)401 Unauthorized: token expired.*log in again, then run the same command"):
        session.run(flow.start(plan), session.record(plan))
    world.pass_time(31)

    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    outcome, _ = session.run(flow.start(plan), session.record(plan))

    assert outcome.ending is Ending.PROMOTED
    assert world.images() == [V2] * 3
    assert world.deployments() == ["checkout"]
