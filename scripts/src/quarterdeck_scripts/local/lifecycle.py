"""Bring a local environment up, say how it is, take it down: the API that commands, demo and tests use."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError, UsageError
from quarterdeck_scripts.interrupt import held_back
from quarterdeck_scripts.local import images, process
from quarterdeck_scripts.local.network import claim
from quarterdeck_scripts.local.removal import remove
from quarterdeck_scripts.local.state import (
    SUPERVISOR,
    Layout,
    Part,
    Phase,
    Record,
    Settings,
    read_record,
    tail,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_POLL = 0.05
"""Seconds between two looks at the supervisor's record."""
RECREATE = "run `quarterdeck local down`, then `quarterdeck local up`"
"""The way out of every broken environment: nothing in it is worth repairing."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running environment."""

    state: Path
    kubeconfig: Path
    """One context, `quarterdeck-<name of the state folder>`: the administrator."""
    server: str
    """URL of the API server."""
    loopback_prefix: str
    """First two numbers of the pods' addresses: the stack's config key `loopbackPrefix`."""
    started: bool
    """False: it was running already."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One process of an environment, as found just now."""

    name: str
    pid: int
    alive: bool
    since: str
    """When it was started, RFC 3339."""
    log: str
    """Path of its log file."""


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """How an environment is."""

    phase: Phase
    failure: str
    """What is wrong, naming the part; empty when nothing is."""
    server: str
    loopback_prefix: str
    parts: tuple[PartStatus, ...]
    """The supervisor first."""


class EnvironmentFailedError(QuarterdeckError):
    """A part of the environment is dead: nothing that waits on it will come true."""


