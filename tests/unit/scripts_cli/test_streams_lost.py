"""Commands whose messages or data nobody takes any more: what is done is done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES = """
from quarterdeck_scripts import console
with console.step("Put everything back") as step:
    step.update("half")
    console.say("A message")
console.emit_done("done")
raise SystemExit(7)
"""


def with_streams(streams: str, program: str = MESSAGES) -> tuple[int, str]:
    """Run *program* with its *streams* as a shell leads them, and return its exit code and what it wrote."""
    command = f'exec "$0" -c "$1" {streams}'
    ended = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
        text=True,
    )
    return ended.returncode, ended.stdout


def test_a_step_goes_on_where_its_messages_are_read_no_more() -> None:
    """Once a reader that went away (`2>&1 | head`, a broken connection) ended what was being done half-way."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", MESSAGES], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=False, text=True
        )
    finally:
        os.close(theirs)

    assert (ended.returncode, ended.stdout) == (7, "done\n")


def test_a_step_goes_on_where_a_full_disk_takes_its_messages() -> None:
    """`2>log` on a disk that has no room any more."""
    assert with_streams("2>/dev/full") == (7, "done\n")


def test_how_it_ended_is_told_on_stderr_where_stdout_takes_nothing() -> None:
    """What was done keeps its exit code: it is no failure that the disk for its output is full."""
    code, told = with_streams(">/dev/full")

    assert code == 7
    assert told.endswith("done\nThe lines above could not be written to stdout (No space left on device).\n")


READING = """
import sys
from quarterdeck_scripts import cli
sys.exit(cli.run(["--help"]))
"""


def test_data_that_stdout_does_not_take_are_a_failure_in_a_sentence() -> None:
    """Nobody has them: not success, and no traceback."""
    code, told = with_streams(">/dev/full", READING)

    assert code == 1
    assert told.startswith("Error: Expected the command's output to be read or written.\nFound No space left on device")


@pytest.mark.parametrize("streams", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_error(streams: str, tmp_path: Path) -> None:
    """Closed from the start, they lead nowhere; a file that is opened later does not become one of them."""
    file = tmp_path / "kept"
    program = f"""
import os, sys
from pathlib import Path
from quarterdeck_scripts import cli, console
cli._open_what_is_closed()
with Path({str(file)!r}).open("w") as kept, console.step("A step"):
    console.emit_done("done")
    kept.write(f"{{kept.fileno() > 2}} {{sys.stdin.isatty()}}")
"""
    assert with_streams(streams + " </dev/null" * ("<&-" not in streams), program)[0] == 0
    assert file.read_text() == "True False"
