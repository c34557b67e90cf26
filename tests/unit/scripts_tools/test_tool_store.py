"""The cache of tools: whole or not at all, and verified before it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from quarterdeck_scripts.tools.store import MANIFEST, Cached, Manifest, Store, digest_of, is_known, stamp_of

if TYPE_CHECKING:
    from pathlib import Path

PLATFORM = "linux/amd64"
HOLD = """
import pathlib, sys
from quarterdeck_scripts.tools.store import Store

store = Store(pathlib.Path(sys.argv[1]))
with store.locked(lambda: print("waiting", flush=True)), store.workspace("build") as folder:
    (folder / "half").write_text("half a binary")
    print("holding", flush=True)
    sys.stdin.read()
"""
"""A process that holds the lock, with a half-made file in its workspace, until its input ends."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty cache."""
    return Store(tmp_path / "cache")


def publish(store: Store, content: str = "a binary", recipe: str = "r1") -> Path:
    """Put `etcd` 3.6.8 into *store*."""
    with store.locked(waiting=lambda: None), store.workspace("build") as folder:
        made = folder / "result"
        made.write_text(content)
        manifest = Manifest("3.6.8", PLATFORM, recipe, "a test", digest_of(made))
        return store.publish(made, "etcd", manifest)


def look_up(store: Store, recipe: str = "r1", platform: str = PLATFORM) -> Cached:
    """Look `etcd` 3.6.8 up."""
    return store.look_up("etcd", "3.6.8", recipes={recipe}, platform=platform)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line *process* writes."""
    assert process.stdout
    return process.stdout.readline().strip()


def test_an_empty_cache_has_nothing_and_no_complaint(store: Store) -> None:
    """A first run has nothing to explain."""
    assert look_up(store) == Cached(None)


def test_what_was_published_is_found_with_its_origin(store: Store, tmp_path: Path) -> None:
    """In `<cache>/<tool>/<version>/<tool>`, beside its manifest, and nothing else anywhere."""
    path = publish(store)

    assert path == tmp_path / "cache" / "etcd" / "3.6.8" / "etcd"
    assert look_up(store) == Cached(path, origin="a test")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["etcd", MANIFEST]
    assert sorted(entry.name for entry in store.root.iterdir()) == [".lock", "etcd"]


def test_a_changed_binary_is_not_used(store: Store) -> None:
    """Whatever changed it."""
    path = publish(store)
    path.write_text("a backdoor")

    assert look_up(store) == Cached(None, "it is not the file that was verified, its SHA-256 differs")


def test_a_changed_binary_of_the_same_size_and_time_is_not_used(store: Store) -> None:
    """The time of last change is the kernel's own, so setting the clock of the file back hides nothing."""
    path = publish(store)
    before = path.stat()
    path.write_text("A BINARY")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert look_up(store).path is None


def test_an_untouched_binary_is_not_hashed_again(store: Store) -> None:
    """Its stamp is enough: with a digest that fits nothing in the manifest, it is found all the same."""
    path = publish(store)
    manifest = path.with_name(MANIFEST)
    other = json.dumps({**json.loads(manifest.read_text()), "sha256": "0" * 64})

    def noted() -> bool:
        manifest.write_text(other)
        return manifest.stat().st_ctime_ns > path.stat().st_ctime_ns

    until(noted, "a tick of the file system's clock")
    assert look_up(store).path == path


def test_a_restored_cache_is_hashed_once_and_used(store: Store) -> None:
    """A copy has another inode and other times; its digest is what counts, and its new stamp is noted."""
    path = publish(store)
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)

    assert look_up(store).path == path
    assert json.loads(path.with_name(MANIFEST).read_text())["stamp"] == list(stamp_of(path))


@pytest.mark.parametrize(("noted", "known"), [(70, False), (71, True)])
def test_a_stamp_of_the_moment_of_the_last_change_says_nothing(noted: int, *, known: bool) -> None:
    """Another change within the same tick of the file system's clock would leave the same one: once it was believed."""
    assert is_known((8, 1, 60, 70), (8, 1, 60, 70), noted) is known
    assert not is_known((8, 1, 60, 70), (8, 1, 60, 69), noted)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "a file is missing or its manifest is unreadable"),
        (lambda path: path.with_name(MANIFEST).unlink(), "a file is missing or its manifest is unreadable"),
        (lambda path: path.with_name(MANIFEST).write_text("{"), "a file is missing or its manifest is unreadable"),
        (lambda path: path.with_name(MANIFEST).write_text("{}"), "a file is missing or its manifest is unreadable"),
        (lambda path: path.with_name(MANIFEST).write_text("[]"), "a file is missing or its manifest is unreadable"),
    ],
    ids=["no binary", "no manifest", "half a manifest", "an empty manifest", "another manifest"],
)
def test_a_folder_that_is_not_whole_is_not_used(store: Store, spoil, problem: str) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 -- one lambda a row
    """Nothing is guessed about a binary without a readable manifest."""
    spoil(publish(store))

    assert look_up(store) == Cached(None, problem)


def test_a_binary_made_otherwise_is_not_used(store: Store) -> None:
    """Other flags or dependencies at the same version make another binary."""
    publish(store)

    assert look_up(store, recipe="r2") == Cached(None, "it was made from other versions, flags or checksums")


def test_a_binary_for_another_machine_is_not_used(store: Store) -> None:
    """A home folder may be shared by machines of several kinds."""
    publish(store)

    assert look_up(store, platform="linux/arm64") == Cached(None, "it is for linux/amd64")


def test_publishing_again_replaces_what_was_there(store: Store) -> None:
    """Also a tampered folder with things in it that nobody knows."""
    path = publish(store)
    path.write_text("a backdoor")
    (path.parent / "more").write_text("of it")

    publish(store, "another binary", recipe="r2")

    assert look_up(store, recipe="r2").path == path
    assert path.read_text() == "another binary"
    assert not (path.parent / "more").exists()


def test_a_folder_is_hashed_whole_each_time(store: Store) -> None:
    """Go is twelve thousand files; any of them changed makes it another Go."""
    with store.locked(waiting=lambda: None), store.workspace("go") as folder:
        made = folder / "go"
        (made / "bin").mkdir(parents=True)
        (made / "bin" / "go").write_text("go")
        path = store.publish(made, "go", Manifest("1.27.3", PLATFORM, "r1", "a test", digest_of(made)))
    found = store.look_up("go", "1.27.3", recipes={"r1"}, platform=PLATFORM)
    (path / "bin" / "go").write_text("no")

    assert found.path == path
    assert store.look_up("go", "1.27.3", recipes={"r1"}, platform=PLATFORM).path is None


def test_a_second_installation_waits_for_the_first(store: Store) -> None:
    """And says so; the lock is the kernel's, so it ends with its holder."""
    holder = [sys.executable, "-c", HOLD, str(store.root)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert line_of(first) == "holding"
        with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second:
            assert line_of(second) == "waiting"
            first.kill()

            assert line_of(second) == "holding"
            second.communicate()

    assert second.returncode == 0


def test_what_a_killed_installation_left_is_used_by_nobody_and_cleared_by_the_next(store: Store) -> None:
    """SIGKILL runs no clean-up, so the next holder of the lock does it."""
    holder = [sys.executable, "-c", HOLD, str(store.root)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert line_of(killed) == "holding"
        killed.kill()
    assert (store.root / ".work" / "build" / "half").exists()
    assert look_up(store) == Cached(None)

    path = publish(store)

    assert look_up(store).path == path
    assert not (store.root / ".work").exists()
