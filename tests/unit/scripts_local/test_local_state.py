"""What an environment's folder says: its record, its logs, and whether it may be removed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_scripts.local import lifecycle, logs
from quarterdeck_scripts.local.lifecycle import EnvironmentFailedError
from quarterdeck_scripts.local.pods.creation import fresh_log
from quarterdeck_scripts.local.process import ProcessId
from quarterdeck_scripts.local.state import (
    Layout,
    Part,
    Phase,
    Record,
    part_of,
    read_record,
    tail,
    write_record,
)

if TYPE_CHECKING:
    from pathlib import Path

GONE = ProcessId(os.getpid(), 1)
"""Our pid at another time: a process that is not there."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return the layout of an environment that was never started."""
    layout = Layout(tmp_path / "local")
    layout.logs.mkdir(parents=True)
    return layout


@pytest.fixture
def record(layout: Layout) -> Record:
    """Return the record of a running environment; this process plays all its parts."""
    own = part_of("supervisor", os.getpid(), layout.log("supervisor"))
    return Record(
        Phase.RUNNING, own, (replace(own, name="etcd"),), server="https://127.0.0.1:1", loopback_prefix="127.77"
    )


def test_a_record_is_read_as_it_was_written(layout: Layout, record: Record) -> None:
    """By its owner only."""
    write_record(layout, record)

    assert read_record(layout) == record
    assert layout.record.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": "running"}', '{"phase": "odd", "parts": []}'])
def test_a_record_that_is_none_is_no_record(layout: Layout, text: str) -> None:
    """Half a file, or another version's: the environment is cleaned away, not crashed over."""
    layout.record.write_text(text)

    assert read_record(layout) is None


def test_the_status_is_the_records_while_everybody_lives(layout: Layout, record: Record) -> None:
    """And whoever waits goes on waiting."""
    write_record(layout, record)

    found = lifecycle.status(layout.state)

    assert (found.phase, found.failure, found.loopback_prefix) == (Phase.RUNNING, "", "127.77")
    assert [(part.name, part.alive) for part in found.parts] == [("supervisor", True), ("etcd", True)]
    lifecycle.require_running(layout.state)


def test_a_dead_part_is_a_failure_before_the_supervisor_has_said_so(layout: Layout, record: Record) -> None:
    """Nobody has to be alive to be believed."""
    dead = Part("etcd", GONE, "", "/x/etcd.log")
    write_record(layout, replace(record, parts=(dead,)))

    found = lifecycle.status(layout.state)

    assert found.phase is Phase.FAILED
    assert found.failure == f"etcd (pid {os.getpid()}) is gone; its log is /x/etcd.log"
    with pytest.raises(EnvironmentFailedError, match="etcd"):
        lifecycle.require_running(layout.state)


def test_a_dead_supervisor_makes_the_environment_stale(layout: Layout, record: Record) -> None:
    """It could not write that it died."""
    write_record(layout, replace(record, supervisor=Part("supervisor", GONE, "", "")))

    found = lifecycle.status(layout.state)

    assert found.phase is Phase.STALE
    assert found.failure.startswith(f"supervisor (pid {os.getpid()}) is gone")


def test_a_recorded_failure_is_the_status_whoever_lives(layout: Layout, record: Record) -> None:
    """The supervisor's own words are better than ours."""
    write_record(layout, replace(record, phase=Phase.FAILED, failure="kwok was killed"))

    assert lifecycle.status(layout.state).failure == "kwok was killed"


def test_without_an_environment_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    """The next step says how to have one."""
    assert lifecycle.status(tmp_path / "local").phase is Phase.ABSENT

    with pytest.raises(EnvironmentFailedError, match="quarterdeck local up"):
        lifecycle.require_running(tmp_path / "local")


