"""Selectors select as the API server's do, and one written as a query selects the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.selectors import label_query, matches_fields, matches_labels, selects

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


def expression(operator: str, *values: str) -> Json:
    """Return a selector of one expression on `app`."""
    return {"matchExpressions": [{"key": "app", "operator": operator, **({"values": [*values]} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "taken"),
    [
        ({}, [{}, {"app": "a"}, {"app": "b"}]),
        ({"matchLabels": {"app": "a"}}, [{"app": "a"}]),
        (expression("In", "a", "b"), [{"app": "a"}, {"app": "b"}]),
        (expression("NotIn", "a"), [{}, {"app": "b"}]),
        (expression("Exists"), [{"app": "a"}, {"app": "b"}]),
        (expression("DoesNotExist"), [{}]),
        ({"matchLabels": {"app": "a"}, **expression("NotIn", "a")}, []),
    ],
)
def test_a_selector_and_its_query_take_the_same(selector: Json, taken: list[dict[str, str]]) -> None:
    """Both forms, over a pod without the label and with two values of it."""
    every: list[dict[str, str]] = [{}, {"app": "a"}, {"app": "b"}]

    assert [labels for labels in every if selects(selector, labels)] == taken
    assert [labels for labels in every if matches_labels(label_query(selector), labels)] == taken


@pytest.mark.parametrize("query", ["app in (a", "app in a", "=a", "app=a=b", "app notin"])
def test_what_is_no_selector_is_refused(query: str) -> None:
    """Nothing is selected by mistake."""
    with pytest.raises(ValueError, match="unable to parse requirement"):
        matches_labels(query, {"app": "a"})


def test_a_field_that_is_not_there_is_empty() -> None:
    """As the API server takes it: an unscheduled pod has the empty node name."""
    assert matches_fields("spec.nodeName=", {"spec": {}})
    assert not matches_fields("spec.nodeName!=", {"spec": {}})
