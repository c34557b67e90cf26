"""Get tools: look where each may be, cheapest first, and make what is missing. Only verified files are returned."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts import console
from quarterdeck_scripts.tools import golang, releases, toolchain
from quarterdeck_scripts.tools.catalogue import TOOLS, tools_named
from quarterdeck_scripts.tools.probe import compatible, on_path, version_of
from quarterdeck_scripts.tools.settings import Settings
from quarterdeck_scripts.tools.store import Manifest, Store, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from quarterdeck_scripts.tools.catalogue import Tool
    from quarterdeck_scripts.tools.progress import Progress
    from quarterdeck_scripts.tools.releases import Release


@dataclass(frozen=True, slots=True)
class Found:
    """Where one tool is."""

    tool: Tool
    path: Path | None
    """The binary to use; None when it has to be made."""
    origin: str
    """`PATH`, or where the cached file came from, or where a missing one would come from."""
    passed_over: tuple[str, ...] = ()
    """What was there and is not used, each with its reason."""


def install(
    names: Iterable[str] | None = None, *, progress: Progress = console, settings: Settings | None = None
) -> dict[str, Path]:
    """Return where each tool is, having fetched or built those that are nowhere.

    Args:
        names: names of tools, by default all of them.
        progress: told what is passed over, fetched and built.
        settings: where tools may come from, by default as this process' environment says.

    Returns:
        The tools' paths by name, in the order asked for.

    Raises:
        UsageError: there is no tool of such a name.
        QuarterdeckError: one can not be had; the error says why, and what to do.
    """
    settings = settings or Settings.from_environment()
    found = [look(tool, settings) for tool in tools_named(names)]
    for reason in (reason for one in found for reason in one.passed_over):
        progress.say(f"Passed over {reason}.")
    paths = {one.tool.name: one.path for one in found if one.path}
    missing = [one.tool for one in found if not one.path]
    if missing:
        try:
            paths |= _Maker(settings, progress).make(missing)
        except OSError as error:
            raise _cache_error(error, settings) from error
    return {one.tool.name: paths[one.tool.name] for one in found}


def look(tool: Tool, settings: Settings) -> Found:
    """Say where *tool* is now, without making anything."""
    passed_over: tuple[str, ...] = ()
    binary = on_path(tool.name, settings.environment)
    if binary:
        version = version_of(binary, tool, settings)
        if version is not None and compatible(tool.version, version):
            return Found(tool, binary, "PATH")
        passed_over = (f"{binary}: it reports {version or 'no version'}, and {tool.version} is needed",)
    pinned = [release for release in releases.read(settings) if release.holds(tool)]
    cached = Store(settings.cache).look_up(
        tool.name,
        tool.version,
        recipes={golang.recipe_of(tool, settings), *(release.recipe(tool) for release in pinned)},
        platform=settings.platform,
    )
    if cached.path:
        return Found(tool, cached.path, cached.origin, passed_over)
    if cached.problem:
        passed_over += (f"{tool.name} {tool.version} in the cache: {cached.problem}",)
    origin = pinned[0].url if pinned else f"{tool.module.path} {tool.module.version}, to be built"
    return Found(tool, None, origin, passed_over)


class _Maker:
    """Makes tools under the cache's lock, so that two installations do not do the same work."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._store = Store(settings.cache)

    def make(self, tools: Sequence[Tool]) -> dict[str, Path]:
        """Return the paths of *tools*: fetched, built, or made by another installation in the meantime."""
        with self._store.locked(waiting=self._say_waiting):
            now = [look(tool, self._settings) for tool in tools]
            paths = {one.tool.name: one.path for one in now if one.path}
            todo = sorted((one.tool for one in now if not one.path), key=TOOLS.index)
            if not self._settings.offline:
                paths |= self._fetch(todo)
            paths |= self._build([tool for tool in todo if tool.name not in paths])
        return paths

    def _say_waiting(self) -> None:
        self._progress.say(f"Waiting for another installation: it has the lock of {self._settings.cache}.")

    def _fetch(self, tools: Sequence[Tool]) -> dict[str, Path]:
        """Fetch what an official release has; what can not be had so is left for `_build`, and said."""
        from quarterdeck_scripts.adapters import download  # noqa: PLC0415 -- 0.2 s that only a download needs

        paths: dict[str, Path] = {}
        silent_hosts: set[str] = set()
        for release in releases.read(self._settings):
            wanted = [tool for tool in tools if release.holds(tool)]
            if not wanted or release.host in silent_hosts:
                continue
            names = ", ".join(tool.name for tool in wanted)
            title = f"Fetching {names} {release.version} from {release.host}"
            try:
                with self._progress.step(title) as step, self._store.workspace("fetch") as workspace:
                    file = download.fetch(
                        release.url,
                        release.sha256,
                        workspace,
                        deadlines=self._settings.release_deadlines,
                        on_progress=step.update,
                    )
                    paths |= self._from_release(release, file, wanted, workspace)
            except download.UnreachableError as error:
                silent_hosts.add(release.host)
                self._progress.say(f"No release of {names}: {error}. What comes from there is built instead.")
            except (download.DownloadError, releases.MemberError) as error:
                self._progress.say(f"No release of {names}: {error} ({release.url}). It is built instead.")
        return paths

    def _from_release(self, release: Release, file: Path, tools: Sequence[Tool], workspace: Path) -> dict[str, Path]:
        """Publish the *tools* that a fetched file holds, each once it has run and reported its version."""
        paths = {}
        for name, made in releases.unpack(release, file, workspace).items():
            tool = next((tool for tool in tools if tool.name == name), None)
            if tool is None:
                continue
            if version_of(made, tool, self._settings) != tool.version:
                raise releases.MemberError(f"{name} from it does not run here as version {tool.version}")
            paths[name] = self._publish(tool, made, release.recipe(tool), release.url)
        return paths

    def _build(self, tools: Sequence[Tool]) -> dict[str, Path]:
        """Build *tools*, one module after the other: each keeps all cores busy by itself."""
        paths: dict[str, Path] = {}
        if not tools:
            return paths
        go = toolchain.find(self._settings, self._store, self._progress)
        modules = [list(group) for _, group in groupby(tools, key=lambda tool: tool.module.name)]
        for number, group in enumerate(modules, start=1):
            names = ", ".join(tool.name for tool in group)
            title = f"Building {names} {group[0].version} with Go {go.version} ({number} of {len(modules)})"
            with self._progress.step(title) as step, self._store.workspace("build") as workspace:
                files = golang.build(go, group, workspace, self._settings, step.update)
                for tool in group:
                    paths[tool.name] = self._from_module(tool, files[tool.name], go)
        return paths

    def _from_module(self, tool: Tool, made: Path, go: golang.Go) -> Path:
        """Publish a built binary once it has run and reported its version."""
        origin = f"{tool.module.path} {tool.module.version}, built with Go {go.version}"
        version = version_of(made, tool, self._settings)
        if version != tool.version:
            raise QuarterdeckError(
                f"{tool.name} from {origin} to report {tool.version}",
                version or "no version",
                f"see whether programs may run in {self._settings.cache} (a mount without noexec)",
            )
        return self._publish(tool, made, golang.recipe_of(tool, self._settings), origin)

    def _publish(self, tool: Tool, made: Path, recipe: str, origin: str) -> Path:
        """Put a verified binary into the cache, with what is known of it."""
        manifest = Manifest(tool.version, self._settings.platform, recipe, origin, digest_of(made))
        return self._store.publish(made, tool.name, manifest)


def _cache_error(error: OSError, settings: Settings) -> QuarterdeckError:
    next_step = "make it writable, or set XDG_CACHE_HOME to a folder that is"
    if error.errno == errno.ENOSPC:
        next_step = "free 1 GB there, or set XDG_CACHE_HOME to a folder with room"
    return QuarterdeckError(f"to keep tools in {settings.cache}", str(error), next_step)
