"""Each change of a rollout refused twice in a row: it is tried again, however many requests have been made before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.kube.client import ApiError, Around
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

TIMES = 2
"""How often one change is refused."""


class Unwilling(Around):
    """A cluster that refuses each change of a service's objects at first."""

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        self._refused: Counter[tuple[str, str]] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or refuse."""
        own = "/shop/" in where and "/leases" not in where
        if method != "GET" and own and self._refused[method, where] < TIMES:
            self._refused[method, where] += 1
            raise ApiError(500, "InternalError", "not now")
        self._refused.pop((method, where), None)
        return self._cluster.request(method, where, **options)


@pytest.mark.parametrize("failing", [0.0, 0.05])
def test_a_rollout_that_has_asked_much_is_as_patient_as_any(make_world: Callable[..., Any], failing: float) -> None:
    """With weights there are so many requests that each wait is long, to spare the server.

    One such wait used to be taken for the server's silence: the second refusal ended the run, with everything half
    done, and so did pods of a canary that were there still at the first look.
    """
    world = make_world(weights="[50]")
    world.behave(V2, failing=failing)
    world.cluster = Unwilling(world.cluster)

    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    outcome, _ = session.run(flow.start(plan), session.record(plan))

    assert outcome.ending is (Ending.ROLLED_BACK if failing else Ending.PROMOTED), outcome.reason
    assert world.images() == [V1 if failing else V2] * 3
    assert world.deployments() == ["checkout"]