def test_a_folder_that_is_none_of_ours_is_not_removed(tmp_path: Path) -> None:
    """`down` in the wrong place must not cost somebody their work."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").touch()

    with pytest.raises(RefusedError, match="none of ours"):
        lifecycle.down(tmp_path / "work")

    assert (tmp_path / "work" / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["..", "Local", "a_b", "x" * 43])
def test_a_name_that_can_not_be_an_environments_is_refused(tmp_path: Path, name: str) -> None:
    """It becomes the name of a context and of a stack; and `..` would be another folder."""
    with pytest.raises(UsageError, match="an environment's name"):
        lifecycle.down(tmp_path / name)


def test_down_without_an_environment_does_nothing(tmp_path: Path) -> None:
    """Safe to run again."""
    lifecycle.down(tmp_path / "local")

    assert list(tmp_path.iterdir()) == []


def test_a_broken_environment_is_removed(layout: Layout, record: Record) -> None:
    """Its processes are gone already; its files go too, and Ctrl-C works as before."""
    write_record(layout, replace(record, supervisor=Part("supervisor", GONE, "", "")))

    lifecycle.down(layout.state)

    assert not layout.state.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_a_killed_removal_left_goes_with_the_next(layout: Layout) -> None:
    """The folder is moved out of the way before it is emptied."""
    (layout.state.parent / ".local.removed" / "pods").mkdir(parents=True)
    layout.settings.write_text("{}")

    lifecycle.down(layout.state)

    assert list(layout.state.parent.iterdir()) == []


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    """Indented, for an error's text; a log that is not there has none."""
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(20)))

    assert tail(log, 2) == "  18\n  19"
    assert tail(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\n", 5, "a\n"),
        ("a\nb\n", 0, ""),
        ("", 3, ""),
        ("x" * 70_000 + "\nend\n", 1, "end\n"),
        ("end\n" + "x" * 70_000 + "\n", 2, "end\n" + "x" * 70_000 + "\n"),
    ],
)
def test_a_log_is_read_whole_or_from_its_last_lines(tmp_path: Path, text: str, lines: int, expected: str) -> None:
    """Also when they are longer than what is read at a time."""
    log = tmp_path / "log"
    log.write_text(text)

    assert b"".join(logs.read(log)).decode() == text
    assert b"".join(logs.read(log, tail=lines)).decode() == expected


def test_following_a_log_ends_when_the_container_starts_anew(tmp_path: Path) -> None:
    """What was written until then has all been read."""
    log = tmp_path / "main.log"
    log.write_text("one\n")
    reading = logs.read(log, follow=True)
    assert next(reading) == b"one\n"
    with log.open("a") as file:
        file.write("two\n")
    assert next(reading) == b"two\n"

    log.replace(logs.previous_log(log))

    assert list(reading) == []


def test_a_log_is_there_while_its_container_is_started_anew(tmp_path: Path) -> None:
    """Empty until the process writes; there was a moment once when whoever asked for it was told that there is none."""
    log = tmp_path / "main.log"
    for run in ("first", "second", "third"):
        assert fresh_log(log) == log
        log.write_text(run)

    fresh_log(log)

    assert (log.read_text(), logs.previous_log(log).read_text()) == ("", "third")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["main.log", "main.previous.log"]


def test_a_log_is_chosen_by_pod_or_part(layout: Layout) -> None:
    """By the name alone where that is enough."""
    folder = layout.pods / "shop_checkout-1_uid"
    folder.mkdir(parents=True)
    for name in ("main.log", "main.previous.log"):
        (folder / name).touch()
    layout.log("etcd").touch()

    assert logs.choose(layout, "checkout-1", None, None, previous=False) == folder / "main.log"
    assert logs.choose(layout, "checkout-1", "shop", "main", previous=True) == folder / "main.previous.log"
    assert logs.choose(layout, "etcd", None, None, previous=False) == layout.log("etcd")


def test_a_log_that_is_not_meant_clearly_is_asked_for_again(layout: Layout) -> None:
    """The message lists what there is."""
    for namespace in ("shop", "bar"):
        folder = layout.pods / f"{namespace}_checkout-1_uid"
        folder.mkdir(parents=True)
        (folder / "main.log").touch()
        (folder / "side.log").touch()

    with pytest.raises(UsageError, match="is in bar, shop"):
        logs.choose(layout, "checkout-1", None, None, previous=False)
    with pytest.raises(UsageError, match=r"the name of a pod \(bar/checkout-1, shop/checkout-1\)"):
        logs.choose(layout, "checkout-2", None, None, previous=False)
    with pytest.raises(UsageError, match="main, side"):
        logs.choose(layout, "checkout-1", "shop", None, previous=False)
    with pytest.raises(UsageError, match="that has run before"):
        logs.choose(layout, "checkout-1", "shop", "main", previous=True)


def test_a_log_without_an_environment_names_the_way_to_one(layout: Layout) -> None:
    """There is nothing to name one of: the message once listed two times "there is none"."""
    with pytest.raises(UsageError) as refused:
        logs.choose(layout, "checkout-1", None, None, previous=False)

    assert str(refused.value) == (
        "Expected a running local environment.\nFound none in this folder.\n"
        "Next: start one with `quarterdeck local up`."
    )
