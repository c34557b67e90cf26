"""Containers as processes: start one, know when it ended, leave nothing of it behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.local import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONTAINER_VARIABLE = "QUARTERDECK_LOCAL_CONTAINER"
"""Environment variable that every process of one run of a container inherits: what leaves the process group is
found by it, where a real container's pid namespace would have held it."""
MESSAGE_LINES = 80
MESSAGE_BYTES = 2048
"""How much of the log `FallbackToLogsOnError` takes into the status: the kubelet's limits."""


class StartError(Exception):
    """The program could not be started; the text is a container runtime's message."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    """Working directory."""
    log: Path
    """Where output goes, appended."""
    marker: str
    """Value of CONTAINER_VARIABLE: one run of one container."""


class ContainerProcess:
    """The main process of a container and everything it started."""

    def __init__(self, launch: Launch) -> None:
        """Start it.

        Raises:
            StartError: there is no such program or folder, or it may not be executed.
        """
        program = resolve(launch.arguments, launch.environment)
        self._marker = launch.marker
        with launch.log.open("ab") as output:
            try:
                self._child = subprocess.Popen(
                    process.dependent([program, *launch.arguments[1:]]),
                    env={**launch.environment, CONTAINER_VARIABLE: launch.marker},
                    cwd=launch.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"cannot start in {launch.folder}: {error.strerror}") from error
        self._pidfd = os.pidfd_open(self._child.pid)
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)
        started = process.identify(self._child.pid)
        self.identity = f"process://{self._child.pid}.{started.started if started else 0}"
        """As the pod status' `containerID`."""

    @property
    def running(self) -> bool:
        """Whether the main process lives."""
        return not self._ended.done()

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once the main process has ended and the rest is killed."""
        return await asyncio.shield(self._ended)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the main process: what it started is its own to end."""
        if self.running:
            signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """SIGKILL the whole process group."""
        if self.running:
            _kill_group(self._child.pid)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        _kill_group(self._child.pid)  # before the wait: until then the id can be nobody else's
        code = self._child.wait()
        os.close(self._pidfd)
        for stray in process.marked(CONTAINER_VARIABLE, self._marker):
            process.send(stray, signal.SIGKILL)
        self._ended.set_result(code)


def resolve(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the path of the program that *arguments* start, looked up on the container's own PATH.

    Raises:
        StartError: there is none.
    """
    if not arguments:
        raise StartError("no command specified")
    program = arguments[0]
    found = shutil.which(program, path=environment.get("PATH", os.defpath))
    if found is None:
        where = "no such file or directory" if "/" in program else "executable file not found in $PATH"
        raise StartError(f'exec: "{program}": {where}')
    return found


async def run(launch: Launch, limit: float) -> tuple[int, str]:
    """Run a command beside a container, for a probe or a hook; return its exit code and output.

    Args:
        launch: what to run; its log is not used.
        limit: seconds; then it is killed.

    Raises:
        StartError: there is no such program.
        TimeoutError: it took longer than *limit*.
    """
    program = resolve(launch.arguments, launch.environment)
    child = await asyncio.create_subprocess_exec(
        *process.dependent([program, *launch.arguments[1:]]),
        env={**launch.environment, CONTAINER_VARIABLE: launch.marker},
        cwd=launch.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit):
            output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            _kill_group(child.pid)
            await child.wait()
    return child.returncode or 0, output.decode(errors="replace").strip()


def log_tail(log: Path) -> str:
    """Return the end of a log, as much as a status may carry."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - MESSAGE_BYTES))
            lines = file.read().decode(errors="replace").splitlines(keepends=True)
    except OSError:
        return ""
    return "".join(lines[-MESSAGE_LINES:])


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
