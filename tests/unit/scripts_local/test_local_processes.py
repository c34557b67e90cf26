"""Processes are told apart by pid and start time, and found by the mark in their environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.programs import until

from quarterdeck_scripts.local import process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK = "QUARTERDECK_TEST_MARK"


@pytest.fixture
def mark() -> Iterator[str]:
    """Return a mark of this test's own; whatever carries it is killed afterwards."""
    value = uuid4().hex
    yield value
    process.kill_marked(MARK, value)


def _sleeper(mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "1000"], env={**os.environ, MARK: mark})


def test_a_process_is_itself_until_it_ends(mark: str) -> None:
    """A zombie is not alive; nor is another process that came to have its pid."""
    with _sleeper(mark) as child:
        identity = process.identify(child.pid)
        assert identity is not None
        assert process.alive(identity)
        assert not process.alive(process.ProcessId(identity.pid, identity.started - 1))

        assert process.send(identity, signal.SIGKILL)
        until(lambda: not process.alive(identity))  # a zombie now: nobody has waited for it
        assert process.identify(child.pid) is None
        assert not process.send(identity, signal.SIGTERM)


def test_a_signal_reaches_nobody_but_the_one_it_was_meant_for(mark: str) -> None:
    """A later process with the same pid is left alone."""
    with _sleeper(mark) as child:
        earlier = process.ProcessId(child.pid, 1)

        assert not process.send(earlier, signal.SIGKILL)
        assert child.poll() is None
        child.kill()


def test_marked_processes_are_found_and_killed_except_those_spared(mark: str) -> None:
    """Whoever started them, and however deep."""
    with _sleeper(mark) as one, _sleeper(mark) as two:
        assert {found.pid for found in process.marked(MARK, mark)} == {one.pid, two.pid}

        process.kill_marked(MARK, mark, spare=[two.pid])

        assert one.wait(10) == -signal.SIGKILL
        assert two.poll() is None
        two.kill()


def test_a_process_is_found_while_its_program_is_loaded(mark: str) -> None:
    """Once it was left alone then, by who looked for it as soon as it was started."""
    for _ in range(20):
        with _sleeper(mark) as child:
            environment = process.environment_of(child.pid)
            child.kill()
        assert f"{MARK}={mark}".encode() in environment.split(b"\0")


def test_a_dependent_process_dies_with_the_one_that_started_it(mark: str) -> None:
    """Even when that is killed and can tell nobody."""
    program = (
        "import subprocess, sys, time; from quarterdeck_scripts.local import process;"
        "subprocess.Popen(process.dependent(['sleep', '1000'])); time.sleep(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", program], env={**os.environ, MARK: mark}) as parent:
        until(lambda: len(process.marked(MARK, mark)) == 2)

        parent.kill()

        until(lambda: not process.marked(MARK, mark))


def test_a_detached_process_has_a_session_of_its_own_and_logs_to_its_file(mark: str, tmp_path: Path) -> None:
    """So Ctrl-C in the terminal does not reach it."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import os, time; print(os.getsid(0), flush=True); time.sleep(1000)"]

    started = process.start_detached(command, environment={**os.environ, MARK: mark}, log=log)

    assert started is not None
    until(lambda: log.read_text().endswith("\n"))
    assert int(log.read_text()) == started.pid
    assert os.getsid(0) != started.pid


def test_a_program_that_is_not_there_is_said_in_the_log(mark: str, tmp_path: Path) -> None:
    """The supervisor reads it there when the part has ended."""
    log = tmp_path / "log"

    process.start_detached(["/no/such/program"], environment={**os.environ, MARK: mark}, log=log)

    until(lambda: log.read_text() == "cannot execute /no/such/program: No such file or directory\n")
