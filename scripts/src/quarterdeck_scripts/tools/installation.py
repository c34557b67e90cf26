"""Get tools: look where each may be, cheapest first, and make what is missing. Only verified files are returned."""

from __future__ import annotations

import errno
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts import console
from quarterdeck_scripts.tools import golang, toolchain
from quarterdeck_scripts.tools.catalogue import TOOLS, tools_named
from quarterdeck_scripts.tools.probe import compatible, on_path, version_of
from quarterdeck_scripts.tools.settings import Settings
from quarterdeck_scripts.tools.store import Manifest, Store, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quarterdeck_scripts.tools.catalogue import Tool
    from quarterdeck_scripts.tools.progress import Progress


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
    tools = tools_named(names)
    store = Store(settings.cache)
    found: dict[str, Path] = {}
    for tool in tools:
        path = _from_path(tool, settings, progress) or _cached(tool, store, settings)
        if path:
            found[tool.name] = path
    missing = [tool for tool in tools if tool.name not in found]
    if missing:
        try:
            found |= _make(missing, store, settings, progress)
        except OSError as error:
            raise _cache_error(error, settings) from error
    return {tool.name: found[tool.name] for tool in tools}


def _from_path(tool: Tool, settings: Settings, progress: Progress) -> Path | None:
    binary = on_path(tool.name, settings.environment)
    if binary is None:
        return None
    version = version_of(binary, tool, settings)
    if version is not None and compatible(tool.version, version):
        return binary
    progress.say(f"Passed over {binary}: it reports {version or 'no version'}, {tool.version} is needed.")
    return None


def _cached(tool: Tool, store: Store, settings: Settings, progress: Progress | None = None) -> Path | None:
    cached = store.look_up(tool.name, tool.version, recipe=golang.recipe_of(tool, settings), platform=settings.platform)
    if cached.problem and progress:
        progress.say(f"Making {tool.name} {tool.version} again, since of the one in the cache: {cached.problem}.")
    return cached.path


def _make(tools: Sequence[Tool], store: Store, settings: Settings, progress: Progress) -> dict[str, Path]:
    """Fetch or build *tools* under the cache's lock, so that two installations do not do the same work."""
    found: dict[str, Path] = {}

    def waiting() -> None:
        progress.say(f"Waiting for another installation, which has the lock of {settings.cache}.")

    with store.locked(waiting):
        todo = []
        for tool in tools:
            path = _cached(tool, store, settings, progress)
            if path:
                found[tool.name] = path
            else:
                todo.append(tool)
        found |= _build(todo, store, settings, progress)
    return found


def _build(tools: Sequence[Tool], store: Store, settings: Settings, progress: Progress) -> dict[str, Path]:
    """Build *tools*, one module after the other: each keeps all cores busy by itself."""
    built: dict[str, Path] = {}
    if not tools:
        return built
    go = toolchain.find(settings, store, progress)
    modules = [list(group) for _, group in groupby(sorted(tools, key=TOOLS.index), key=lambda tool: tool.module.name)]
    for number, group in enumerate(modules, start=1):
        names = ", ".join(tool.name for tool in group)
        title = f"Building {names} {group[0].version} with Go {go.version} ({number} of {len(modules)})"
        with progress.step(title) as step, store.workspace("build") as workspace:
            results = golang.build(go, group, workspace, settings, step.update)
            for tool in group:
                built[tool.name] = _publish(tool, results[tool.name], go, store, settings)
    return built


def _publish(tool: Tool, result: Path, go: golang.Go, store: Store, settings: Settings) -> Path:
    """Put a built binary into the cache once it has run and reported its version."""
    version = version_of(result, tool, settings)
    if version != tool.version:
        raise QuarterdeckError(
            f"the built {tool.name} to report {tool.version}",
            version or "no version",
            f"compare tools/go/{tool.module.name}/go.mod with the catalogue of tools",
        )
    manifest = Manifest(
        version=tool.version,
        platform=settings.platform,
        recipe=golang.recipe_of(tool, settings),
        origin=f"{tool.module.path} {tool.module.version}, built with Go {go.version}",
        sha256=digest_of(result),
    )
    return store.publish(result, tool.name, manifest)


def _cache_error(error: OSError, settings: Settings) -> QuarterdeckError:
    next_step = "make it writable, or set XDG_CACHE_HOME to a folder that is"
    if error.errno == errno.ENOSPC:
        next_step = "free some 3 GB there, or set XDG_CACHE_HOME to a folder with room"
    return QuarterdeckError(f"to keep tools in {settings.cache}", str(error), next_step)
