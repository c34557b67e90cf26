"""The server's clock, by the `Date` of its answers."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.kube.server_time import ServerTime, warning

MIDNIGHT = 1_700_006_400.0
"""Unix seconds of `DATE`."""
DATE = "Wed, 15 Nov 2023 00:00:00 GMT"


@pytest.mark.parametrize(
    ("asked", "answered", "skew"),
    [
        (MIDNIGHT + 0.2, MIDNIGHT + 0.4, 0.0),
        (MIDNIGHT + 0.9, MIDNIGHT + 1.4, 0.0),
        (MIDNIGHT - 10.0, MIDNIGHT - 9.0, 10.0),
        (MIDNIGHT + 20.0, MIDNIGHT + 21.0, -20.0),
    ],
)
def test_a_difference_is_known_to_half_a_second(asked: float, answered: float, skew: float) -> None:
    """Within the second that the server states there is none that could be known."""
    time = ServerTime()
    time.note(DATE, asked, answered)

    assert time.skew == skew


@pytest.mark.parametrize(
    ("date", "asked", "answered"),
    [(None, 0.0, 1.0), ("", 0.0, 1.0), ("yesterday", 0.0, 1.0), (DATE, 0.0, 3.0), (DATE, 5.0, 4.0)],
)
def test_what_says_nothing_leaves_it_as_it_was(date: str | None, asked: float, answered: float) -> None:
    """No date, none that can be read, an answer that took too long, a clock that was set meanwhile."""
    time = ServerTime()
    time.skew = 7.0
    time.note(date, asked, answered)

    assert time.skew == 7.0


def test_a_person_is_told_which_clock_is_wrong_and_how_to_set_it() -> None:
    """From five seconds on."""
    assert warning(5.0) == warning(-5.0) == ""
    assert warning(6.2).startswith("This machine's clock is 6 s behind the API server's")
    assert warning(-90).startswith("This machine's clock is 90 s ahead of the API server's")
