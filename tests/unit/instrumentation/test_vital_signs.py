"""A worker's vital signs: what it says of its collections, its event loop, its threads and files, and its limits."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.programs import until

from quarterdeck_contract import metrics
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.http_server import HttpServerMetrics
from quarterdeck_instrumentation.registry import BUCKETS, CREATED, VALUE, Registry
from quarterdeck_instrumentation.vitals import process
from quarterdeck_instrumentation.vitals.event_loop import EventLoops
from quarterdeck_instrumentation.vitals.garbage import Collections
from quarterdeck_instrumentation.vitals.saturation import REQUESTS, THREADS, ListenQueues, Pools, thread_limiter
from quarterdeck_instrumentation.vitals.worker import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_contract.metrics import Metric


@pytest.fixture
def registry() -> Registry:
    """Return an empty registry."""
    return Registry(label_sets=100)


@pytest.fixture
def loop_elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """Return an event loop that runs in a thread of its own until the test has ended."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def value(registry: Registry, metric: Metric, *labels: str) -> float:
    """Return the value of a counter or gauge."""
    return registry.cell(metric, *labels).values[VALUE]


def observed(registry: Registry, metric: Metric, *labels: str) -> tuple[int, float]:
    """Return how many observations a histogram has, and their sum."""
    values = registry.distribution(metric, *labels).values
    return int(sum(values[BUCKETS:])), values[VALUE]


def watch(loops: EventLoops, loop: asyncio.AbstractEventLoop) -> None:
    """Have *loops* notice *loop*, from within."""
    done = threading.Event()
    loop.call_soon_threadsafe(lambda: (loops.notice(), done.set()))
    assert done.wait(10)