def up(
    state: Path,
    *,
    nodes: int = 3,
    tools: Mapping[str, Path] | None = None,
    crash_backoff: float = 10.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Running:
    """Start the environment in *state*, or return the one that runs there.

    What a killed run left there is cleaned away first. When starting fails, or is interrupted, nothing is left.

    Args:
        state: the environment's folder; its last component is the environment's name.
        nodes: how many nodes.
        tools: program name to path; installed when None.
        crash_backoff: seconds before the second restart of a crashing container.
        progress: told what is being waited for.

    Raises:
        UsageError: this is not Linux, or the folder's name can not be an environment's.
        RefusedError: another `up` or `down` of this environment is under way.
        QuarterdeckError: a part could not be started; which, and the end of its log.
    """
    layout = _layout(state)
    with _exclusively(layout):
        found = status(layout.state)
        if found.phase is Phase.RUNNING:
            return Running(layout.state, layout.kubeconfig, found.server, found.loopback_prefix, started=False)
        if tools is None:
            from quarterdeck_scripts.local.control_plane import PROGRAMS  # noqa: PLC0415 -- cryptography is slow
            from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- likewise pooch

            progress("looking for the tools")
            tools = install((*PROGRAMS, *images.MONITORING_TOOLS))
        settings = Settings({name: str(path) for name, path in tools.items()}, nodes, crash_backoff)
        keep_images = found.phase is Phase.ABSENT  # added beforehand, for this environment
        with _nothing_left(layout, keep_images=keep_images and layout.images.exists()):
            if found.phase is not Phase.ABSENT:
                progress(f"cleaning away what is left of an environment ({found.phase})")
            remove(layout, keep_images=keep_images)
            return _start(layout, settings, progress)


def down(state: Path) -> None:
    """End the environment in *state* and remove it: no process, port or file of it is left. Idempotent.

    Raises:
        UsageError: this is not Linux, or the folder's name can not be an environment's.
        RefusedError: another `up` or `down` of this environment is under way, or the folder is not one.
    """
    layout = _layout(state)
    with _exclusively(layout), held_back():
        remove(layout)


def status(state: Path) -> LocalStatus:
    """Look at the environment in *state*: at its record, and at whether each process really lives."""
    layout = Layout(state.absolute())
    record = read_record(layout)
    if record is None:
        return LocalStatus(Phase.ABSENT, "", "", "", ())
    phase, failure = _judge(record)
    parts = tuple(_part_status(part) for part in (record.supervisor, *record.parts))
    return LocalStatus(phase, failure, record.server, record.loopback_prefix, parts)


def require_running(state: Path) -> None:
    """Return when the environment in *state* runs with all its parts.

    Cheap enough for every turn of a waiting loop: whoever waits for something in the environment calls this.

    Raises:
        EnvironmentFailedError: it does not; the message names the dead part.
    """
    found = status(state)
    if found.phase is not Phase.RUNNING:
        raise EnvironmentFailedError(
            f"the local environment in {state} to run", found.failure or f"it {found.phase}", RECREATE
        )


def _judge(record: Record) -> tuple[Phase, str]:
    """Return the true phase: the record's own, unless somebody died without being able to write."""
    if record.phase is Phase.FAILED:
        return record.phase, record.failure
    if not process.alive(record.supervisor.process):
        pid = record.supervisor.process.pid
        return Phase.STALE, f"{SUPERVISOR} (pid {pid}) is gone; it was killed, or the machine was restarted"
    if record.phase is Phase.RUNNING:
        for part in record.parts:
            if not process.alive(part.process):
                return Phase.FAILED, f"{part.name} (pid {part.process.pid}) is gone; its log is {part.log}"
    return record.phase, ""


def _part_status(part: Part) -> PartStatus:
    return PartStatus(part.name, part.process.pid, process.alive(part.process), part.since, part.log)


def _start(layout: Layout, settings: Settings, progress: Callable[[str], None]) -> Running:
    layout.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(layout.settings, asdict(settings))
    layout.logs.mkdir()
    images.register_monitoring(layout.state, settings.tools)
    progress("starting the supervisor")
    supervisor = process.start_detached(
        [sys.executable, "-m", "quarterdeck_scripts.local.supervisor", str(layout.state)],
        environment={**os.environ, process.STATE_VARIABLE: str(layout.state)},
        log=layout.log(SUPERVISOR),
    )
    shown = ""
    while supervisor is not None and process.alive(supervisor):
        record = read_record(layout)
        if record is not None and record.phase is Phase.RUNNING:
            return Running(layout.state, layout.kubeconfig, record.server, record.loopback_prefix, started=True)
        if record is not None and record.step != shown:
            shown = record.step
            progress(f"waiting for {shown}")
        time.sleep(_POLL)
    raise _start_failure(layout)


def _start_failure(layout: Layout) -> QuarterdeckError:
    record = read_record(layout)
    if record is not None and record.failure:
        return QuarterdeckError("the local environment to start", record.failure, record.next_step)
    return QuarterdeckError(
        "the supervisor of the local environment to run",
        f"it ended; the end of its log:\n{tail(layout.log(SUPERVISOR))}",
        "run `quarterdeck local up` again; if it ends again, the log says why",
    )


@contextmanager
def _nothing_left(layout: Layout, *, keep_images: bool) -> Iterator[None]:
    """When the body does not succeed, remove the environment and let the reason through."""
    try:
        yield
    except BaseException:
        with held_back():
            remove(layout, keep_images=keep_images)
        raise


def claim_name(layout: Layout) -> str:
    """Return the name under which whoever changes the environment claims it; short, as such names have to be."""
    return f"state/{hashlib.sha256(bytes(layout.state)).hexdigest()}"


@contextmanager
def _exclusively(layout: Layout) -> Iterator[None]:
    holder = claim(claim_name(layout))
    if holder is None:
        raise RefusedError(
            f"to be the only one to change the local environment in {layout.state}",
            "another `quarterdeck local up` or `down` at work on it",
            "wait for it to end, then run this again",
        )
    with holder:
        yield


def _layout(state: Path) -> Layout:
    """Return the layout of *state*, once it is sure that this machine and this name will do."""
    if sys.platform != "linux":
        raise UsageError(
            "Linux, for the local environment: its pods have addresses in 127.0.0.0/8 and are followed through /proc",
            sys.platform,
            "run it in a Linux virtual machine or container, or use another environment with --env",
        )
    if re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", state.name) is None:
        raise UsageError(
            "an environment's name of at most 42 lower-case letters, digits and hyphens",
            repr(state.name),
            "choose another",
        )
    return Layout(state.absolute())
