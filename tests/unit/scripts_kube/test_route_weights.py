"""The weights of a route's rules while a canary has a share of them, and when it has none any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube import traffic
from quarterdeck_scripts.kube.patches import operate

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

CANARY = "checkout-canary"


def route(*rules: dict[str, int]) -> Json:
    """Return a route with one rule for each of *rules*, which are weights by the backend's name."""
    refs = [[{"name": name, "port": 80, "weight": weight} for name, weight in rule.items()] for rule in rules]
    return {"metadata": {"uid": "u", "name": "front"}, "spec": {"rules": [{"backendRefs": each} for each in refs]}}


def weigh(before: Json, percent: int) -> Json:
    """Return the route once *percent* of its requests go to the canary."""
    return operate(before, traffic.weigh_patch(before, "checkout", CANARY, percent))


def test_a_rule_that_sends_the_service_nothing_stays_as_it_is() -> None:
    """It has no share to divide, and does not hide that of the others."""
    before = route({"checkout": 1}, {"checkout": 0, "other": 1})

    weighed = weigh(before, 10)

    assert weighed == route({"checkout": 90, CANARY: 10}, {"checkout": 0, "other": 1})
    assert traffic.weight_of([weighed], "checkout", CANARY) == 10
    assert weigh(weighed, 0) == before


def test_a_rule_without_the_canary_does_not_keep_another_from_being_put_back() -> None:
    """Whoever adds a rule meanwhile: the canary goes from those that lead to it."""
    weighed = weigh(route({"checkout": 1}), 10)
    weighed["spec"]["rules"] += route({"checkout": 7})["spec"]["rules"]

    assert weigh(weighed, 0) == route({"checkout": 1}, {"checkout": 7})


def test_a_weight_set_by_hand_is_never_rounded_to_none() -> None:
    """The service and what it shares a rule with keep something, however small their numbers are."""
    assert weigh(route({"checkout": 9, CANARY: 1, "other": 3}), 0) == route({"checkout": 1, "other": 1})


@pytest.mark.parametrize("percent", [0, 10])
def test_what_is_so_already_is_not_changed(percent: int) -> None:
    """There is no patch to send."""
    weighed = weigh(route({"checkout": 1, "other": 2}), percent)

    assert traffic.weigh_patch(weighed, "checkout", CANARY, percent) == []
