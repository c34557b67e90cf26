"""What an environment leaves on disk: the folder's layout, and the record that its supervisor keeps there."""

from __future__ import annotations

import enum
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.local.process import ProcessId, identify

if TYPE_CHECKING:
    from pathlib import Path

SUPERVISOR = "supervisor"
POD_RUNNER = "pod-runner"
"""Names of the two parts that are ours; the others are called as their programs."""

START = "`quarterdeck local up`"
"""What makes an environment where there is none."""


class Phase(enum.StrEnum):
    """Where an environment stands."""

    ABSENT = "absent"
    """Nothing there."""
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    """A part died, or could not be started; `failure` says which and why."""
    STALE = "stale"
    """The supervisor is gone without a word: killed, or the machine was restarted."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies below the state folder."""

    state: Path
    """Absolute; its last component is the environment's name."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig: the path other commands know."""
        return self.state / "kubeconfig"

    @property
    def record(self) -> Path:
        """The supervisor's record, JSON."""
        return self.state / "state.json"

    @property
    def settings(self) -> Path:
        """What `up` told the supervisor, JSON."""
        return self.state / "settings.json"

    @property
    def runner_settings(self) -> Path:
        """What the supervisor told the pod runner, JSON."""
        return self.state / "pod-runner.json"

    @property
    def logs(self) -> Path:
        """One file a part."""
        return self.state / "log"

    @property
    def pki(self) -> Path:
        """Certificates, keys and the parts' kubeconfigs."""
        return self.state / "pki"

    @property
    def images(self) -> Path:
        """The image store."""
        return self.state / "images"

    @property
    def pods(self) -> Path:
        """One folder of logs a pod, named as the kubelet names them."""
        return self.state / "pods"

    @property
    def roots(self) -> Path:
        """One folder a pod, with its containers' roots and its volumes.

        Short names: temporary files are in it too, and a Unix socket's path has at most 107 bytes.
        """
        return self.state / "run"

    def log(self, part: str) -> Path:
        """Return the log file of *part*."""
        return self.logs / f"{part}.log"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `up` decides and the supervisor carries out."""

    tools: dict[str, str]
    """Program name to its absolute path."""
    nodes: int = 3
    """Three, so that a PodDisruptionBudget, a drain and a topology spread have something to act on."""
    crash_backoff: float = 10.0
    """Seconds before the second restart of a crashing container, doubled from there: the kubelet's value."""
    start_timeout: float = 120.0
    """Seconds for the whole control plane to come up; measured 4 to 7 s on two idle cores."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the environment."""

    name: str
    process: ProcessId
    since: str
    """When it was started, RFC 3339."""
    log: str
    """Path of its log file."""


@dataclass(frozen=True, slots=True)
class Record:
    """The supervisor's record of the environment. Written by it alone, whole, by rename."""

    phase: Phase
    supervisor: Part
    parts: tuple[Part, ...] = ()
    step: str = ""
    """What it is doing while it starts, for a progress display."""
    failure: str = ""
    """Why the phase is FAILED, for a person: which part, how it ended, the end of its log."""
    next_step: str = ""
    """What to do about the failure, an imperative."""
    server: str = ""
    """URL of the API server."""
    loopback_prefix: str = ""
    """First two numbers of the pods' addresses, for example `127.77`."""
    ended: dict[str, str] = field(default_factory=dict)
    """Part name to how it ended, for the parts that died."""


def write_json(path: Path, value: Any) -> None:
    """Write *value* so that a reader sees the old or the new text, never half of one; readable by its owner only."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
    temporary.replace(path)


def write_record(layout: Layout, record: Record) -> None:
    """Replace the record."""
    write_json(layout.record, asdict(record))


def read_record(layout: Layout) -> Record | None:
    """Return the record; None when there is none, or none that this version understands."""
    try:
        data = json.loads(layout.record.read_text(encoding="utf-8"))
        return Record(
            phase=Phase(data.pop("phase")),
            supervisor=_part(data.pop("supervisor")),
            parts=tuple(_part(part) for part in data.pop("parts")),
            **data,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_settings(path: Path) -> Settings:
    """Read what `up` wrote."""
    return Settings(**json.loads(path.read_text(encoding="utf-8")))


def part_of(name: str, pid: int, log: Path) -> Part:
    """Describe the process *pid*, just started, as the part *name*."""
    process = identify(pid) or ProcessId(pid, 0)  # dead already: an identity that nothing alive has
    return Part(name, process, datetime.now(UTC).isoformat(timespec="seconds"), str(log))


def tail(path: Path, lines: int = 10) -> str:
    """Return the last *lines* of a log file, indented; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def _part(data: dict[str, Any]) -> Part:
    return Part(**{**data, "process": ProcessId(**data["process"])})
