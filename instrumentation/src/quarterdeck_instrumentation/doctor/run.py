"""Runs the command under the instrumentation for a while, reads what its processes say of themselves, and ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.activation import FRAMEWORKS
from quarterdeck_instrumentation.doctor.facts import Hook, Process, Run
from quarterdeck_instrumentation.doctor.probe import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE = 5.0
"""Seconds the command may take to end when it is told to."""
_MOMENT = 1.0
"""Seconds that those it started may take after it."""
_LOOK = 0.05
"""Seconds between two looks at the command."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HOOKS = "hooks"
"""Component of a failure to patch a module."""


def run(command: list[str], seconds: float, environ: dict[str, str]) -> Run:
    """Run *command* for at most *seconds* s, with all it prints on standard error, and end it with all it started.

    Args:
        command: it and its arguments.
        seconds: after which it is told to end.
        environ: what it is run with, prepared as `quarterdeck-instrument` does.

    Raises:
        StoppedError: this process was told to end meanwhile; nothing is left running.
    """
    with _told_to_end() as told:
        done = _run(command, seconds, environ, told)
    if told:
        raise StoppedError(told[0])
    return done


class StoppedError(Exception):
    """This process was told to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Of the signal that said so."""


def _run(command: list[str], seconds: float, environ: dict[str, str], told: list[int]) -> Run:
    folder = tempfile.mkdtemp(prefix="quarterdeck-doctor-")
    begun = time.monotonic()
    try:
        started = subprocess.Popen(
            command,
            env={**environ, FOLDER: folder},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,  # so that what it starts can be ended with it
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Run(tuple(command), 0.0, None, error=f"{type(error).__name__}: {error}")
    try:
        status = _watch(started, begun + seconds, told)
        processes = _reported(folder)
        _end(started)
        return Run(tuple(command), round(time.monotonic() - begun, 1), status, processes=processes)
    finally:
        _end(started)
        shutil.rmtree(folder, ignore_errors=True)


def processes(reports: list[dict[str, Any]]) -> tuple[Process, ...]:
    """Return what processes said of themselves, those without a hook left out unless something failed in them."""
    found = [_process(report) for report in reports]
    return tuple(each for each in sorted(found, key=lambda each: each.pid) if each.hooks or each.failures)


def _process(report: dict[str, Any]) -> Process:
    failed = {text.split()[0]: text for component, text in report["failures"] if component == _HOOKS}
    return Process(
        pid=report["pid"],
        arguments=report["arguments"],
        hooks=tuple(
            Hook(name, FRAMEWORKS.get(name, ""), early, failed.get(name, "")) for name, early in report["hooks"]
        ),
        instrumentors=tuple(report["instrumentors"]),
        failures=tuple((component, text) for component, text in report["failures"]),
        provider=report["provider"],
        why_sdk=report["why_sdk"],
        native_fastapi=report["native_fastapi"],
        meter_provider=report["meter_provider"],
        why_meter_provider=report["why_meter_provider"],
        off_the_page=report["off_the_page"],
        agents=tuple(report["agents"]),
        settings={name: (value, who) for name, (value, who) in report["settings"].items()},
        began=report["began"],
    )


@contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """Note in a list which signals tell this process to end, in place of ending: first what it has started ends."""
    told: list[int] = []
    before = {number: signal.signal(number, lambda got, _: told.append(got)) for number in _SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(started: subprocess.Popen[bytes], deadline: float, told: list[int]) -> int | None:
    """Return the exit status of the command if it ends by itself before *deadline*, or before somebody says so."""
    while time.monotonic() < deadline and not told:
        status = started.poll()
        if status is not None:
            return status
        time.sleep(_LOOK)
    return None


def _end(started: subprocess.Popen[bytes]) -> None:
    """Have the command end in good order, then in any order, and all that it started with it."""
    for how, grace in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        with suppress(ProcessLookupError):
            os.killpg(started.pid, how)
        with suppress(subprocess.TimeoutExpired):
            started.wait(grace)
            _wait_for_the_group(started.pid)
    # The group's number stays taken as long as anybody of it lives, so nobody else was told to end.


def _wait_for_the_group(leader: int) -> None:
    """Give those that outlive their leader a moment to end as well."""
    deadline = time.monotonic() + _MOMENT
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(leader, 0)
            time.sleep(_LOOK)


def _reported(folder: str) -> tuple[Process, ...]:
    reports = []
    for name in os.listdir(folder):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                reports.append(json.load(file))
    return processes(reports)