class TestGarbage:
    """Collections of garbage."""

    def test_each_collection_is_timed_and_counted_by_its_generation(self, registry: Registry) -> None:
        """What is found is counted too; what was before telemetry began is not."""
        enabled = gc.isenabled()
        gc.disable()
        gc.collect(2)
        collections = Collections(registry)
        collections.start()
        try:
            for generation in (0, 1, 1):
                gc.collect(generation)
            cycle: list[object] = []
            cycle.append(cycle)
            del cycle
            gc.collect(2)
        finally:
            collections.stop()
            if enabled:
                gc.enable()
        collections.update()

        assert [observed(registry, metrics.GC_DURATION, each)[0] for each in "012"] == [1, 2, 1]
        assert [value(registry, metrics.GC_COLLECTIONS, each) for each in "012"] == [1.0, 2.0, 1.0]
        assert sum(value(registry, metrics.GC_COLLECTED, each) for each in "012") >= 1.0
        assert sum(value(registry, metrics.GC_UNCOLLECTABLE, each) for each in "012") == 0.0
        assert 0 < observed(registry, metrics.GC_DURATION, "2")[1] < 10

    def test_a_hook_that_was_taken_away_stays_away(self, registry: Registry) -> None:
        """After the end there is nothing of ours in `gc.callbacks`, however often it is said."""
        before = list(gc.callbacks)
        collections = Collections(registry)
        collections.start()
        assert len(gc.callbacks) == len(before) + 1

        collections.stop()
        collections.stop()
        assert gc.callbacks == before

    def test_the_interpreter_ends_in_silence(self) -> None:
        """Its last collections, with modules half gone, write no complaint of the hook."""
        program = (
            "import gc, sys\n"
            "from quarterdeck_instrumentation.registry import Registry\n"
            "from quarterdeck_instrumentation.vitals.garbage import Collections\n"
            "Collections(Registry(100)).start()\n"
            "class Late:\n"
            "    def __del__(self, collect=gc.collect): collect()\n"
            "sys.late = Late()\n"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert ended.stderr == ""


class TestEventLoops:
    """Event loops, asked from outside."""

    def test_an_answer_is_a_sample(self, registry: Registry, loop_elsewhere: asyncio.AbstractEventLoop) -> None:
        """One for each question, and one question at a time."""
        loops = EventLoops(registry)
        watch(loops, loop_elsewhere)
        (watched,) = loops._watched.values()
        for _ in range(3):
            loops.update()
            until(lambda: watched.answers)
        loops.update()

        samples, seconds = observed(registry, metrics.EVENT_LOOP_LAG)
        assert samples == 3
        assert 0 < seconds < 10
        assert value(registry, metrics.EVENT_LOOP_STALL) == 0.0

    def test_a_loop_that_is_blocked_is_seen_while_it_is(
        self, registry: Registry, loop_elsewhere: asyncio.AbstractEventLoop
    ) -> None:
        """It grows with each update, is asked nothing more, and becomes one sample when the loop is free again."""
        loops = EventLoops(registry)
        watch(loops, loop_elsewhere)
        free, blocked = threading.Event(), threading.Event()
        loop_elsewhere.call_soon_threadsafe(lambda: (blocked.set(), free.wait(10)))
        assert blocked.wait(10)
        loops.update()
        stalls = []
        for _ in range(3):
            loops.update()
            stalls.append(value(registry, metrics.EVENT_LOOP_STALL))
        free.set()
        (watched,) = loops._watched.values()
        until(lambda: watched.answers)
        loops.update()

        assert 0 < stalls[0] < stalls[1] < stalls[2]
        samples, seconds = observed(registry, metrics.EVENT_LOOP_LAG)
        assert samples == 1
        assert seconds > stalls[2]
        assert value(registry, metrics.EVENT_LOOP_STALL) == 0.0

    def test_its_owner_finds_no_task_and_no_timer(self, registry: Registry) -> None:
        """And it ends as soon as its own work is done."""
        loops = EventLoops(registry)

        async def work() -> set[str]:
            loops.notice()
            for _ in range(10):
                loops.update()
                await asyncio.sleep(0)
            loops.update()
            assert asyncio.get_running_loop()._scheduled == []  # type: ignore[attr-defined]
            return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

        assert asyncio.run(work()) == set()
        loops.update()
        loops.update()
        assert loops.running() == []

    def test_processor_time_is_counted_from_when_it_was_noticed(
        self, registry: Registry, loop_elsewhere: asyncio.AbstractEventLoop
    ) -> None:
        """Of the loop's own thread, and of no other."""
        loops = EventLoops(registry)
        watch(loops, loop_elsewhere)
        loops.update()
        before = value(registry, metrics.EVENT_LOOP_CPU_TIME)
        done = threading.Event()
        loop_elsewhere.call_soon_threadsafe(lambda: (sum(range(300_000)), done.set()))
        assert done.wait(10)
        loops.update()

        assert 0 <= before < value(registry, metrics.EVENT_LOOP_CPU_TIME) < 10

    def test_where_no_loop_runs_there_is_nothing_to_notice(self, registry: Registry) -> None:
        """A synchronous server's worker has an empty histogram: counters are born at zero."""
        loops = EventLoops(registry)
        loops.notice()
        loops.update()
        assert loops.running() == []
        assert observed(registry, metrics.EVENT_LOOP_LAG) == (0, 0.0)

    def test_nobody_waits_for_a_loop_that_was_stopped(self, registry: Registry) -> None:
        """It is asked again should it run again, and forgotten when it is closed."""
        loops = EventLoops(registry)
        loop = asyncio.new_event_loop()

        async def work() -> None:
            loops.notice()
            loops.update()

        loop.run_until_complete(work())
        loops.update()
        loops.update()
        assert value(registry, metrics.EVENT_LOOP_STALL) == 0.0
        assert loops.running() == [loop]

        loop.close()
        loops.update()
        assert loops.running() == []


class TestPools:
    """What has slots."""

    def test_a_server_without_a_limit_has_no_pool(self, registry: Registry) -> None:
        """Nothing is reported rather than a capacity that is none."""
        before = registry.snapshot()[0]
        Pools(registry, lambda: 3.0).update([])
        assert registry.snapshot()[0] == before

    def test_a_server_with_a_limit_says_how_much_of_it_is_taken(self, registry: Registry) -> None:
        """Busy are the requests that are being served."""
        served = [3.0]
        pools = Pools(registry, served.pop)
        pools.limit_requests(4)
        assert value(registry, metrics.WORKER_BUSY, REQUESTS) == 3.0
        assert value(registry, metrics.WORKER_CAPACITY, REQUESTS) == 4.0
        assert registry.changed

        served.append(2.0)
        pools.update([])
        assert value(registry, metrics.WORKER_BUSY, REQUESTS) == 2.0

    def test_the_threads_of_anyio_are_counted_from_outside_their_loop(
        self, registry: Registry, loop_elsewhere: asyncio.AbstractEventLoop
    ) -> None:
        """The default limiter, in which frameworks run plain functions, once it was used."""
        pools = Pools(registry, lambda: 0.0)
        assert thread_limiter(loop_elsewhere) is None
        free = threading.Event()
        waiting = [
            asyncio.run_coroutine_threadsafe(anyio.to_thread.run_sync(free.wait, 10), loop_elsewhere)  # type: ignore[arg-type]
            for _ in range(3)
        ]
        until(lambda: (limiter := thread_limiter(loop_elsewhere)) and limiter.borrowed_tokens == 3)
        pools.update([loop_elsewhere])
        assert value(registry, metrics.WORKER_BUSY, THREADS) == 3.0
        assert value(registry, metrics.WORKER_CAPACITY, THREADS) == 40.0

        free.set()
        assert [each.result(10) for each in waiting] == [True] * 3
        pools.update([loop_elsewhere])
        assert value(registry, metrics.WORKER_BUSY, THREADS) == 0.0


class TestListenQueues:
    """The queues before the door."""

    def test_who_waits_to_be_accepted_is_counted(self, registry: Registry) -> None:
        """With what the queue holds; of several the fullest, and never the metrics page's own."""
        with ExitStack() as opened:
            page = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2))
            idle = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
            full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))
            for where in (page, full, full, full):
                opened.enter_context(socket.create_connection(where.getsockname()))
            queues = ListenQueues(registry, ours=page.getsockname()[1])
            # A client is connected before the queue has it, which is a packet later.
            until(lambda: queues.update(0.0) or value(registry, metrics.LISTEN_QUEUE_LENGTH) == 3.0)
            assert value(registry, metrics.LISTEN_QUEUE_LIMIT) == 8.0

            full.accept()[0].close()
            queues.update(1.0)
            assert value(registry, metrics.LISTEN_QUEUE_LENGTH) == 2.0
            assert idle.fileno() >= 0

        queues.update(2.0)
        assert value(registry, metrics.LISTEN_QUEUE_LENGTH) == 0.0
        assert value(registry, metrics.LISTEN_QUEUE_LIMIT) == 0.0

    def test_sockets_are_looked_for_again(self, registry: Registry) -> None:
        """Soon while there is none, since servers may open theirs late; seldom when there is one."""
        queues = ListenQueues(registry, ours=0)
        queues.update(0.0)
        with socket.create_server(("127.0.0.1", 0), backlog=8), ExitStack() as later:
            queues.update(4.0)
            assert value(registry, metrics.LISTEN_QUEUE_LIMIT) == 0.0
            queues.update(5.0)
            assert value(registry, metrics.LISTEN_QUEUE_LIMIT) == 8.0

            second = later.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
            later.enter_context(socket.create_connection(second.getsockname()))
            queues.update(64.0)
            assert value(registry, metrics.LISTEN_QUEUE_LENGTH) == 0.0
            until(lambda: queues.update(65.0) or value(registry, metrics.LISTEN_QUEUE_LENGTH) == 1.0)


