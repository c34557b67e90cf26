"""The Pulumi CLI, where there is one: asked what it would do, never told to do it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError

if TYPE_CHECKING:
    from pathlib import Path

PULUMI = "pulumi"
_PREVIEW = ("preview", "--json", "--non-interactive", "--suppress-progress", "--stack")
_TIMEOUT = 600
"""Seconds: a preview asks the cluster about every object, and some clusters are far away."""


def found() -> bool:
    """Return whether the CLI is on PATH."""
    return shutil.which(PULUMI) is not None


def preview(stack: str, root: Path) -> dict[str, Any]:
    """Return what `pulumi preview --json` says of *stack*, of the project in *root*.

    Raises:
        QuarterdeckError: it says nothing that can be read: no such stack, no back end, no time.
    """
    command = [PULUMI, *_PREVIEW, stack]
    expected, step = "`pulumi preview` to say what it would do", "run it by hand, or compare with --diff"
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise QuarterdeckError(expected, f"nothing within {_TIMEOUT} s", step) from error
    try:
        digest = json.loads(done.stdout)
    except ValueError as error:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise QuarterdeckError(expected, f"exit code {done.returncode}: {lines[-1]}", step) from error
    if not isinstance(digest, dict):
        raise QuarterdeckError(expected, "JSON of another kind", step)
    return digest
