"""What is played through faults: each strategy let in, taken back and aborted, and each command that steers one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests import rollouts
from tests.cluster.faults.conftest import RATE
from tests.programs import until
from tests.rollouts import LAPSED, YOUNG, Killed
from tests.unit.scripts_rollout.conftest import HISTORY, V1, V2

from quarterdeck_contract.kubernetes import HELD
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, path
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout import beginning, going_back
from quarterdeck_scripts.rollout.steering.session import Steering
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.asks import Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.faults.conftest import Shop

SETTINGS = "settings"
"""Name of the ConfigMap that the service reads, where it reads one."""


def start(shop: Shop) -> None:
    """`rollout start`."""
    session = shop.session()
    plan = session.plan(V2, session.view().inspect())
    session.run(flow.start(plan), session.record(plan))


def leave_half_way(shop: Shop) -> None:
    """Have a rollout die while its new pods are judged; no fault strikes it, and its lock lapses."""

    def die(*_: object) -> None:
        raise Killed

    strike, shop.proxy.strike = shop.proxy.strike, None
    answer, shop.prometheus._answer = shop.prometheus._answer, die
    with pytest.raises(Killed):
        start(shop)
    shop.prometheus._answer = answer
    shop.proxy.changes.clear()
    shop.proxy.strike = strike
    FakeClock.sleep(shop.clock, LAPSED)


def start_over_a_changed_configuration(shop: Shop) -> None:
    """`rollout start` of a service whose ConfigMap somebody changes while the new version is judged."""
    settings, body = path("ConfigMap", "shop", SETTINGS), {"metadata": {"name": SETTINGS}, "data": {"a": "1"}}
    shop.cluster.request("POST", path("ConfigMap", "shop"), body=body)
    containers = [{"name": "checkout", "image": V1, "envFrom": [{"configMapRef": {"name": SETTINGS}}]}]
    shop.deploy_again(V1, containers=containers)
    shop.settle()
    shop.serve(HISTORY)
    answer = shop.prometheus._answer

    def change(promql: str, at: float | None) -> Any:
        shop.prometheus._answer = answer
        shop.cluster.request("PATCH", settings, body={"data": {"a": "2"}}, content_type=MERGE_PATCH)
        return answer(promql, at)

    shop.prometheus._answer = change
    start(shop)


def guard(shop: Shop) -> None:
    """`rollout guard` of an update that somebody else began, whose pods find a node when it is held."""
    for node in ("node-0", "node-1", "node-2"):
        _mark(shop, node, None)
    shop.deploy_again(V2, nodeSelector={"disk": "new"})
    found = beginning.guarded(shop.session())
    _let_in_when_held(shop)
    beginning.carry_out([found])


def _let_in_when_held(shop: Shop) -> None:
    if HELD in shop.annotations():
        _mark(shop, "node-0", "new")
    else:
        shop.at_time[shop.clock.now() - shop.begin + 1] = partial(_let_in_when_held, shop)


def _mark(shop: Shop, node: str, disk: str | None) -> None:
    body = {"metadata": {"labels": {"disk": disk}}}
    shop.cluster.request("PATCH", path("Node", name=node), body=body, content_type=MERGE_PATCH)


def abort(shop: Shop) -> None:
    """`rollout abort` of one that died."""
    leave_half_way(shop)
    going_back.abort(shop.session, ["checkout"], yes=True, dry_run=False, take_over=True)


def undo(shop: Shop) -> None:
    """`rollout undo` of what somebody else deployed."""
    shop.deploy_again(V2)
    shop.settle()
    going_back.undo(shop.session, ["checkout"], yes=True, dry_run=False)


def promote(shop: Shop) -> None:
    """`rollout promote` of one that died."""
    leave_half_way(shop)
    Steering(shop.session, "checkout", yes=True, dry_run=False).ask(Wish.PROMOTE, "it is urgent")
    until(lambda: _gone_on(shop), "it to go on")


def pause_and_resume(shop: Shop) -> None:
    """`rollout pause` and `rollout resume` of one that died.

    A server that shows the past to somebody who has seen nothing else says that it is not paused: look again.
    """
    leave_half_way(shop)
    Steering(shop.session, "checkout", yes=True, dry_run=False).ask(Wish.PAUSE, "lunch")
    until(lambda: _lifted(shop), "the pause to be seen")
    until(lambda: _gone_on(shop), "it to go on")


def _lifted(shop: Shop) -> bool:
    try:
        return Steering(shop.session, "checkout", yes=True, dry_run=False).lift_pause("fed")
    except ApiError:
        return False


def _gone_on(shop: Shop) -> bool:
    """Go on with it; return whether it could be begun: a command whose first look is not answered is typed again."""
    try:
        Steering(shop.session, "checkout", yes=True, dry_run=False).go_on("text")
    except ApiError:
        assert "PUT leases take" not in {each.sort for each in shop.proxy.changes}
        return False
    return True


@dataclass(frozen=True)
class Scenario:
    """One play."""

    play: Callable[[Shop], None]
    ends: str
    """The image that serves at its end."""
    failing: float = 0.0
    """Share of requests that the new version answers with 500."""
    options: dict[str, Any] = field(default_factory=dict)
    """How the shop is opened: the workload's kind, how long it has served, and the catalogue's words on rollouts."""

    @contextmanager
    def opened(self, shop: Callable[..., Any], strike: Any = None) -> Iterator[Shop]:
        """Open a *shop* for it."""
        with shop(strike, **self.options) as opened:
            opened.behave(V2, rate=RATE, failing=self.failing)
            yield opened


WAYS = {**rollouts.WAYS, "blue-green": {"strategy": "blue-green", "max_wait": "1m"}}
"""How a new version is let in."""

SCENARIOS = {
    **{f"{way}, promoted": Scenario(start, V2, 0.0, options) for way, options in WAYS.items() if way != YOUNG},
    f"{YOUNG}, promoted as asked": Scenario(promote, V2, 0.0, WAYS[YOUNG]),
    **{f"{way}, rolled back": Scenario(start, V1, 0.2, options) for way, options in WAYS.items()},
    **{f"{way}, aborted": Scenario(abort, V1, 0.0, options) for way, options in WAYS.items()},
    "configuration, promoted": Scenario(start_over_a_changed_configuration, V2),
    "configuration, rolled back": Scenario(start_over_a_changed_configuration, V1, 0.2),
    "guarded, let go": Scenario(guard, V2),
    "guarded, taken back": Scenario(guard, V1, 0.2),
    "undone": Scenario(undo, V1),
    "promoted as asked": Scenario(promote, V2),
    "paused and resumed": Scenario(pause_and_resume, V2),
}
