"""Children with children of their own: heard line by line, and all ended when one of them has to."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.tools.process import Finished, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def ended_for_silence(command: Path) -> int:
    """Run *command* until it is ended for its silence; return the number that it said before.

    One that a busy machine has not let say anything yet is ended too, and is given more time.
    """
    heard: list[str] = []
    for silence in (0.3, 3, 30):
        assert run([command], environment=ENVIRONMENT, silence=silence, on_line=heard.append).code is None
        if heard:
            break
    return int(heard[0])


def gone(pid: int) -> bool:
    """Wait until *pid* is no more, or a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_lines_of_both_streams_arrive_as_they_are_written(script: Callable[..., Path]) -> None:
    """Also a last one without an end, and one that is no UTF-8."""
    heard: list[str] = []
    talker = script("talker", "echo one", "echo two >&2", "printf '\\377'")

    done = run([talker], environment=ENVIRONMENT, silence=60, on_line=heard.append)

    assert heard == ["one", "two", "\ufffd"]
    assert done == Finished(0, "one\ntwo\n\ufffd")


def test_the_tail_is_forty_lines(script: Callable[..., Path]) -> None:
    """A build that fails may have said thousands."""
    done = run([script("talker", "seq 100", "exit 3")], environment=ENVIRONMENT, silence=60)

    assert done.code == 3
    assert done.tail.splitlines() == [str(number) for number in range(61, 101)]


def test_silence_ends_the_whole_group(script: Callable[..., Path]) -> None:
    """The grandchild too, which would have held the pipe open."""
    assert gone(ended_for_silence(script("silent", "sleep 600 &", "echo $!", "wait")))


def test_an_interruption_ends_the_whole_group_and_passes_through(script: Callable[..., Path]) -> None:
    """Ctrl-C arrives as an exception wherever this process happens to be."""
    heard: list[str] = []

    def interrupt(line: str) -> None:
        heard.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run([script("busy", "sleep 600 &", "echo $!", "wait")], environment=ENVIRONMENT, silence=30, on_line=interrupt)

    assert gone(int(heard[0]))


def test_a_group_that_ignores_the_polite_signal_is_killed(script: Callable[..., Path]) -> None:
    """A second later."""
    assert gone(ended_for_silence(script("stubborn", "trap '' TERM", "echo $$", "while :; do sleep 600; done")))


def test_what_a_finished_child_leaves_running_is_ended(script: Callable[..., Path]) -> None:
    """Nothing outlives the call; here the leftover has closed its output, so nobody waits for it."""
    heard: list[str] = []
    careless = script("careless", "sleep 600 >/dev/null 2>&1 &", "echo $!")

    assert run([careless], environment=ENVIRONMENT, silence=60, on_line=heard.append).code == 0
    assert gone(int(heard[0]))
