"""A service that is told to end has ended two seconds later, whatever its collector does: who gets how much of them."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_instrumentation import exits, failures, runtime
from quarterdeck_instrumentation.frameworks import gunicorn
from quarterdeck_instrumentation.push.pusher import Plan, Pusher
from quarterdeck_instrumentation.runtime import Runtime
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.sampling import Sampling
from quarterdeck_instrumentation.spans.sender import Sender, UndeliveredError
from quarterdeck_instrumentation.spans.target import Target
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.resources import Resource

ALL = 2.0
"""Seconds from SIGTERM to the end, in all."""
LOOKS = 1.0
"""Seconds after which gunicorn's workers of gevent and of ASGI look whether they are told to end, and after which
uWSGI's master looks whether its workers have ended."""
REST = 0.25
"""Seconds for the server's other doings, of which gunicorn's parent needs 0.1 to see that its workers have ended."""
FLUSH = Settings().flush_timeout


@pytest.fixture(autouse=True)
def no_failures() -> Iterator[None]:
    """Count from nothing."""
    failures.forget()
    yield
    failures.forget()


class Collector:
    """A collector and the clock that it is waited for by: nothing takes time but what it is made to take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers = True
        self.deadlines: list[float] = []
        """Until when each body could be posted."""
        self.open = threading.Event()
        """Whether what is posted comes to an end."""
        self.open.set()

    def post(self, body: bytes, deadline: float) -> None:
        """Take a body, or be the black hole that it is posted to until the deadline."""
        assert body
        self.deadlines.append(deadline)
        self.open.wait(30)
        if not self.answers:
            self.now = max(self.now, deadline)
            raise UndeliveredError("could not be sent")

    def clock(self) -> float:
        """Return the time."""
        return self.now


class Traced:
    """Spans that go to the collector when a flush has them go."""

    def __init__(self, collector: Collector) -> None:
        self.sender = Sender(
            lambda: collector.post, queue=100, batch=10, delay=600.0, timeout=10.0, clock=collector.clock
        )
        self.provider = LeanProvider(self.sender, Sampling.everything())

    def end(self, spans: int) -> None:
        """End so many spans."""
        for _ in range(spans):
            self.provider.get_tracer("users").start_span("span").end()


def test_there_is_room_for_what_servers_take_themselves() -> None:
    """The slowest look once a second; `os._exit` and SIGTERM's default wait a little longer than for the flush."""
    assert LOOKS + FLUSH + REST <= ALL
    assert FLUSH + REST <= LOOKS
    assert exits._SLACK <= REST


def test_a_dead_collector_is_waited_for_from_the_signal_on(until: Callable[..., Any]) -> None:
    """While the server serves its last requests; what these leave is lost at once, and every span is counted."""
    collector = Collector()
    collector.answers = False
    traced = Traced(collector)
    traced.end(3)
    traced.sender.begin_flush(FLUSH)
    # It is counted before the thread looks whether there is more: what ends until then would be posted at once.
    until(lambda: failures.counts() == {"traces": 3} and traced.sender._sent(), "the failure")

    collector.now = LOOKS
    traced.end(2)

    assert not traced.sender.flush(FLUSH)
    assert max(collector.deadlines) == FLUSH
    assert collector.now == LOOKS
    assert failures.counts() == {"traces": 5}


def test_a_collector_that_has_not_answered_yet_gets_no_more_time(until: Callable[..., Any]) -> None:
    """It is waited for until the time that began with the signal is over."""
    collector = Collector()
    collector.open.clear()
    traced = Traced(collector)
    traced.end(3)
    traced.sender.begin_flush(FLUSH)
    until(lambda: collector.deadlines, "the post")
    collector.now = FLUSH

    assert not traced.sender.flush(FLUSH)
    assert collector.deadlines == [FLUSH]
    assert failures.counts() == {"traces": 3}
    collector.open.set()


