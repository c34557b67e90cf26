"""The folder that workers share: led by one process, and gone after it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.programs import until

from quarterdeck_instrumentation.exposition import session, store
from quarterdeck_instrumentation.exposition.writer import Writer
from quarterdeck_instrumentation.registry import Registry

LEADS = """
import os, sys
from quarterdeck_instrumentation.exposition import session
print(session.create({"QUARTERDECK_METRICS_DIR": sys.argv[1]}), flush=True)
os.execvp("cat", ["cat"])
"""
"""Makes a folder, then becomes another command, as the launcher does."""


def leader(base: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that leads a session in *base*, and return it and its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEADS, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def grow_old(folder: Path) -> None:
    """Make *folder* look two minutes old."""
    past = time.time() - 120
    os.utime(folder, (past, past))


def test_a_folder_is_named_after_its_leader(tmp_path: Path) -> None:
    """And is open to nobody else."""
    process, folder = leader(tmp_path)

    assert session.leader(str(folder)) == process.pid
    assert folder.stat().st_mode & 0o777 == 0o700
    process.communicate()


def test_the_next_start_removes_what_a_killed_leader_left(tmp_path: Path) -> None:
    """But not what is led, though its leader became another command, nor what is young, nor what is not ours."""
    killed, dead = leader(tmp_path)
    killed.kill()
    killed.communicate()
    living, led = leader(tmp_path)
    young = tmp_path / f"quarterdeck-{os.getuid()}-1-young"
    foreign = tmp_path / "something-else"
    for folder in (young, foreign):
        folder.mkdir()
    for folder in (dead, led, foreign):
        grow_old(folder)

    session.sweep(str(tmp_path))

    assert sorted(tmp_path.iterdir()) == sorted([led, young, foreign])
    living.communicate()


def test_only_its_own_process_removes_a_folder(tmp_path: Path) -> None:
    """A forked child inherits what is to be done at exit, and must not do it."""
    folder = session.create({"QUARTERDECK_METRICS_DIR": str(tmp_path)})
    environ = {session.VARIABLE: folder}

    session.disband(environ, os.getpid() + 1)
    assert Path(folder).exists()

    session.disband(environ, os.getpid())
    assert not Path(folder).exists()


def test_nothing_is_removed_through_a_link_nor_what_is_not_a_sessions(tmp_path: Path) -> None:
    """Shared memory is open to all users: a folder's name may be a trap."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "worker-thesis.txt").touch()
    (precious / "notes.txt").touch()
    trap = tmp_path / f"quarterdeck-{os.getuid()}-1-trap"
    trap.symlink_to(precious)

    session.remove(str(trap))
    assert len(list(precious.iterdir())) == 2
    with pytest.raises(PermissionError):
        session.of_this_process({session.VARIABLE: str(trap)})

    session.remove(str(precious))
    assert [file.name for file in precious.iterdir()] == ["notes.txt"]


def test_without_a_launcher_a_process_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Named after itself, so that it is removed with it."""
    folder = session.of_this_process({"QUARTERDECK_METRICS_DIR": str(tmp_path)})

    assert session.leader(folder) == os.getpid()


def test_siblings_of_one_multiprocessing_parent_share_a_folder(tmp_path: Path) -> None:
    """Two services of one shell do not."""
    code = """
import multiprocessing, sys
from quarterdeck_instrumentation.exposition import session

def show(base):
    print(session.of_this_process({"QUARTERDECK_METRICS_DIR": base}), flush=True)

if __name__ == "__main__":
    for _ in range(2):
        child = multiprocessing.get_context("spawn").Process(target=show, args=(sys.argv[1],))
        child.start()
        child.join()
    show(sys.argv[1])
"""
    script = tmp_path / "parent.py"
    script.write_text(code)

    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=True)

    first, second, parent = done.stdout.splitlines()
    assert first == second == parent


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of strangers are not added up."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(PermissionError, match="belongs to another user"):
        session.of_this_process({session.VARIABLE: str(tmp_path)})


class Asked:
    """A lock that says how often it was asked for."""

    def __init__(self) -> None:
        self.times = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.times += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_write_that_is_under_way_does_not_make_a_removed_folder_anew(tmp_path: Path) -> None:
    """The thread that writes values down found its files gone, as after a cleaner of temporary ones, and made others.

    So a process that ended within a moment of its last request could leave its folder behind.
    """
    folder = session.create({"QUARTERDECK_METRICS_DIR": str(tmp_path)})
    go = threading.Event()
    go.set()

    class Held(store.Pair):
        def write(self, data: bytes) -> None:
            assert go.wait(60)
            super().write(data)

    writer = Writer(Registry(10), lambda: None)
    writer._lock = lock = Asked()
    writer.pair = pair = Held(folder, "worker-1")
    writer.write()
    go.clear()
    writes = threading.Thread(target=writer.write)
    ends = threading.Thread(target=lambda: (writer.detach(), session.remove(folder)))
    for number, thread in ((2, writes), (3, ends)):
        thread.start()
        until(lambda number=number, thread=thread: lock.times == number or not thread.is_alive())
    go.set()
    writes.join()
    ends.join()
    pair.close()

    assert not Path(folder).exists()
    assert writer.pair is None


def test_a_page_shows_nothing_that_is_not_yet_written_down(tmp_path: Path) -> None:
    """It showed the values of a write that was under way: a worker killed then took back what had been shown."""
    folder = session.create({"QUARTERDECK_METRICS_DIR": str(tmp_path)})
    writing, go, order = threading.Event(), threading.Event(), []
    go.set()

    class Held(store.Pair):
        def write(self, data: bytes) -> None:
            writing.set()
            assert go.wait(60)
            super().write(data)
            order.append("written")

    writer = Writer(Registry(10), lambda: None)
    writer._lock = lock = Asked()
    writer.pair = pair = Held(folder, "worker-1")
    writer.write()
    go.clear()
    writing.clear()
    writes = threading.Thread(target=writer.write)
    shows = threading.Thread(target=lambda: order.append(f"shown {writer.values().sequence}"))
    writes.start()
    assert writing.wait(60)
    shows.start()
    until(lambda: lock.times == 3 or not shows.is_alive())
    go.set()
    writes.join()
    shows.join()
    pair.close()

    assert order == ["written", "written", "shown 2"]


def test_a_folder_that_a_worker_still_uses_outlives_its_leader(tmp_path: Path) -> None:
    """Gunicorn's new arbiter has workers in it when the old one ends; the next start removes it after them."""
    folder = session.create({"QUARTERDECK_METRICS_DIR": str(tmp_path)})
    uses = f"from quarterdeck_instrumentation.exposition.store import Pair; Pair({folder!r}, 'worker-1').write(b'1')"
    worker = subprocess.Popen(
        [sys.executable, "-c", f"{uses}; print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    worker.stdout.readline()

    session.disband({session.VARIABLE: folder}, os.getpid())
    assert Path(folder).exists()

    worker.communicate(b"\n")
    session.disband({session.VARIABLE: folder}, os.getpid())
    assert not Path(folder).exists()
