"""Whatever goes wrong at one change of a rollout, it comes to the end it would have come to, and makes nothing twice.

A fixed seed chooses some scenarios and faults, and one change of each; with `QUARTERDECK_FAULTS=all`, as in `make
bench`, it is every change of every scenario.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_proxy import Fault, Strike

from quarterdeck_scripts.rollout.steps import flow

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.tools, pytest.mark.timeout(3600)]

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"
RATE = 4000.0
"""Requests a second and pod: enough to decide within a few scrapes."""

ALL = os.environ.get("QUARTERDECK_FAULTS") == "all"
SEED = 7

STRATEGIES = {
    "promoted": "canary",
    "rolled back": "canary",
    "aborted": "canary",
    "undone": "canary",
    "promoted beside a baseline": "canary, baseline: fresh",
    "let go on": "rolling",
    "taken back": "rolling",
}
"""Scenario to what the catalogue says of the rollout."""
FAILING = ("rolled back", "taken back")
CASES = [(scenario, fault) for fault in Fault for scenario in STRATEGIES]
CHOSEN = CASES if ALL else random.Random(SEED).sample(CASES, 7)  # noqa: S311 -- a sample, not a secret


class Killed(BaseException):
    """The process dies: nothing more of it runs."""


def run(shop: Any, steps: Callable[[flow.Plan], Any], image: str, **options: Any) -> None:
    """Run a flow through the proxy."""
    session = shop.session()
    plan = session.plan(image, session.view().inspect(any_state=True))
    session.run(steps(plan), session.record(plan), **options)


def leave_half_way(shop: Any) -> None:
    """Have a rollout to v2 die while its canary is judged; no fault strikes it."""

    def die(*_: object) -> None:
        raise Killed

    strike, shop.proxy.strike = shop.proxy.strike, None
    answer, shop.prometheus._answer = shop.prometheus._answer, die
    with pytest.raises(Killed):
        run(shop, flow.start, V2)
    shop.prometheus._answer = answer
    shop.proxy.changes.clear()
    shop.proxy.strike = strike


def play(shop: Any, scenario: str) -> Any:
    """Play *scenario*; return how things are then."""
    shop.behave(V2, rate=RATE, failing=0.2 if scenario in FAILING else 0.0)
    shop.catalogue = shop.catalogue.replace("strategy: canary", f"strategy: {STRATEGIES[scenario]}")
    if scenario == "aborted":
        leave_half_way(shop)
        run(shop, flow.abort, "", take_over=True)
    elif scenario == "undone":
        shop.deploy_again(V2)
        run(shop, flow.undo, "")
    else:
        run(shop, flow.start, V2)
    return shop.end()


@pytest.fixture(scope="module")
def undisturbed(shop: Any) -> Callable[[str], tuple[Any, list[str]]]:
    """Return how a scenario ends with nothing in its way, and the names of its changes."""
    known: dict[str, tuple[Any, list[str]]] = {}

    def played(scenario: str) -> tuple[Any, list[str]]:
        if scenario not in known:
            with shop() as opened:
                end = play(opened, scenario)
                names = [each.name for each in opened.proxy.changes]
            # How often a lock is renewed depends on how long it took.
            known[scenario] = end, [name for name in names if not name.startswith("PUT leases") or name.endswith(" 0")]
        return known[scenario]

    return played


@pytest.mark.parametrize(("scenario", "fault"), CHOSEN, ids=lambda each: str(each).replace(" ", "-"))
def test_a_fault_at_any_change_makes_no_difference(
    shop: Any, undisturbed: Callable[[str], tuple[Any, list[str]]], scenario: str, fault: Fault
) -> None:
    """The same pods, no state and no lock left, the workload changed as often as without it, the audit log whole."""
    end, changes = undisturbed(scenario)
    chosen = changes if ALL else [random.Random(f"{SEED} {scenario} {fault}").choice(changes)]  # noqa: S311 -- likewise

    for change in chosen:
        strike = Strike(change, fault)
        with shop(strike) as opened:
            assert (change, play(opened, scenario), strike.struck) == (change, end, True)


def test_scenarios_end_as_they_should(undisturbed: Callable[[str], tuple[Any, list[str]]]) -> None:
    """What the others are compared with."""
    for scenario in STRATEGIES if ALL else {case[0] for case in CHOSEN}:
        end, _ = undisturbed(scenario)
        assert end.images == (V2 if scenario.startswith(("promoted", "let")) else V1,) * 3
        assert end.deployments == ("checkout",)
        assert (end.state_left, end.locked, end.audit_broken) == (False, False, False)
        assert end.made == {"promoted": 1, "rolled back": 1, "promoted beside a baseline": 2}.get(scenario, 0)
        assert end.revisions == (1 if scenario in {"rolled back", "aborted"} else 2)