def test_a_collector_that_answers_gets_the_time_anew(until: Callable[..., Any]) -> None:
    """For the spans of the last requests: none is lost for the server's taking long."""
    collector = Collector()
    traced = Traced(collector)
    traced.end(3)
    traced.sender.begin_flush(FLUSH)
    until(traced.sender._sent, "the spans that were there at the signal")

    collector.now = 5.0
    traced.end(2)

    assert traced.sender.flush(FLUSH)
    assert collector.deadlines == [FLUSH, 5.0 + FLUSH]
    assert failures.counts() == {}


def test_a_flush_ends_although_the_server_goes_on() -> None:
    """It used to wait for a moment without spans, which never came, and counted the last of them as lost."""
    collector = Collector()
    traced = Traced(collector)
    takes = collector.post

    def post(body: bytes, deadline: float) -> None:
        takes(body, deadline)
        if len(collector.deadlines) < 1000:
            traced.end(1)  # while this one is posted

    collector.post = post  # type: ignore[method-assign]  # a collector that has more work made
    traced.end(1)

    assert traced.sender.flush(FLUSH)
    assert failures.counts() == {}


class Handing:
    """A lock which lets somebody else go on, between being released a second time by its test and what comes next."""

    def __init__(self, lock: Any, hand_over: Callable[[], object]) -> None:
        self._lock, self._hand_over, self._released = lock, hand_over, 0

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if threading.current_thread() is threading.main_thread():
            self._released += 1
            if self._released == 2:
                self._hand_over()


def test_a_batch_that_is_taken_while_a_flush_gives_up_is_counted_by_it(until: Callable[..., Any]) -> None:
    """What was being sent used to be counted first, and the queue let go after it: in between there was a next batch.

    Its spans were counted when its post had failed too, which may be after the last values were written down.
    """
    held = [threading.Event(), threading.Event()]
    posted: list[bytes] = []

    def post(body: bytes, _deadline: float) -> None:
        posted.append(body)
        held[len(posted) - 1].wait(60)
        raise UndeliveredError("too late to matter")

    def fail_the_first() -> None:
        held[0].set()
        until(lambda: len(posted) == 2 or traced.sender._sent(), "the next batch, or that there is none")

    traced = Traced(Collector())
    traced.sender = Sender(lambda: post, queue=100, batch=10, delay=600.0, timeout=10.0)
    traced.provider = LeanProvider(traced.sender, Sampling.everything())
    traced.end(20)
    until(lambda: posted, "the first batch")
    traced.sender._taking = Handing(traced.sender._taking, fail_the_first)

    assert not traced.sender.flush(0.0)
    assert failures.counts() == {"traces": 20}
    held[1].set()


def test_nothing_to_send_at_the_signal_says_nothing_of_the_collector() -> None:
    """So the flush has its whole time; told twice, the first time counts."""
    collector = Collector()
    traced = Traced(collector)
    traced.sender.begin_flush(FLUSH)
    collector.now = 5.0
    traced.end(2)

    assert traced.sender.flush(FLUSH)
    assert collector.deadlines == [5.0 + FLUSH]


def test_what_ends_after_a_flush_in_vain_is_counted_without_waiting(collector_gone: Traced) -> None:
    """A server and `atexit` both have it flushed; the first has shown that nobody answers."""
    tracing = Tracing(collector_gone.provider)
    collector_gone.end(3)
    tracing.flush(0.01)
    collector_gone.end(2)
    tracing.flush(3600.0)

    assert failures.counts() == {"traces": 5}
    assert [text for _, text in failures.said()] == ["the last spans could not be sent in time"]


@pytest.fixture
def collector_gone() -> Iterator[Traced]:
    """Return spans that nobody takes, by the clock on the wall."""
    released = threading.Event()
    sender = Sender(lambda: lambda _body, _deadline: _never(released), queue=100, batch=10, delay=600.0, timeout=10.0)
    traced = Traced(Collector())
    traced.sender, traced.provider = sender, LeanProvider(sender, Sampling.everything())
    yield traced
    released.set()


