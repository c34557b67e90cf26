"""Ctrl-C: the first one stops, and none cuts short what puts things away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts import cli
from quarterdeck_scripts.interrupt import held_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TWICE = """
import os, signal, sys
import click
from quarterdeck_scripts import cli

@click.command()
def tidy():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    finally:
        os.kill(os.getpid(), int(number))
        print("cleaned up", flush=True)

number = sys.argv[1]
cli.quarterdeck.get_command = lambda context, name: tidy
sys.argv[1:] = ["tidy"]
cli.main()
"""
"""A command that gets Ctrl-C, and while it puts things away the signal named on its command line."""


@pytest.fixture
def another_thread() -> Iterator[int]:
    """Have a second thread, as a spinner is; return its identity."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    yield thread.ident or 0
    ended.set()
    thread.join()


@pytest.fixture
def arrivals() -> Iterator[int]:
    """Return a pipe's end, from which a byte can be read as soon as a signal has arrived in whichever thread."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write)
    yield read
    signal.set_wakeup_fd(before)
    os.close(read)
    os.close(write)


def _hold_back(disturb: Callable[[], None], done: list[str]) -> None:
    with held_back():
        disturb()
        done.append("body")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_does_not_cut_the_clean_up_short(number: signal.Signals) -> None:
    """Exit code 130 of the first one, once everything is put away, and a word on why it takes a moment."""
    done = subprocess.run([sys.executable, "-c", TWICE, str(int(number))], capture_output=True, text=True, check=False)

    assert done.returncode == 130, done.stderr
    assert done.stdout == "cleaned up\n"
    assert "Stopping already" in done.stderr


def test_what_is_held_back_comes_when_the_body_is_done() -> None:
    """Nothing is lost: it was asked for."""
    done: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        _hold_back(lambda: signal.raise_signal(signal.SIGINT), done)

    assert done == ["body"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_another_thread_receives_is_held_back_too(another_thread: int, arrivals: int) -> None:
    """The kernel chooses the thread; a mask of the main thread's once let `down` be cut in half by the spinner's."""
    done: list[str] = []

    def disturb() -> None:
        signal.pthread_kill(another_thread, signal.SIGINT)
        os.read(arrivals, 1)

    with pytest.raises(KeyboardInterrupt):
        _hold_back(disturb, done)

    assert done == ["body"]


def test_what_the_body_raises_is_what_is_seen() -> None:
    """A clean-up that fails says why, Ctrl-C or not."""

    def fail() -> None:
        signal.raise_signal(signal.SIGINT)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        _hold_back(fail, [])


def test_nothing_is_held_back_where_nothing_can_be_interrupted() -> None:
    """A thread may clean up: only the main one can set handlers."""
    done: list[str] = []

    thread = threading.Thread(target=_hold_back, args=(lambda: None, done))
    thread.start()
    thread.join()

    assert done == ["body"]


def test_ctrl_c_in_the_middle_of_an_import_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 turns one that comes while a class is made into a RuntimeError."""

    class Descriptor:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def importing(**_: object) -> None:
        type("Record", (), {"field": Descriptor()})

    monkeypatch.setattr(cli.quarterdeck, "main", importing)

    assert cli.run(["anything"]) == 130
