"""Writes `instrumentation/constraints.txt`: the exact set that `quarterdeck-instrumentation[contrib]` brings.

With `--check` nothing is written: it fails if the package index would bring another set.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_PROJECT = Path(__file__).parent.parent / "instrumentation"
_FILE = _PROJECT / "constraints.txt"
_HEAD = """\
# All that quarterdeck-instrumentation[contrib] brings, at releases that were tested together:
#   pip install --constraint constraints.txt 'quarterdeck-instrumentation[contrib]'
# Renew: python tools/constraints.py
"""


def resolved(*options: str) -> str:
    """Return what pip would install in an empty environment, as the text of a constraints file."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    done = subprocess.run([*command, *options, f"{_PROJECT}[contrib]"], check=True, stdout=subprocess.PIPE)
    found = (each["metadata"] for each in json.loads(done.stdout)["install"])
    pins = sorted(f"{each['name'].lower().replace('_', '-')}=={each['version']}" for each in found)
    return _HEAD + "".join(f"{pin}\n" for pin in pins if not pin.startswith("quarterdeck-"))


def main() -> None:
    """Write the file, or check it."""
    if "--check" not in sys.argv[1:]:
        _FILE.write_text(resolved())
    elif resolved("--constraint", str(_FILE)) != _FILE.read_text():
        sys.exit(f"Error: Expected {_FILE} to name all that [contrib] brings.\nNext: python tools/constraints.py.")


if __name__ == "__main__":
    main()
