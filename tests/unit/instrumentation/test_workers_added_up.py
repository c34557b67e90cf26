"""One page for all workers, the ended included: counters never go backwards, and nothing piles up."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.exposition.collector import Collector
from quarterdeck_instrumentation.exposition.snapshot import Snapshot
from quarterdeck_instrumentation.exposition.store import TOTALS, Folder
from quarterdeck_instrumentation.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

JOBS = Metric("jobs", "{job}", Kind.COUNTER, "How many.", (Label("kind", ""),))
LATENCY = Metric("latency", "s", Kind.HISTOGRAM, "How long.", (), (0.1, 1.0))
RUNNING = Metric("running", "{job}", Kind.UP_DOWN_COUNTER, "How many now.")
BEGAN = Metric("began", "s", Kind.GAUGE, "When.")

WORKER = """
import sys
from quarterdeck_instrumentation.exposition.store import Pair
pair = Pair(sys.argv[1], sys.argv[2])
for line in sys.stdin:
    pair.write(bytes.fromhex(line))
    print("written", flush=True)
"""
"""A worker's process: writes what it is told, and lives until its input ends or it is killed."""


def values(done: int, sequence: int = 1, began: float = 1000.0) -> bytes:
    """Return the snapshot of a worker that has done *done* jobs of 0.5 s and runs one more."""
    registry = Registry(100, clock=lambda: began)
    registry.cell(JOBS, "a").add(done)
    for _ in range(done):
        registry.distribution(LATENCY).observe(0.5)
    registry.cell(RUNNING).add(1)
    registry.cell(BEGAN).set(began)
    return snapshot.encode(sequence, *registry.snapshot())


