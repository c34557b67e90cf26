"""What every act stands on: commands run as a person would, and waits with deadlines.

A part of the environment that dies ends the demo at once with its name: whatever runs is stopped, whatever
waits gives up.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.console import say_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

POLL_SECONDS = 0.25
"""How often a condition is looked at: much shorter than a scrape, much longer than a request."""

STOP_SECONDS = 20.0
"""How long an interrupted command may take to put things back before it is killed."""


class Hindrances(Protocol):
    """Knows why something may be waited for in vain."""

    def present(self) -> str:
        """Return what is wrong now, empty when nothing is."""

    def believed(self) -> str:
        """Return what waiting does not mend, empty when there is nothing of that kind. Asked often."""


class Stage:
    """Runs commands and waits for conditions, as long as the environment lives."""

    def __init__(self, require_running: Callable[[], None], hindrances: Hindrances) -> None:
        """*require_running* raises, naming the dead part, when the environment is broken. It is asked often."""
        self._require_running = require_running
        self._hindrances = hindrances

    def command(self, *arguments: str, expect: Sequence[int] = (0,)) -> str:
        """Run `quarterdeck ARGUMENTS…` as a process, show it, and return its stdout.

        Raises:
            QuarterdeckError: it ended with another exit code than one of *expect*.
            EnvironmentFailedError: the environment broke meanwhile.
        """
        say_command(f"quarterdeck {shlex.join(arguments)}")
        argv = [str(Path(sys.executable).parent / "quarterdeck"), *arguments]
        # Its own session: Ctrl-C reaches this process only, which then stops the command in order.
        with _stopped_at_the_end(
            subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        ) as child:
            output: list[str] = []
            reader = threading.Thread(target=lambda: output.append(child.stdout.read() if child.stdout else ""))
            reader.start()
            while child.poll() is None:
                self._require_running()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=POLL_SECONDS)
            reader.join()
        if child.returncode not in expect:
            raise QuarterdeckError(
                f"`quarterdeck {shlex.join(arguments)}` to end with exit code {' or '.join(map(str, expect))}",
                f"exit code {child.returncode}",
                "read what it said above",
            )
        return output[0]

    def unhindered(self) -> bool:
        """Return whether every pod is Ready."""
        return not self._hindrances.present()

    def wait_until(self, what: str, seconds: float, look: Callable[[], T | None]) -> T:
        """Return the first true value of *look*, asking again until *seconds* have passed.

        Raises:
            QuarterdeckError: the time is up, or a pod has failed in a way that waiting does not mend.
            EnvironmentFailedError: the environment broke meanwhile.
        """
        deadline = time.monotonic() + seconds
        last: object = "nothing"
        while time.monotonic() < deadline:
            self._require_running()
            try:
                found = look()
            except QuarterdeckError as error:
                found, last = None, error.found
            if found:
                return found
            if failure := self._hindrances.believed():
                raise QuarterdeckError(what, failure, "mend that, then run the demo again")
            time.sleep(POLL_SECONDS)
        raise QuarterdeckError(
            f"{what} within {seconds:.0f} s",
            self._hindrances.present() or str(last),
            "mend that, then run the demo again; a machine this busy may need another try",
        )


@contextlib.contextmanager
def _stopped_at_the_end(child: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Interrupt *child* if it still runs when the body ends, and kill it if it does not obey."""
    try:
        yield child
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGINT)
            try:
                child.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
