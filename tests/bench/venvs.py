"""The virtual environments of the cases: one for ours and one for each peer, made once and kept under the cache.

What is in one is pinned by `peers/NAME.txt`, of which its folder's name has a hash, and by constraints.txt.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_PEERS = _HERE / "peers"
OURS = "quarterdeck"
"""The environment for ours. The drop-in itself comes from this checkout, by PYTHONPATH, as a copied folder does."""
NAMES = (OURS, "opentelemetry", "ddtrace", "prometheus")


def interpreter(name: str) -> Path:
    """Return the Python of environment *name*, made if it is not there yet; takes a minute then."""
    wanted = _PEERS / f"{name}.txt"
    parts = (sys.version, wanted.read_text(), (_PEERS / "applications.txt").read_text())
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    folder = _cache() / f"{name}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making the environment of {name} in {folder}", file=sys.stderr)  # noqa: T201 -- a script's progress
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted]
        subprocess.run([*install, "--constraint", _ROOT / "constraints.txt"], check=True)
        (folder / "complete").touch()
    return python


def versions(name: str) -> dict[str, str]:
    """Return what is installed in environment *name*, by distribution."""
    listed = subprocess.run(
        [interpreter(name), "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.partition("==") for line in listed.stdout.splitlines())
    return {distribution.lower(): version for distribution, _, version in pairs}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck" / "bench"