class Worker:
    """A worker's process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def write(self, data: bytes) -> None:
        """Have it write *data* down."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(data.hex() + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "written\n"

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[str], Worker]]:
    """Return a function that starts a worker by name; all are killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> Worker:
        arguments = [sys.executable, "-c", WORKER, str(tmp_path), f"worker-{name}"]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return Worker(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    """Return what adds up, in a process of its own that has done nothing."""
    failures.forget()
    return new_collector(tmp_path)


def new_collector(folder: Path) -> Collector:
    """Return a collector that has just taken over."""
    return Collector(Folder(str(folder)), "worker-own", Snapshot)


def shown(collector: Collector) -> dict[str, list[float]]:
    """Return what the page would show: numbers by metric."""
    return {each.metric.name: list(each.numbers) for each in collector.collect()[1]}


@contextmanager
def refusing_writes(folder: Path) -> Iterator[None]:
    """Make it impossible to replace the totals, even for root."""
    obstacle = folder / f"{TOTALS}.new"
    obstacle.mkdir()
    try:
        yield
    finally:
        obstacle.rmdir()


def test_the_living_are_added_up(worker: Callable[[str], Worker], collector: Collector) -> None:
    """Counters, buckets and running jobs are sums; of a gauge, the greatest; a series is as old as its first part."""
    worker("a").write(values(3, began=1000.0))
    worker("b").write(values(4, began=2000.0))

    assert shown(collector) == {"jobs": [7.0], "latency": [3.5, 0.0, 7.0, 0.0], "running": [2.0], "began": [2000.0]}
    assert {each.created for each in collector.collect()[1]} == {1000.0}


def test_an_ended_worker_keeps_counting_but_runs_nothing(
    worker: Callable[[str], Worker], collector: Collector, tmp_path: Path
) -> None:
    """Its counters are folded into the totals, its gauges end with it, its files are removed."""
    ended, living = worker("a"), worker("b")
    ended.write(values(3))
    living.write(values(4))
    shown(collector)

    ended.kill()

    assert shown(collector)["jobs"] == [7.0]
    assert shown(collector)["running"] == [1.0]
    assert sorted(os.listdir(tmp_path)) == [TOTALS, "worker-b.a", "worker-b.b"]  # noqa: PTH208 -- names alone


def test_all_ended_leave_their_counters(worker: Callable[[str], Worker], collector: Collector) -> None:
    """Between the last worker's end and its successor's start nothing is lost."""
    only = worker("a")
    only.write(values(3))
    only.kill()

    assert shown(collector) == {"jobs": [3.0], "latency": [1.5, 0.0, 3.0, 0.0]}


def test_who_takes_over_shows_the_same(worker: Callable[[str], Worker], collector: Collector, tmp_path: Path) -> None:
    """The totals are in the folder, not in the memory of who served the page before."""
    ended, living = worker("a"), worker("b")
    ended.write(values(3))
    living.write(values(4))
    ended.kill()
    before = shown(collector)

    assert shown(new_collector(tmp_path)) == before


def test_dying_between_adding_and_removing_counts_nobody_twice(
    worker: Callable[[str], Worker], collector: Collector, tmp_path: Path
) -> None:
    """The totals name whom they hold; whoever comes next removes the rest."""
    ended = worker("a")
    ended.write(values(3))
    ended.kill()
    left_behind = (tmp_path / "worker-a.b").read_bytes()
    shown(collector)
    (tmp_path / "worker-a.a").touch()
    (tmp_path / "worker-a.b").write_bytes(left_behind)

    assert shown(new_collector(tmp_path))["jobs"] == [3.0]


def test_a_full_disk_loses_nothing(worker: Callable[[str], Worker], collector: Collector, tmp_path: Path) -> None:
    """What cannot be folded is held in memory and tried again; it is counted as a failure."""
    ended = worker("a")
    ended.write(values(3))
    ended.kill()

    with refusing_writes(tmp_path):
        assert shown(collector) == {"jobs": [3.0], "latency": [1.5, 0.0, 3.0, 0.0]}
        assert shown(collector)["jobs"] == [3.0]

    assert shown(collector)["jobs"] == [3.0]
    assert not (tmp_path / "worker-a.a").exists()
    assert failures.counts()["store"] == 2


def test_two_hundred_ended_workers_leave_one_file(
    worker: Callable[[str], Worker], collector: Collector, tmp_path: Path
) -> None:
    """Size stays flat, however often workers are replaced."""
    sizes = set()
    for number in range(200):
        for slot in ("a", "b"):
            (tmp_path / f"worker-{number}.{slot}").write_bytes(values(1))
        shown(collector)
        sizes.add((tmp_path / TOTALS).stat().st_size - len(str(number)))

    assert shown(collector)["jobs"] == [200.0]
    assert os.listdir(tmp_path) == [TOTALS]  # noqa: PTH208 -- names alone
    assert len(sizes) == 1


class TestTampering:
    """Whatever is done to the files, there is a page; what was shown is not taken back."""

    @pytest.mark.parametrize("content", [b"", b"scribble", b"\0" * 4096])
    def test_both_files_of_a_living_worker(
        self, worker: Callable[[str], Worker], collector: Collector, tmp_path: Path, content: bytes
    ) -> None:
        """Its last values stay on the page, and its next write mends the file."""
        living = worker("a")
        living.write(values(3))
        shown(collector)
        for slot in ("a", "b"):
            (tmp_path / f"worker-a.{slot}").write_bytes(content)

        assert shown(collector)["jobs"] == [3.0]

        living.write(values(5, sequence=2))
        assert shown(collector)["jobs"] == [5.0]

    def test_the_newer_file_alone(self, worker: Callable[[str], Worker], collector: Collector, tmp_path: Path) -> None:
        """The older one is whole, but older than what was shown."""
        living = worker("a")
        living.write(values(3, sequence=1))
        living.write(values(4, sequence=2))
        shown(collector)
        (tmp_path / "worker-a.a").write_bytes(b"scribble")

        assert shown(collector)["jobs"] == [4.0]
        assert shown(new_collector(tmp_path))["jobs"] == [3.0]

    def test_removed_files_of_a_living_worker(
        self, worker: Callable[[str], Worker], collector: Collector, tmp_path: Path
    ) -> None:
        """As cleaners of temporary folders do; the worker makes them anew and keeps its lock."""
        living = worker("a")
        living.write(values(3))
        shown(collector)
        for slot in ("a", "b"):
            (tmp_path / f"worker-a.{slot}").unlink()

        assert shown(collector)["jobs"] == [3.0]

        living.write(values(5, sequence=2))
        assert shown(collector)["jobs"] == [5.0]
        living.kill()
        assert shown(collector) == {"jobs": [5.0], "latency": [2.5, 0.0, 5.0, 0.0]}

    def test_a_folder_in_place_of_a_file(
        self, worker: Callable[[str], Worker], collector: Collector, tmp_path: Path
    ) -> None:
        """It is no worker, and no reason to show nothing of the others."""
        (tmp_path / "worker-a.a").mkdir()
        worker("b").write(values(3))

        assert shown(collector)["jobs"] == [3.0]
        assert failures.counts()["store"] == 1

    def test_the_totals(self, tmp_path: Path) -> None:
        """Who takes over then has to begin anew, and says so."""
        failures.forget()
        (tmp_path / TOTALS).write_bytes(b"scribble")

        assert shown(new_collector(tmp_path)) == {}
        assert failures.counts()["store"] == 1

    def test_a_metric_that_differs_between_workers(self, worker: Callable[[str], Worker], collector: Collector) -> None:
        """Two versions in one folder: the first one's is shown."""
        other = Registry(100)
        other.distribution(Metric("jobs", "", Kind.HISTOGRAM, "", (Label("kind", ""),), (1.0,)), "a").observe(0.5)
        worker("a").write(values(3))
        worker("b").write(snapshot.encode(1, *other.snapshot()))

        assert shown(collector)["jobs"] == [3.0]
        assert failures.counts()["store"] == 1
