"""The folder that the workers of one service share: named after the process that leads them, removed after it.

The leader is what `quarterdeck-instrument` became, for example uvicorn's parent process. It holds a lock on the
file `leader` from before its command was executed until it ends, so a folder nobody leads can be told from one in
use, even after SIGKILL, and the next start removes it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from quarterdeck_contract.kubernetes import METRICS_DIR

VARIABLE = "QUARTERDECK_SESSION_DIR"
"""Environment variable by which children find the folder. Set by `quarterdeck-instrument`, not by users."""

_LEADER = "leader"
_WORKER = "worker-"
_FILES = (_LEADER, "page", "totals", _WORKER)
"""What the names of a session's files begin with."""
_YOUNG = 60.0
"""Seconds: a folder younger than this may still be waiting for its first lock, so it is not swept."""


def base(environ: dict[str, str] | os._Environ[str]) -> str:
    """Return where session folders are made: as configured, else shared memory, else the temporary folder.

    Shared memory first, because four small writes a second and worker have no business on a disk.
    """
    configured = environ.get(METRICS_DIR)
    if configured:
        return configured
    if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK):  # noqa: S108 -- folders in it are ours, mode 0700
        return "/dev/shm"  # noqa: S108 -- likewise
    return environ.get("TMPDIR") or "/tmp"  # noqa: S108 -- likewise


def create(environ: dict[str, str] | os._Environ[str]) -> str:
    """Make a folder led by this process, lock it for as long as this process lives, and return it.

    The lock outlives `exec`: it belongs to the process, and its file stays open.

    Raises:
        OSError: the folder cannot be made.
    """
    parent = base(environ)
    os.makedirs(parent, exist_ok=True)
    sweep(parent)
    folder = os.path.join(parent, f"quarterdeck-{os.getuid()}-{os.getpid()}-{os.urandom(4).hex()}")
    os.mkdir(folder, 0o700)
    os.set_inheritable(_lock(folder), True)
    return folder


def _lock(folder: str) -> int:
    leader_file = os.open(os.path.join(folder, _LEADER), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(leader_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return leader_file


class _Known:
    """What this process knows of those it shares a folder with."""

    def __init__(self) -> None:
        self.activated = 0
        """The process in which the instrumentation was activated; its forks inherit this."""
        self.server = 0
        """The process that a server says its workers are forked from, before they import us."""


_known = _Known()


def led_by(server: int) -> None:
    """Say that this process is a worker of the process *server*, of which `quarterdeck-instrument` may know nothing."""
    _known.server = server


def join(environ: dict[str, str] | os._Environ[str]) -> None:
    """Have what this process forks share its folder; lead on where it led before it executed this program.

    uWSGI reloads by executing itself, and closes every file before that, the one with the lock too.
    """
    _known.activated = os.getpid()
    folder = environ.get(VARIABLE, "")
    if leader(folder) != os.getpid():
        return
    try:
        _lock(folder)
    except OSError:
        return  # removed: the workers make it anew


def of_this_process(environ: dict[str, str] | os._Environ[str]) -> str:
    """Return the folder this process shares with its siblings, and make it if need be.

    Without `quarterdeck-instrument` there is no variable. Then the folder is named after the process that all workers
    come from: the one a server names, the one whose `multiprocessing` started them, or the one they were forked from
    after it had imported us. A process of which none is known has its own.

    Raises:
        OSError: the folder cannot be made or is not ours.
    """
    folder = environ.get(VARIABLE) or _named_after(_origin(), environ)
    if not os.path.isdir(folder):
        parent = os.path.dirname(folder)
        os.makedirs(parent, exist_ok=True)
        sweep(parent)
        os.makedirs(folder, 0o700, exist_ok=True)
    if not _is_ours(folder):
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def _named_after(pid: int, environ: dict[str, str] | os._Environ[str]) -> str:
    return os.path.join(base(environ), f"quarterdeck-{os.getuid()}-{pid}-{_started(pid)}")


def _origin() -> int:
    if _known.server:
        return _known.server
    from multiprocessing import parent_process  # noqa: PLC0415 -- only without quarterdeck-instrument

    parent = parent_process()
    return parent.pid if parent is not None and parent.pid else _known.activated or os.getpid()


def _started(pid: int) -> str:
    """Return when *pid* started, so that a process id used again is another name; Linux only, else nothing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def leader(folder: str) -> int:
    """Return the process id of *folder*'s leader; 0 when the name has none."""
    parts = os.path.basename(folder).split("-")
    return int(parts[2]) if len(parts) == 4 and parts[0] == "quarterdeck" and parts[2].isdigit() else 0  # noqa: PLR2004 -- the four parts of a name


def disband(environ: dict[str, str] | os._Environ[str], pid: int) -> None:
    """Remove the folder that this process leads, if it leads one; only in process *pid*: a fork inherits `atexit`."""
    if os.getpid() != pid:
        return
    folder = environ.get(VARIABLE) or _named_after(pid, environ)
    if leader(folder) == pid and is_deserted(folder, ""):
        remove(folder)


def is_deserted(folder: str, own: str) -> bool:
    """Say whether no worker lives that has its files in *folder*, other than this process's, named *own*.

    gunicorn's workers of two versions do side by side while it is upgraded, and the older version's end is not theirs.
    """
    try:
        names = [name for name in os.listdir(folder) if name.startswith(_WORKER) and not (own and name.startswith(own))]
        return not any(_is_locked(os.path.join(folder, name)) for name in names)
    except OSError:
        return True


def remove(folder: str) -> None:
    """Remove a session's folder and its files.

    Only files of a session, and never through a link: the folders that sessions are made in are open to all users.
    """
    try:
        if not _is_ours(folder):
            return
        for name in os.listdir(folder):
            if name.startswith(_FILES):
                os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:
        return  # somebody else removes it, or the next sweep does


def sweep(parent: str) -> None:
    """Remove the folders of this user's sessions that have ended."""
    prefix = f"quarterdeck-{os.getuid()}-"
    for name in os.listdir(parent):
        folder = os.path.join(parent, name)
        if name.startswith(prefix) and _is_over(folder):
            remove(folder)


def _is_over(folder: str) -> bool:
    try:
        if not _is_ours(folder) or time.time() - os.lstat(folder).st_mtime < _YOUNG:
            return False
        return not any(_is_locked(os.path.join(folder, name)) for name in os.listdir(folder))
    except OSError:
        return False


def _is_ours(folder: str) -> bool:
    """Say whether *folder* is a folder, not a link to one, and belongs to this user."""
    status = os.lstat(folder)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_locked(path: str) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
