"""Build tools from their Go modules, at the versions and checksums that `tools/go/<module>/` pins."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from quarterdeck_scripts.tools.catalogue import Module, Tool
    from quarterdeck_scripts.tools.process import Finished
    from quarterdeck_scripts.tools.settings import Settings

_STALE = "compile "
"""Before each package that `go list` finds no compiled form of in Go's build cache."""
PINS = ("go.mod", "go.sum")
"""The files that make a build the same everywhere."""
_SOURCES = "*.go"
"""Beside them, where a tool's main package is ours: it chooses what a program is made of."""


@dataclass(frozen=True, slots=True)
class Go:
    """A Go toolchain that is new enough."""

    binary: Path
    version: str
    """For example `1.26.8`."""
    environment: Mapping[str, str]
    """The environment to run it in."""


def recipe_of(tool: Tool, settings: Settings) -> str:
    """Return the SHA-256 of all that decides what is built, save the Go release, whose every patch will do."""
    digest = hashlib.sha256()
    for file in _files(tool.module, settings):
        digest.update(file.read_bytes())
    digest.update("\n".join([tool.package, *_flags(tool.module)]).encode())
    return digest.hexdigest()


def _files(module: Module, settings: Settings) -> list[Path]:
    """Return what a build begins with: the pins, and a main package of ours."""
    folder = settings.pinned / "go" / module.name
    return [*(folder / pin for pin in PINS), *sorted(folder.glob(_SOURCES))]


def _flags(module: Module) -> list[str]:
    # -mod=readonly: nothing but what go.sum pins, whatever the user's GOFLAGS say. -buildvcs=false: the
    # wrapper module is no one's repository, even where its folder is inside one.
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(("-s -w", *module.ldflags))]
    if module.tags:
        flags += ["-tags", ",".join(module.tags)]
    return flags


def build(
    go: Go, tools: Sequence[Tool], folder: Path, settings: Settings, on_progress: Callable[[str], None]
) -> dict[str, Path]:
    """Build *tools*, all of one module, with one `go build` in *folder*; return each binary's path.

    Args:
        go: the toolchain.
        tools: tools of the same module: packages they share are compiled, and counted, once.
        folder: an empty folder of the caller's, for sources, results and Go's temporary files.
        settings: where the pins are, and whether anything may be fetched.
        on_progress: told where the build stands, as in `312 of 1121 packages`.

    Raises:
        QuarterdeckError: the modules can not be had, the disk is full, or the build fails.
    """
    module = tools[0].module
    source, results = _lay_out(module, folder, settings)
    environment = _environment(go, folder, settings)
    flags = _flags(module)
    packages = [tool.package for tool in tools]

    def command(*arguments: str, on_line: Callable[[str], None]) -> None:
        done = run(
            [go.binary, *arguments],
            cwd=source,
            environment=environment,
            silence=settings.silence_deadline,
            on_line=on_line,
        )
        if done.code != 0:
            raise explain(module, done, settings)

    fetched = _Counter(on_progress, "go: downloading ", "{} modules fetched")
    stale: list[str] = []

    def listed(line: str) -> None:
        fetched(line)
        if line.startswith(_STALE):
            stale.append(line)

    template = f"{{{{if .Stale}}}}{_STALE}{{{{.ImportPath}}}}{{{{end}}}}"
    command("list", *flags, "-deps", "-f", template, *packages, on_line=listed)
    # With -v, Go names each package that it compiles, and nothing else, on a line of its own.
    compiled = _Counter(on_progress, "", f"{{}} of {len(stale)} packages compiled")
    command("build", *flags, "-v", "-o", f"{results}/", *packages, on_line=compiled)
    return {tool.name: results / _result_name(tool.package) for tool in tools}


def _lay_out(module: Module, folder: Path, settings: Settings) -> tuple[Path, Path]:
    """Make the folder to build in, with the module's pins, and the one for the results.

    The pins are copied so that nothing is written beside them: an installed wheel may be read-only, and Go
    updates a `go.sum` that it finds wanting where a user's GOFLAGS allow it.
    """
    source, results = folder / "source", folder / "bin"
    for fresh in (source, results, folder / "tmp"):
        fresh.mkdir()
    for file in _files(module, settings):
        shutil.copy(file, source)
    return source, results


def _environment(go: Go, folder: Path, settings: Settings) -> dict[str, str]:
    system, _, processor = settings.platform.partition("/")
    return {
        **go.environment,
        "GOOS": system,  # the binaries are for this machine, whatever a user builds for
        "GOARCH": processor,
        "CGO_ENABLED": "0",  # no C compiler is asked for, and the binaries run on any Linux
        "GOWORK": "off",  # a workspace around the cache is not ours
        "GOTMPDIR": str(folder / "tmp"),  # so that a killed Go leaves nothing outside the folder
        **({"GOPROXY": "off"} if settings.offline else {}),
    }


class _Counter:
    """Counts the lines that begin in one way, and says how many there are."""

    def __init__(self, say: Callable[[str], None], beginning: str, text: str) -> None:
        self._say, self._beginning, self._text = say, beginning, text
        self._count = 0

    def __call__(self, line: str) -> None:
        if line.startswith(self._beginning):
            self._count += 1
            self._say(self._text.format(self._count))


def _result_name(package: str) -> str:
    """Return the file name Go gives a command: the last path element that is no major version.

    >>> _result_name("go.etcd.io/etcd/server/v3")
    'server'
    """
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


_UNREACHABLE = re.compile(
    r"dial tcp|connection re(?:fused|set)|no such host|i/o timeout|TLS handshake|GOPROXY=off|"
    r"unexpected EOF|x509: |proxyconnect|: (?:5\d\d|4\d\d) [A-Z]"
)
"""What Go says when a module can not be fetched."""


def explain(module: Module, done: Finished, settings: Settings) -> QuarterdeckError:
    """Turn a failed command of Go's, *done*, into one error with its next step."""
    said = [line.strip() for line in done.tail.splitlines() if line and not line.startswith("go: downloading ")]
    last = " · ".join(said[-3:]).rstrip(".") or f"exit code {done.code}"
    expected = f"to build {module.path} {module.version}"
    if done.code is None:
        found = f"no word from Go for {settings.silence_deadline:.0f} s"
        next_step = "look at the machine's load and at `go env GOPROXY`, then run it again"
    elif "no space left on device" in done.tail:
        found = f"a full disk: {last}"
        next_step = "free some 5 GB where `go env GOCACHE GOMODCACHE` and the tools' cache are, then run it again"
    elif "checksum mismatch" in done.tail:
        expected = f"modules as pinned in tools/go/{module.name}/go.sum"
        found = next(line for line in said if "checksum mismatch" in line)
        next_step = "find out what `go env GOPROXY` serves; nothing was built from it"
    elif settings.offline and "GOPROXY=off" in done.tail:
        found = "modules that Go's cache does not hold, and --offline"
        next_step = "run it once without --offline"
    elif _UNREACHABLE.search(done.tail):
        found = f"no way to its modules: {last}"
        next_step = "make the Go module proxy reachable, or set GOPROXY to one that is, then run it again"
    else:
        found = f"that Go failed: {last}"
        next_step = "compare `go env` with a fresh installation's (GOFLAGS, GOEXPERIMENT), then run it again"
    return QuarterdeckError(expected, found, next_step)