def _never(released: threading.Event) -> None:
    released.wait(60)
    raise UndeliveredError("too late to matter")


def pushing(collector: Collector, whose: Resource) -> Pusher:
    """Return what pushes the metrics of one build to the collector."""
    plan = Plan(Target(), interval=3600.0, timeout=3600.0)
    made = Pusher(plan, lambda: (values(), {}), lambda: collector.post, whose, collector.clock)
    made.start()
    return made


def values() -> Any:
    """Return a runtime's first values."""
    return Runtime(Settings(metrics_page=False)).own_snapshot()


def test_metrics_are_pushed_at_the_signal_and_at_the_end(until: Callable[..., Any]) -> None:
    """A dead collector gets the time from the signal on and no more, one that answers has it anew for the last."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- 30 ms

    # The thread is waited for by the clock on the wall, and on a busy machine has nothing pushed in `FLUSH`.
    patient, later = 60.0, 61.0
    for answers, expected in ((True, [patient, later + patient]), (False, [patient])):
        collector = Collector()
        collector.answers = answers
        pusher = pushing(collector, Resource({}))
        pusher.begin_flush(patient)
        until(lambda pusher=pusher: not pusher._done._lock.locked(), "the push at the signal")
        collector.now = later

        for _ in range(2):  # the server's end, and the interpreter's
            pusher.begin_flush(patient)
            pusher.finish_flush()

        assert collector.deadlines[:2] == expected
        assert failures.counts() == ({} if answers else {"metrics": 1})


class Flushes:
    """Takes note of what it is given to flush, of spans and of metrics alike."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []

    def begin_flush(self, seconds: float) -> None:
        """Note it."""
        self.began.append(seconds)

    def flush(self, seconds: float) -> None:
        """Note it."""
        self.ended.append(seconds)

    def finish_flush(self) -> None:
        """Wait for nothing."""


@pytest.fixture
def telling() -> Iterator[tuple[Flushes, Flushes]]:
    """Return what the spans and the metrics of this process are given to flush."""
    spans, metrics = Flushes(), Flushes()
    began = Runtime(Settings(metrics_page=False))
    began.trace_with(spans)  # type: ignore[arg-type]  # as much of it as is asked
    began._pusher = metrics  # type: ignore[assignment]  # likewise
    before = runtime.replace(began)
    yield spans, metrics
    runtime.replace(before)


def test_one_time_is_shared_by_all_that_is_flushed(telling: tuple[Flushes, Flushes]) -> None:
    """Spans and metrics go out side by side, neither later than the flush may take in all."""
    spans, metrics = telling
    runtime.begin_end()
    assert (spans.began, metrics.began) == ([FLUSH], [FLUSH])

    runtime.end()
    (of_metrics,) = metrics.began[1:]
    (of_spans,) = spans.ended
    assert 0 < of_spans <= of_metrics <= FLUSH


def test_workers_of_gunicorn_begin_when_they_are_told(telling: tuple[Flushes, Flushes]) -> None:
    """By SIGTERM, whichever class has the handler, and do besides what they did."""
    spans, _ = telling

    class Worker:
        alive = True

        def handle_exit(self, number: int, _frame: object) -> None:
            self.alive = number != signal.SIGTERM

    class Asgi(Worker):
        def handle_exit_signal(self) -> None:
            self.alive = False

    gunicorn.patch_workers(SimpleNamespace(Worker=Worker))

    class Later(Worker):
        def handle_exit(self, number: int, frame: object) -> None:
            super().handle_exit(number, frame)

    worker, asgi, later = Worker(), Asgi(), Later()
    worker.handle_exit(signal.SIGTERM, None)
    asgi.handle_exit_signal()
    later.handle_exit(signal.SIGTERM, None)

    assert (worker.alive, asgi.alive, later.alive) == (False, False, False)
    assert len(spans.began) == 4  # a class and the one above it tell both, of which the first time counts
