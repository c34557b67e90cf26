"""The progress display on a terminal: the bytes that a person's terminal gets."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

LONG = "pod checkout-1 " * 20

STEP = f"""
import sys
from quarterdeck_scripts import console
with console.step("Change [red]spec.containers[checkout][/red]") as step:
    step.update("image [/etc/x] " + {LONG!r})
    sys.stdin.read()
    step.update("done [/]")
"""
"""A step whose title and detail look like markup, and whose detail is longer than the terminal is wide."""


def on_a_terminal(program: str, until: str, times: int = 1) -> tuple[int, str]:
    """Run *program* with a terminal for stderr, and end its stdin once it has shown *until* so many *times*.

    Returns:
        Its exit code, and what the terminal got.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: the terminal's other end was closed
            while block := os.read(ours, 65536):
                shown += block
                if shown.count(until.encode()) >= times and process.stdin and not process.stdin.closed:
                    process.stdin.close()
    os.close(ours)
    return process.returncode, shown.decode()


def test_a_detail_is_shown_as_it_is_on_one_line() -> None:
    """Brackets are no markup (once they vanished, or ended the command), and the spinner never wraps."""
    code, shown = on_a_terminal(STEP, until="image")

    assert code == 0, shown
    spinner, _, end = shown.rpartition("✓")
    assert "Change [red]spec.containe…: image [/etc/x] pod checkout-1" in spinner
    assert LONG not in spinner
    assert max(len(line) for line in re.split(r"\r|\n|\x1b\[[0-9;?]*[A-Za-z]", spinner)) <= 80
    assert "Change [red]spec.containers[checkout][/red]: done [/] (" in end


NESTED = """
import sys
from quarterdeck_scripts import console
with console.step("Outer"):
    with console.step("Inner") as step:
        step.update("turning")
        sys.stdin.read()
        console.say("A message")
"""
"""A step within another, and a message while its spinner turns."""


def test_of_two_steps_only_the_inner_one_turns() -> None:
    """There is one line: once both spinners were drawn on it in turn, for as long as the tools were built."""
    code, shown = on_a_terminal(NESTED, until="Inner: turning", times=3)

    assert code == 0, shown
    assert "Outer" not in shown.partition("Inner")[2].partition("A message")[0]


def test_a_message_has_a_line_of_its_own() -> None:
    """The spinner is wiped off before it and drawn again after it."""
    code, shown = on_a_terminal(NESTED, until="Inner: turning")

    assert code == 0, shown
    assert re.search(r"(\r|\n|\x1b\[[0-9;?]*[A-Za-z])A message\r\n", shown), shown
