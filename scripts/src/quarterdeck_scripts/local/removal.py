"""Remove an environment: every process, by identity, then every file."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.local import process
from quarterdeck_scripts.local.state import read_record
from quarterdeck_scripts.workspace import STATE_ROOT

if TYPE_CHECKING:
    from quarterdeck_scripts.local.state import Layout

_POLL = 0.01
"""Seconds between two looks at whether the supervisor is gone."""
_STOP_TIMEOUT = 15.0
"""Seconds the supervisor has to end everything; it needs one or two. Then its processes are killed from here."""


def remove(layout: Layout, *, keep_images: bool = False) -> None:
    """End every process of the environment and remove its files."""
    record = read_record(layout)
    if record is not None and process.send(record.supervisor.process, signal.SIGTERM):
        deadline = time.monotonic() + _STOP_TIMEOUT
        while process.alive(record.supervisor.process) and time.monotonic() < deadline:
            time.sleep(_POLL)
    process.kill_marked(process.STATE_VARIABLE, str(layout.state), spare=_lineage())
    doomed = layout.state.with_name(f".{layout.state.name}.removed")
    if doomed.exists():  # a removal that was killed
        shutil.rmtree(doomed)
    if not layout.state.exists():
        return
    _require_ours(layout)
    if keep_images:
        _empty(layout.state, keep=layout.images)
        return
    # Out of the way at once: a rollout that is still ending writes its record where the folder is, or not at all.
    layout.state.rename(doomed)
    shutil.rmtree(doomed)
    if layout.state.parent.name == STATE_ROOT.name:
        with suppress(OSError):  # other environments, reports or the audit log are in it
            layout.state.parent.rmdir()


def _empty(folder: Path, *, keep: Path) -> None:
    for entry in list(folder.iterdir()):
        if entry == keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _require_ours(layout: Layout) -> None:
    """Make sure that what is about to be deleted was made by us."""
    ours = (layout.settings, layout.record, layout.images)
    if any(layout.state.iterdir()) and not any(path.exists() for path in ours):
        raise RefusedError(
            f"a local environment in {layout.state}",
            "a folder with other files and none of ours",
            "look at them; remove the folder by hand, or name another environment with --env",
        )


def _lineage() -> set[int]:
    """Return our own pid and our ancestors': a command started by a pod must not end itself."""
    pids, pid = set(), os.getpid()
    while pid > 0:
        pids.add(pid)
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(text[text.rindex(")") + 2 :].split()[1])
    return pids
