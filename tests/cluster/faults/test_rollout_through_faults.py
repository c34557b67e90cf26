"""Whatever goes wrong at any change of a rollout, it comes to the end it would have come to, and makes nothing twice.

A fixed seed chooses a scenario for each fault, and half of its changes; with `QUARTERDECK_FAULTS=all`, as in `make
bench`, it is every fault at every change of every scenario.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.faults.conftest import OURS
from tests.cluster.faults.scenarios import SCENARIOS
from tests.fault_proxy import RENEWAL, Fault, Strike
from tests.unit.scripts_rollout.conftest import V1

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster.faults.conftest import End
    from tests.fault_proxy import Change

pytestmark = [pytest.mark.tools, pytest.mark.timeout(3600)]

ALL = os.environ.get("QUARTERDECK_FAULTS") == "all"
SEED = 7

AUDITING = "PATCH audit"
"""An entry of the audit log, but its first."""

CASES = [(scenario, fault) for fault in Fault for scenario in SCENARIOS]
_CHANCE = random.Random(SEED)  # noqa: S311 -- a sample, not a secret
CHOSEN = CASES if ALL else [(_CHANCE.choice([*SCENARIOS]), fault) for fault in Fault]


@pytest.fixture(scope="module")
def undisturbed(shop: Any) -> Callable[[str], tuple[End, list[str]]]:
    """Return how a scenario ends with nothing in its way, and the names of its changes."""
    known: dict[str, tuple[End, list[str]]] = {}

    def played(name: str) -> tuple[End, list[str]]:
        if name not in known:
            scenario = SCENARIOS[name]
            with scenario.opened(shop) as opened:
                scenario.play(opened)
                known[name] = opened.end(), names(opened.proxy.changes)
        return known[name]

    return played


def names(changes: Sequence[Change]) -> list[str]:
    """Return the names of those *changes* that each play has, whatever controllers do and however long it takes.

    A controller that writes at the same time has a change refused. It is made with the next try, as the same, but both
    tries are in the audit log, with two entries each.
    """
    refused = sum(each.sort.endswith(OURS) and not each.made for each in changes)
    entries = sum(each.sort == AUDITING and each.made for each in changes) - 2 * refused
    most = {RENEWAL: 1, AUDITING: entries}
    return [*dict.fromkeys(each.name for each in changes if each.number < most.get(each.sort, each.number + 1))]


def strikes(changes: list[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return what is struck in one play, for each of the two that strike all *changes*.

    The service's objects in one; in the other, what surrounds each of their changes: the lock and the audit log.
    """
    own = frozenset(name for name in changes if name.rpartition(" ")[0].endswith(OURS))
    return own, frozenset(changes) - own


@pytest.mark.parametrize(("name", "fault"), CHOSEN, ids=lambda each: str(each).replace(" ", "-"))
def test_a_fault_at_any_change_makes_no_difference(
    shop: Any, undisturbed: Callable[[str], tuple[End, list[str]]], name: str, fault: Fault
) -> None:
    """The same objects, each changed as often as without it, no state and no lock left, the audit log whole."""
    end, changes = undisturbed(name)
    plays = strikes(changes)
    chosen = plays if ALL else [random.Random(f"{SEED} {name} {fault}").choice(plays)]  # noqa: S311 -- likewise

    for struck in chosen:
        strike, scenario = Strike(struck, fault), SCENARIOS[name]
        with scenario.opened(shop, strike) as opened:
            scenario.play(opened)
            # How often a lock is renewed depends on how long it took.
            missed = {each for each in struck - set(strike.struck) if not each.startswith(RENEWAL)}
            assert (struck, opened.end(), missed, strike.hasty) == (struck, end, set(), False)


def test_scenarios_end_as_they_should(shop: Any, undisturbed: Callable[[str], tuple[End, list[str]]]) -> None:
    """What the others are compared with: promoted, or as it was before; nothing is left of the rollout itself."""
    for name in SCENARIOS if ALL else {case[0] for case in CHOSEN}:
        end, _ = undisturbed(name)
        scenario = SCENARIOS[name]
        assert (name, end.images, end.notes, end.locked, end.audit_broken) == (
            name,
            (scenario.ends,) * 3,
            frozenset(),
            False,
            False,
        )
        if scenario.ends == V1 and name.endswith((", rolled back", ", aborted")) and "configuration" not in name:
            with scenario.opened(shop) as opened:
                assert opened.present() == end.present
