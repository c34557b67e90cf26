"""Tools from their projects' own releases: only files whose SHA-256 `tools/releases.toml` pins."""

from __future__ import annotations

import re
import shutil
import tarfile
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quarterdeck_scripts.tools.catalogue import Tool
    from quarterdeck_scripts.tools.settings import Settings

TABLE = "releases.toml"
"""The file with the releases, beside the pinned modules."""


class MemberError(Exception):
    """A tool is not in the file that should have it; the text says so, as a clause."""


@dataclass(frozen=True, slots=True)
class Release:
    """One file of an official release."""

    platform: str
    """`os/arch` it is for, in Go's words."""
    url: str
    """Where it is."""
    sha256: str
    """Its digest; there is no release without one."""
    version: str
    """Version of every tool in it."""
    members: Mapping[str, str]
    """Tool to its path in the archive; an empty path when the file is the tool itself."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"{self.url}: sha256 is {self.sha256!r}, not 64 hexadecimal digits")

    @property
    def host(self) -> str:
        """Host and port of the URL."""
        return urlsplit(self.url).netloc

    def holds(self, tool: Tool) -> bool:
        """Whether *tool*, at its pinned version, is in this file."""
        return self.version == tool.version and tool.name in self.members

    def recipe(self, tool: Tool) -> str:
        """Return what tells this file's *tool* from any other: see `store.Manifest.recipe`."""
        return f"{self.sha256}:{self.members[tool.name]}"


def read(settings: Settings) -> tuple[Release, ...]:
    """Return the releases for this machine's platform.

    Raises:
        ValueError: an entry has no SHA-256.
    """
    table = tomllib.loads((settings.pinned / TABLE).read_text())
    releases = [Release(**entry) for entry in table["release"]]
    return tuple(release for release in releases if release.platform == settings.platform)


def unpack(release: Release, file: Path, folder: Path) -> dict[str, Path]:
    """Put the tools of a fetched *file* into *folder*, executable, and return them by name.

    Raises:
        MemberError: the file is no archive, or a tool is not in it.
    """
    tools = {}
    for name, member in release.members.items():
        path = folder / name
        if member:
            _extract(file, member, path)
        else:
            file.rename(path)
        path.chmod(0o755)
        tools[name] = path
    return tools


def _extract(archive: Path, member: str, target: Path) -> None:
    """Copy one regular file out of an archive; nothing else of it reaches the disk."""
    try:
        with tarfile.open(archive, "r:*") as opened:
            source = opened.extractfile(member)
            if source is None:
                raise MemberError(f"{member} in the archive is no file")
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    except KeyError as error:
        raise MemberError(f"there is no {member} in the archive") from error
    except (tarfile.TarError, EOFError) as error:
        raise MemberError(f"the archive can not be read: {error}") from error
