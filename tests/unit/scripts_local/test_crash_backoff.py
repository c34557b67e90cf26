"""A crashing container is started ever later, as by a kubelet."""

from __future__ import annotations

from quarterdeck_scripts.local.pods.backoff import Backoff


def _delays(backoff: Backoff, crashes: int) -> list[float]:
    """Return how long each restart waits of a container that crashes as soon as it is started."""
    delays, now = [], 1000.0
    for _ in range(crashes):
        until = backoff.until(now)
        delays.append(until - now)
        backoff = backoff.restarted(now, until)
        now = until
    return delays


def test_the_first_restart_is_at_once_and_each_later_one_waits_twice_as_long() -> None:
    """Ten seconds, doubled up to five minutes."""
    assert _delays(Backoff(), 9) == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_wait_counts_from_the_end_not_from_the_start() -> None:
    """A container that ran for a while before it crashed waits as long as one that did not."""
    backoff = Backoff().restarted(0.0, 0.0)

    assert backoff.until(100.0) == 110.0


def test_ten_good_minutes_are_a_new_beginning() -> None:
    """Twice the longest delay after its last restart its crashes are forgotten."""
    backoff = Backoff().restarted(0.0, 0.0).restarted(10.0, 20.0)

    assert backoff.until(620.0) == 640.0
    assert backoff.until(621.0) == 621.0
    assert backoff.restarted(621.0, 621.0).delay == 10.0
