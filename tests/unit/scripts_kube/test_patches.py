"""Patches do what their RFCs say, and leave what they were given as it was."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_scripts.kube.patches import PatchError, apply, merge, operate, pointer

TARGET = {"a": {"b": [1, 2]}, "x/y": {"~": 1}}


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "add", "path": "/a/b/-", "value": 3}, {"a": {"b": [1, 2, 3]}, "x/y": {"~": 1}}),
        ({"op": "add", "path": "/a/b/0", "value": 0}, {"a": {"b": [0, 1, 2]}, "x/y": {"~": 1}}),
        ({"op": "add", "path": "/c", "value": {}}, {"a": {"b": [1, 2]}, "x/y": {"~": 1}, "c": {}}),
        ({"op": "replace", "path": pointer("x/y", "~"), "value": 2}, {"a": {"b": [1, 2]}, "x/y": {"~": 2}}),
        ({"op": "remove", "path": "/a/b/1"}, {"a": {"b": [1]}, "x/y": {"~": 1}}),
        ({"op": "test", "path": "/a/b/0", "value": 1}, TARGET),
    ],
)
def test_an_operation_is_applied(operation: dict[str, Any], result: dict[str, Any]) -> None:
    """Maps and lists, the end of a list, and names with the pointer's own characters in them."""
    before = repr(TARGET)

    assert operate(TARGET, [operation]) == result
    assert repr(TARGET) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/b/0", "value": 2},
        {"op": "test", "path": "/none", "value": None},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "remove", "path": "/a/b/7"},
        {"op": "add", "path": "/none/at/all", "value": 1},
        {"op": "add", "path": "/a/b/0/c", "value": 1},
        {"op": "copy", "from": "/a", "path": "/c"},
    ],
)
def test_what_cannot_be_applied_is_an_error(operation: dict[str, Any]) -> None:
    """A test that fails, a place that is not there, an operation that is not known."""
    with pytest.raises(PatchError):
        operate(TARGET, [operation])


def test_a_merge_replaces_what_is_no_map() -> None:
    """Lists are not merged, and a map takes the place of a value."""
    assert merge({"a": [1, 2], "b": 1}, {"a": [3], "b": {"c": 1}}) == {"a": [3], "b": {"c": 1}}


def test_apply_keeps_what_others_stated() -> None:
    """Another's key stays; a list without names is replaced."""
    assert apply({"a": 1, "args": ["x"]}, {"b": 2, "args": ["y"]}) == {"a": 1, "b": 2, "args": ["y"]}
