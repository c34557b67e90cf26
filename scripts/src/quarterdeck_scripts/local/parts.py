"""The parts of one environment: started, watched, recorded and ended together.

Nothing is restarted: a part that died took state with it, and a cluster that heals itself half would make every
later result doubtful.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.local import process
from quarterdeck_scripts.local.state import (
    POD_RUNNER,
    SUPERVISOR,
    Layout,
    Part,
    Phase,
    Record,
    Settings,
    part_of,
    tail,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

POLL = 0.05
"""Seconds between two looks at what is being waited for while starting."""
RUNNER_GRACE = 5.0
"""Seconds the pod runner has to end its pods at `down`; then everything is killed."""


class StoppedError(Exception):
    """SIGTERM came: end everything, without a failure."""


class PartEndedError(QuarterdeckError):
    """A part ended that should run."""

    def __init__(self, part: Part, ended: str) -> None:
        found = f"{part.name} (pid {part.process.pid}) {ended}"
        if lines := tail(Path(part.log)):
            found += f"; the end of its log {part.log}:\n{lines}"
        super().__init__(
            f"{part.name} to run",
            found,
            "run `quarterdeck local down`, then `quarterdeck local up`",
        )
        self.part = part
        self.ended = ended


class Parts:
    """The parts of one environment and its record, as its supervisor has them."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.layout = layout
        self.settings = settings
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        own = part_of(SUPERVISOR, os.getpid(), layout.log(SUPERVISOR))
        self.record = Record(Phase.STARTING, own)
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the wake-up pipe carries it to where it is waited for

    def write(self, **changes: object) -> None:
        """Change the record and write it."""
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]  # dataclasses.replace checks the names
        write_record(self.layout, self.record)

    def spawn(self, name: str, command: list[str]) -> None:
        """Start a part: it dies with us, logs to its own file, and is in the record before anything else happens."""
        log = self.layout.log(name)
        with log.open("ab") as output:
            child = subprocess.Popen(
                process.dependent(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children[name] = child
        kept = tuple(part for part in self.record.parts if part.name != name)
        self.write(parts=(*kept, part_of(name, child.pid, log)))

    def wait_for(self, what: str, condition: Callable[[], bool], *, deadline: float) -> None:
        """Wait until *condition* holds.

        Raises:
            PartEndedError: a part ended meanwhile.
            QuarterdeckError: *deadline* (monotonic seconds) passed.
            StoppedError: we are to stop.
        """
        self.write(step=what)
        while not condition():
            if select.select([self._wake], [], [], POLL)[0]:
                raise StoppedError
            self._raise_if_ended()
            if time.monotonic() > deadline:
                raise QuarterdeckError(
                    f"{what} within {self.settings.start_timeout:.0f} s",
                    f"not yet; the logs are in {self.layout.logs}",
                    "look for the cause there; a machine this busy may need another try",
                )

    def watch(self) -> None:
        """Record every part that ends, until we are to stop."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        names = {os.pidfd_open(child.pid): name for name, child in self._children.items()}
        for descriptor in names:
            poller.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == self._wake:
                    return
                poller.unregister(descriptor)
                self._record_end(names[descriptor])

    def _record_end(self, name: str) -> None:
        error = self._ended(name)
        ended = {**self.record.ended, name: error.ended}
        if self.record.phase is Phase.FAILED:  # the first death is the cause; others may follow from it
            self.write(ended=ended)
        else:
            self.write(phase=Phase.FAILED, failure=error.found, next_step=error.next_step, ended=ended)

    def _raise_if_ended(self) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                raise self._ended(name)

    def _ended(self, name: str) -> PartEndedError:
        code = self._children[name].wait()
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        part = next(part for part in self.record.parts if part.name == name)
        return PartEndedError(part, ended)

    def end(self, names: Iterable[str] | None = None) -> None:
        """End the parts in *names*, by default all: the pod runner so that pods see SIGTERM, the rest at once."""
        chosen = list(self._children if names is None else names)
        if (runner := self._children.get(POD_RUNNER)) is not None and POD_RUNNER in chosen:
            runner.terminate()
            try:
                runner.wait(RUNNER_GRACE)
            except subprocess.TimeoutExpired:
                runner.kill()
        for name in chosen:
            self._children[name].kill()  # what they hold is thrown away with the environment
        for name in chosen:
            self._children.pop(name).wait()

    @contextmanager
    def ending_everything(self) -> Iterator[None]:
        """Whatever happens in the body, leave no process behind."""
        try:
            yield
        finally:
            self.end()
            process.kill_marked(process.STATE_VARIABLE, str(self.layout.state), spare=(os.getpid(), os.getppid()))