class TestTheKernelsAnswers:
    """What the kernel says of this process."""

    def test_threads_and_files_are_counted(self) -> None:
        """One more of each is one more: in a process of its own, for here those of other tests may just be ending."""
        program = (
            "import os, threading\n"
            "from quarterdeck_instrumentation.vitals import process\n"
            "before, free = (process.threads(), process.open_files()), threading.Event()\n"
            "thread = threading.Thread(target=free.wait)\n"
            "thread.start()\n"
            "with open(os.devnull):\n"
            "    assert (process.threads(), process.open_files()) == (before[0] + 1, before[1] + 1)\n"
            "free.set()\n"
            "thread.join()\n"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_the_share_of_the_files_that_may_be_open(self, registry: Registry) -> None:
        """Is between nothing and all, and of this worker."""
        vitals = Vitals(registry, HttpServerMetrics(registry), page_port=0)
        vitals.update()
        limit = process.open_files_limit()
        assert limit is not None
        share = value(registry, metrics.PROCESS_OPEN_FILES_UTILIZATION)
        assert share == value(registry, metrics.PROCESS_OPEN_FILES) / limit
        assert value(registry, metrics.PROCESS_CONTEXT_SWITCHES, "voluntary") > 0.0
        assert value(registry, metrics.PROCESS_THREADS) >= 1.0

    def test_what_cannot_be_said_spoils_nothing(self, registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
        """Processor time and memory are up to date; the rest is said once and counted."""
        failures.forget()
        vitals = Vitals(registry, HttpServerMetrics(registry), page_port=0)
        vitals.pools = None  # type: ignore[assignment]  # whatever the mistake is
        vitals.update()
        vitals.update()
        assert value(registry, metrics.PROCESS_CPU_TIME) > 0.0
        assert failures.counts() == {"vitals": 2}
        assert len(caplog.records) == 1
        failures.forget()


def test_all_vital_signs_are_born_at_zero(registry: Registry) -> None:
    """Every series that all workers have is there before the first event, with the time it began."""
    Vitals(registry, HttpServerMetrics(registry), page_port=0)
    assert all(child.values[CREATED] > 0 for child in registry._children)
