"""How spans reach a collector, or do not: the host never waits, memory is bounded, and every loss is counted."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.spans import target
from quarterdeck_instrumentation.spans.post import Poster
from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.sampling import Sampling
from quarterdeck_instrumentation.spans.sender import Sender
from quarterdeck_instrumentation.spans.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Collector

DEADLINE = 20.0
"""Seconds until something that never happens fails its test."""


@pytest.fixture(autouse=True)
def no_failures() -> Iterator[None]:
    """Count from nothing."""
    failures.forget()
    yield
    failures.forget()


class Sending:
    """A lean provider that posts to a port of loopback."""

    def __init__(self, port: int, **options: Any) -> None:
        to = Target(**{"host": "127.0.0.1", "port": port, "delay": 0.01, "timeout": 60.0, **options})
        self.pauses: list[float] = []
        self.sender = Sender(
            lambda: Poster(to, self.pauses.append), queue=to.queue, batch=to.batch, delay=to.delay, timeout=to.timeout
        )
        self.provider = LeanProvider(self.sender, Sampling.everything())

    def end(self, *names: str) -> None:
        """End a span of each name."""
        for name in names:
            self.provider.get_tracer("users").start_span(name).end()

    def flush(self, seconds: float = DEADLINE) -> bool:
        """Send what is queued."""
        return self.provider.force_flush(int(seconds * 1000))


def test_spans_arrive_by_themselves(collector: Collector) -> None:
    """Without a flush, once the delay is over, on one connection that is kept."""
    sending = Sending(collector.port, headers={"authorization": "Bearer x"})
    for number in range(3):
        sending.end(f"span {number}")
        deadline = time.monotonic() + DEADLINE
        while len(collector.names()) <= number:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    assert collector.names() == ["span 0", "span 1", "span 2"]
    assert collector.headers[0]["authorization"] == "Bearer x"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert failures.counts() == {}


def test_a_batch_has_a_greatest_size(collector: Collector) -> None:
    """And all of them are sent."""
    sending = Sending(collector.port, batch=10, delay=600.0)

    sending.end(*["span"] * 25)

    assert sending.flush()
    assert len(collector.names()) == 25
    assert len(collector.posts) >= 3


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_bodies_are_compressed_if_asked(collector: Collector, compression: str) -> None:
    """The collector is told so."""
    sending = Sending(collector.port, compression=compression)

    sending.end("span")

    assert sending.flush()
    assert collector.headers[0]["content-encoding"] == compression
    assert collector.names() == ["span"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_tried_again_is(collector: Collector, status: int) -> None:
    """With longer and longer pauses, until the collector takes it."""
    collector.answers = [(status, b"busy")] * 3
    sending = Sending(collector.port, timeout=60.0, delay=600.0)

    sending.end("span")

    assert sending.flush(60.0)
    assert collector.names() == ["span"] * 4
    first, second, third = sending.pauses
    assert 0.4 <= first <= 0.6
    assert 0.8 <= second <= 1.2
    assert 1.6 <= third <= 2.4
    assert failures.counts() == {}


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500])
def test_what_the_collector_refuses_is_counted(
    collector: Collector, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each span, not tried again, said once."""
    collector.answers = [(status, b"no")] * 2
    sending = Sending(collector.port, delay=600.0)  # each pair in one post, however long it takes to end them

    for _ in range(2):
        sending.end("one", "two")
        assert sending.flush()

    assert sending.pauses == []
    assert failures.counts() == {"traces": 4}
    assert caplog.text.count(f"spans could not be sent: the collector answers {status}") == 1


def test_nobody_listening_is_counted(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried until the batch has had its time."""
    sending = Sending(free_port, timeout=0.3)

    sending.end("one", "two")

    assert sending.flush()
    assert failures.counts() == {"traces": 2}
    assert "the collector cannot be reached (ConnectionRefusedError)" in caplog.text


@pytest.mark.parametrize(
    ("answer", "taken"),
    [(b"", False), (b"SSH-2.0-OpenSSH_9.2\r\n", False), (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n\x00", True)],
)
def test_garbage_is_no_answer(answer: bytes, taken: bool) -> None:  # noqa: FBT001 -- a parameter
    """Whatever is sent back, the thread lives on; the loss is counted unless the spans were taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer, suppress(OSError):
                    peer.recv(1 << 16)
                    peer.sendall(answer)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(1 << 16):
                        """Read all, or closing would reset the connection, answer and all."""

        thread = threading.Thread(target=serve)
        thread.start()
        sending = Sending(port, timeout=60.0 if taken else 0.3)  # what is not taken is tried until that is over
        for number in (1, 2):
            sending.end("span")
            assert sending.flush()
            assert failures.counts() == ({} if taken else {"traces": number})
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_black_hole_holds_nobody_up(collector: Collector) -> None:
    """What finds no room is dropped, the flush ends in time, and the count is of every span."""
    collector.open.clear()
    sending = Sending(collector.port, queue=50, batch=10)

    sending.end(*["span"] * 500)
    held = len(sending.sender._queue)
    begun = time.monotonic()
    done = sending.flush(0.2)

    assert held <= 50
    assert not done
    assert time.monotonic() - begun < DEADLINE
    assert failures.counts() == {"traces": 500}


def test_what_threads_lose_at_the_same_time_is_counted_by_each() -> None:
    """One thread's count used to be lost where another one counted between its reading and its writing."""

    def lose() -> None:
        for _ in range(3000):
            failures.failed("traces", "lost")

    threads = [threading.Thread(target=lose) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert failures.counts() == {"traces": 24_000}


def test_a_forked_child_sends_only_its_own(collector: Collector) -> None:
    """The parent's queue stays the parent's, and so does its connection."""
    sending = Sending(collector.port, delay=600.0)
    sending.end("of the parent")

    child = os.fork()
    if child == 0:
        sending.end("of the child")
        os._exit(0 if sending.flush() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert sending.flush()
    assert sorted(collector.names()) == ["of the child", "of the parent"]


@pytest.mark.parametrize("header", ["x=a%0D%0Ab", "x=%E2%82%AC", "x%20y=a", "=a"])
def test_a_header_that_cannot_be_sent_keeps_no_span_from_being(header: str) -> None:
    """It is left out, and its value, which may be a secret, is not said."""
    assert target.read({"OTEL_EXPORTER_OTLP_HEADERS": f"{header},y=\t%C3%BC b"}) == Target(headers={"y": "ü b"})
    assert failures.counts() == {"settings": 1}
    assert not any("€" in text for _, text in failures.said())


def test_the_target_is_read_from_opentelemetrys_variables() -> None:
    """The general endpoint is a base, the one of traces is whole; what cannot be read is said."""
    to = target.read(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.test/base/",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20eA%3D%3D, x-team=shop,broken",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_BSP_SCHEDULE_DELAY": "250",
            "OTEL_BSP_MAX_QUEUE_SIZE": "-4",
        }
    )

    assert to == Target(
        scheme="https",
        host="collector.test",
        port=443,
        path="/base/v1/traces",
        headers={"authorization": "Basic eA==", "x-team": "shop"},
        timeout=3.0,
        compression="gzip",
        certificate="/ca.pem",
        delay=0.25,
    )
    assert failures.counts() == {"settings": 1}
    assert target.read({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[::1]:9/x?y=1"}) == Target(
        host="::1", port=9, path="/x?y=1"
    )
    assert target.read({}) == Target()
    with pytest.raises(ValueError, match="collector:4317 is no http:// or https:// URL"):
        target.read({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4317"})
