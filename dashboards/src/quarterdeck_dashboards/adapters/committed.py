"""Texts that are files, come from stdin, or were committed at some revision, as git has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from quarterdeck_contract.errors import UsageError


def text_of(place: str, default: str) -> str:
    """Return the text at *place*.

    Args:
        place: a file, `-` for stdin, `REVISION:PATH`, or a `REVISION` alone. A path is from the repository's top; with
            `./` before it, from here.
        default: the path that a revision alone means.

    Raises:
        UsageError: there is no such file and no such revision with that file, or it is not UTF-8.
    """
    try:
        if place == "-":
            return sys.stdin.read()
        if Path(place).is_file():
            return Path(place).read_text(encoding="utf-8")
        return _committed(place if ":" in place else f"{place}:{default}").decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{place} to be readable text", str(error), "name another one") from error


def _committed(name: str) -> bytes:
    if name.startswith("-"):
        raise UsageError("a file or a revision", name, "name a file, REVISION:PATH or a revision")  # git's options
    try:
        shown = subprocess.run(
            ["git", "cat-file", "blob", name],  # noqa: S607 -- whichever git the caller has
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError(f"a file, or git to look {name} up", "neither", "name a file") from error
    if shown.returncode:
        said = shown.stderr.decode(errors="replace").strip().removeprefix("fatal: ").removesuffix(".")
        raise UsageError(f"a file, or what git has as {name}", said, "name a file, REVISION:PATH or a revision")
    return shown.stdout
