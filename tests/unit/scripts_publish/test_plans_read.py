"""What plans are made of, without any server: differences, addresses and keys."""

from __future__ import annotations

import doctest

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.adapters.json_api import checked_url
from quarterdeck_scripts.datadog import connection, marks
from quarterdeck_scripts.publish import differences
from quarterdeck_scripts.publish.differences import ABSENT


@pytest.mark.parametrize("module", [differences, connection])
def test_the_examples_are_true(module: object) -> None:
    """A reader tries the example first."""
    assert doctest.testmod(module)[0] == 0  # type: ignore[arg-type]


def test_an_entry_too_many_or_too_few_is_a_difference() -> None:
    """A widget that somebody added is told by its place, and one that is gone as well."""
    two, one = {"widgets": [{"a": 1}, {"a": 2}]}, {"widgets": [{"a": 1}]}

    (added,) = differences.differences(one, two)
    (gone,) = differences.differences(two, one)

    assert (added.field, added.wanted, gone.field, gone.found) == ("widgets[1]", ABSENT, "widgets[1]", ABSENT)


def test_marks_go_on_and_off_without_a_trace() -> None:
    """In tags and in texts; what somebody else wrote beside them stays."""
    mine = marks.Marks("prod", "dashboard/quarterdeck-fleet", "0123456789ab")
    for field, value in (("tags", ["a:b"]), ("description", "What it is.\n\nAnd more.")):
        marked = marks.put_on({field: value}, field, mine)

        assert marks.taken_off(marked, field) == ({field: value}, mine)


def test_without_all_marks_it_is_not_ours() -> None:
    """Somebody who takes one tag off releases it."""
    assert marks.taken_off({"tags": ["managed-by:quarterdeck", "quarterdeck-key:a"]}, "tags")[1] is None


@pytest.mark.parametrize("url", ["http://grafana.example", "grafana.example", "ftp://127.0.0.1", "https://"])
def test_keys_are_not_sent_in_the_clear(url: str) -> None:
    """Only by https, or to this very machine."""
    with pytest.raises(UsageError, match="in the clear"):
        checked_url(url)
    assert checked_url("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"


def test_missing_keys_are_named() -> None:
    """Both, before anything is asked."""
    with pytest.raises(UsageError, match="no DD_APP_KEY"):
        connection.headers_of({"DD_API_KEY": "a"})
