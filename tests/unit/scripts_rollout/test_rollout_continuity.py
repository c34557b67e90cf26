"""An answer that lacks what the last one had is a part of one, and no evidence."""

from __future__ import annotations

from quarterdeck_scripts.ports import Series
from quarterdeck_scripts.rollout.judge.continuity import Continuity


def series(pod: str, *times: float, status: str = "200") -> Series:
    """Return a counter's samples."""
    return Series({"pod": pod, "status": status}, tuple((time, 1.0) for time in times))


def test_what_is_still_there_is_no_cause() -> None:
    """New series come, all the old ones are found again."""
    continuity = Continuity(10)

    assert continuity.take([series("a", 90, 100)], 100) == []
    assert continuity.take([series("a", 90, 100, 110), series("b", 110)], 110) == []


def test_a_series_that_was_left_out_is_missed_until_it_is_back() -> None:
    """Of a store that is away, without a warning: the canary's errors may be in it."""
    continuity = Continuity(10)
    continuity.take([series("a", 100), series("a", 100, status="500"), series("b", 100)], 100)

    missed = ["Prometheus has no longer what it had of the pod a, 1 series"]
    assert continuity.take([series("a", 110), series("b", 110)], 110) == missed
    assert continuity.take([series("a", 300), series("b", 300)], 300) == missed
    assert continuity.take([series("a", 310), series("a", 310, status="500"), series("b", 310)], 310) == []


def test_an_empty_answer_lacks_everything() -> None:
    """A Prometheus that lost its disk answers quickly and with nothing; a series without samples is none."""
    continuity = Continuity(10)
    continuity.take([series("a", 100), series("a", 100, status="500"), series("b", 100)], 100)

    assert continuity.take([series("a")], 110) == [
        "Prometheus has no longer what it had of the pod a, 2 series",
        "Prometheus has no longer what it had of the pod b, 1 series",
    ]


def test_a_series_that_ended_long_ago_is_not_missed() -> None:
    """A pod that went, a counter that its new process does not have: they were there until no question reached them."""
    continuity = Continuity(10)
    continuity.take([series("a", 100), series("b", 59)], 100)

    assert continuity.take([series("a", 110)], 110) == []


def test_a_clock_that_was_wrong_once_excuses_nothing() -> None:
    """A moment far in the future makes what was there before no older than it is."""
    continuity = Continuity(10)
    continuity.take([series("a", 100), series("b", 100)], 9000)

    assert continuity.take([series("a", 110)], 110) == ["Prometheus has no longer what it had of the pod b, 1 series"]
