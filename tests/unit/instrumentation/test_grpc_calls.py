"""What is recorded of a call to gRPC's servers, with threads and with asyncio, whatever methods and clients do."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc._server
import grpc.aio
import grpc.aio._server
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation import grpc as peers
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.frameworks.grpc_methods import _code
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from quarterdeck_instrumentation.testing import Recording

COUNT = "rpc_server_call_duration_seconds_count"
BUCKET = "rpc_server_call_duration_seconds_bucket"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVICE = "shop.Orders"
TIMEOUT = 20.0
"""Seconds after which a call that hangs fails its test."""


@pytest.fixture(autouse=True, scope="module")
def _instrumented(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """Instrument gRPC's servers, which are imported already; and undo it, for the sake of other tests."""
    with patched("grpc._server", "grpc.aio._server"):
        yield


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture) -> None:
    """Spare the log what gRPC says of the failures under test."""
    caplog.set_level(logging.CRITICAL, "grpc")


@pytest.fixture
def spans(recorded: Recording) -> InMemorySpanExporter:
    """Return where the test's spans end up."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    recorded.runtime.trace_with(Tracing(provider))
    return exporter


@pytest.fixture
def note(recorded: Recording, spans: InMemorySpanExporter) -> Callable[[], None]:
    """Return a function that makes a span of a user's own."""
    tracer = recorded.runtime.tracing()._provider.get_tracer("users")  # type: ignore[union-attr]
    return lambda: tracer.start_span("child").end()


class Threads:
    """A server with threads, and its client."""

    def __init__(self, behaviour: Any, kind: str = "unary_unary", service: str = SERVICE, **options: Any) -> None:
        """Serve *behaviour* as the method `Get`; it is of *kind*, by the names of gRPC's own handlers."""
        self.kind = kind
        self.server = grpc.server(ThreadPoolExecutor(4), **options)
        handler = getattr(grpc, f"{kind}_rpc_method_handler")(behaviour)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Get": handler}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(0).wait(TIMEOUT)

    def ask(self, act: Callable[[Any], Any], method: str = f"/{SERVICE}/Get", **options: Any) -> Any:
        """Call *method*, and return what *act* makes of the call; or its status, if it fails."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = getattr(channel, self.kind)(method)
            request = iter([b"a", b"b"]) if self.kind.startswith("stream") else b"a"
            try:
                return act(call(request, **{"timeout": TIMEOUT, **options}))
            except grpc.RpcError as error:
                return error.code().name  # type: ignore[attr-defined]  # it is a call as well


class Loop:
    """A server with asyncio in a thread of its own, and a client with threads."""

    def __init__(self, behaviour: Any, kind: str = "unary_unary", service: str = SERVICE, **options: Any) -> None:
        """As `Threads`."""
        self.kind = kind
        self._arguments = (behaviour, service, options)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(TIMEOUT)

    async def _serve(self) -> None:
        behaviour, service, options = self._arguments
        self.loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(ThreadPoolExecutor(4), **options)
        handler = getattr(grpc, f"{self.kind}_rpc_method_handler")(behaviour)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Get": handler}),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._ready.set()
        await self._stopped.wait()
        await server.stop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(TIMEOUT)

    ask = Threads.ask


def unary(call: Any) -> Any:
    """Return the one response."""
    return call


def streamed(call: Any) -> list[bytes]:
    """Return all responses."""
    return list(call)


def counted(recorded: Recording) -> dict[str, str]:
    """Return the labels of the one series there is, which was counted once, as soon as it was."""
    deadline = time.monotonic() + TIMEOUT
    while not recorded.page().value(COUNT) and time.monotonic() < deadline:  # a series is born before it counts
        time.sleep(0.005)
    (sample,) = recorded.page().find(COUNT)
    assert sample.value == 1.0
    assert sum(failures.counts().values()) == 0
    return sample.labels


def labels(
    status: str = "OK", error: str = "", method: str = f"{SERVICE}/Get", module: str = SERVICE
) -> dict[str, str]:
    """Return the labels of a call."""
    expected = {"rpc_system_name": "grpc", "rpc_method": method, "rpc_response_status_code": status}
    more = {"error_type": error, "quarterdeck_module": module}
    return expected | {name: value for name, value in more.items() if value}


def answers(request: Any, context: Any) -> bytes:
    """Answer."""
    return b"answer"


async def answers_later(request: Any, context: Any) -> bytes:
    """Answer."""
    await asyncio.sleep(0)
    return b"answer"


def fails(request: Any, context: Any) -> bytes:
    """Fail."""
    raise LookupError


async def fails_later(request: Any, context: Any) -> bytes:
    """Fail."""
    raise LookupError


EITHER = pytest.mark.parametrize(
    ("serves", "answer", "fail"),
    [(Threads, answers, fails), (Loop, answers_later, fails_later), (Loop, answers, fails)],
    ids=["threads", "asyncio", "threads of asyncio"],
)
"""Each kind of server, with a method that answers and one that fails."""
SERVERS = pytest.mark.parametrize("serves", [Threads, Loop], ids=["threads", "asyncio"])


class TestOutcomes:
    @EITHER
    def test_a_call_is_counted_by_its_method(self, recorded: Recording, serves: Any, answer: Any, fail: Any) -> None:
        """Its module is the service."""
        with serves(answer) as served:
            assert served.ask(unary) == b"answer"

        assert counted(recorded) == labels()

    @EITHER
    def test_an_escaped_exception_is_named(self, recorded: Recording, serves: Any, answer: Any, fail: Any) -> None:
        """GRPC makes UNKNOWN of it."""
        with serves(fail) as served:
            assert served.ask(unary) == "UNKNOWN"

        assert counted(recorded) == labels("UNKNOWN", "LookupError")

    @SERVERS
    @pytest.mark.parametrize(
        ("code", "error"),
        [("NOT_FOUND", ""), ("INVALID_ARGUMENT", ""), ("UNAVAILABLE", "UNAVAILABLE"), ("DATA_LOSS", "DATA_LOSS")],
    )
    def test_a_chosen_status_says_all_there_is(self, recorded: Recording, serves: Any, code: str, error: str) -> None:
        """An error of the server, or of its client: by the conventions."""

        def aborts(request: Any, context: Any) -> bytes:
            context.abort(grpc.StatusCode[code], "chosen")
            raise AssertionError

        async def aborts_later(request: Any, context: Any) -> bytes:
            await context.abort(grpc.StatusCode[code], "chosen")
            raise AssertionError

        with serves(aborts if serves is Threads else aborts_later) as served:
            assert served.ask(unary) == code

        assert counted(recorded) == labels(code, error)

    def test_a_chosen_status_survives_a_loop_that_stops(self, recorded: Recording) -> None:
        """It is on its way already when the method is cancelled within `abort`."""

        async def aborts(request: Any, context: Any) -> bytes:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            await context.abort(grpc.StatusCode.DATA_LOSS, "chosen")
            raise AssertionError

        with Loop(aborts) as served:
            assert served.ask(unary) == "DATA_LOSS"

        assert counted(recorded) == labels("DATA_LOSS", "DATA_LOSS")

    @SERVERS
    def test_a_status_that_was_only_set(self, recorded: Recording, serves: Any) -> None:
        """Without an exception it is sent all the same."""

        def sets(request: Any, context: Any) -> bytes:
            context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
            return b""

        async def sets_later(request: Any, context: Any) -> bytes:
            return sets(request, context)

        with serves(sets if serves is Threads else sets_later) as served:
            assert served.ask(unary) == "FAILED_PRECONDITION"

        assert counted(recorded) == labels("FAILED_PRECONDITION")

    @SERVERS
    @pytest.mark.parametrize("method", [f"/{SERVICE}/Nothing", "/wp.Admin/Login"])
    def test_unknown_methods_are_one_value(self, recorded: Recording, serves: Any, method: str) -> None:
        """However a scanner spells them."""
        with serves(answers) as served:
            assert served.ask(unary, method) == "UNIMPLEMENTED"

        assert counted(recorded) == labels("UNIMPLEMENTED", "UNIMPLEMENTED", "_OTHER", "")

    def test_a_call_that_an_interceptor_breaks(self, recorded: Recording) -> None:
        """GRPC makes UNKNOWN of it, and has not come to the method."""

        class Breaks(grpc.ServerInterceptor):
            def intercept_service(self, continuation: Any, details: Any) -> Any:
                """Break."""
                raise LookupError

        with Threads(answers, interceptors=[Breaks()]) as served:
            assert served.ask(unary) == "UNKNOWN"

        assert counted(recorded) == labels("UNKNOWN", "LookupError", "_OTHER", "")

    @SERVERS
    def test_a_call_that_an_interceptor_refuses(self, recorded: Recording, serves: Any) -> None:
        """It is within what is measured, and decides."""

        def refuses(request: Any, context: Any) -> bytes:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            raise AssertionError

        class Refuses(grpc.ServerInterceptor):
            def intercept_service(self, continuation: Any, details: Any) -> Any:
                """Refuse."""
                return grpc.unary_unary_rpc_method_handler(refuses)

        class RefusesLater(grpc.aio.ServerInterceptor):
            async def intercept_service(self, continuation: Any, details: Any) -> Any:
                """Refuse."""
                return grpc.unary_unary_rpc_method_handler(refuses)

        with serves(answers, interceptors=[Refuses() if serves is Threads else RefusesLater()]) as served:
            assert served.ask(unary) == "UNAUTHENTICATED"

        assert counted(recorded) == labels("UNAUTHENTICATED")


class TestStreams:
    @pytest.mark.parametrize("kind", ["unary_stream", "stream_stream", "stream_unary"])
    @SERVERS
    def test_one_counts_to_its_end(
        self, recorded: Recording, spans: InMemorySpanExporter, note: Any, serves: Any, kind: str
    ) -> None:
        """Every response is made with the call's span current."""
        seen: list[float] = []

        def streams(request: Any, context: Any) -> Iterator[bytes]:
            for _ in range(2):
                note()
                seen.append(recorded.page().value(COUNT))
                yield b"x"

        async def streams_later(request: Any, context: Any) -> AsyncIterator[bytes]:
            for response in streams(request, context):
                yield response

        def takes(requests: Any, context: Any) -> bytes:
            note()
            note()
            seen.extend(recorded.page().value(COUNT) for _ in requests)
            return b"x"

        async def takes_later(requests: Any, context: Any) -> bytes:
            return takes([each async for each in requests], context)

        plain, later = (takes, takes_later) if kind == "stream_unary" else (streams, streams_later)
        with serves(plain if serves is Threads else later, kind) as served:
            got = served.ask(unary if kind == "stream_unary" else streamed)

        assert got in (b"x", [b"x", b"x"])
        assert seen == [0.0, 0.0]
        assert counted(recorded) == labels()
        first, second, server = spans.get_finished_spans()
        assert server.kind is SpanKind.SERVER
        for child in (first, second):
            assert (child.parent and child.parent.span_id) == (server.context and server.context.span_id)

    @SERVERS
    def test_one_that_breaks_off(self, recorded: Recording, serves: Any) -> None:
        """Its cause is named."""

        def breaks(request: Any, context: Any) -> Iterator[bytes]:
            yield b"x"
            raise LookupError

        async def breaks_later(request: Any, context: Any) -> AsyncIterator[bytes]:
            yield b"x"
            raise LookupError

        with serves(breaks if serves is Threads else breaks_later, "unary_stream") as served:
            assert served.ask(streamed) == "UNKNOWN"

        assert counted(recorded) == labels("UNKNOWN", "LookupError")

    @SERVERS
    def test_one_that_its_client_gives_up(self, recorded: Recording, serves: Any) -> None:
        """It was cancelled, which is no error of the service."""

        def endless(request: Any, context: Any) -> Iterator[bytes]:
            while True:
                yield b"x"

        async def endless_later(request: Any, context: Any) -> AsyncIterator[bytes]:
            while True:
                yield b"x"

        def first(call: Any) -> bytes:
            response: bytes = next(call)
            call.cancel()
            return response

        with serves(endless if serves is Threads else endless_later, "unary_stream") as served:
            assert served.ask(first) == b"x"
            assert counted(recorded) == labels("CANCELLED")

    @SERVERS
    def test_one_that_is_written_by_hand(self, recorded: Recording, serves: Any) -> None:
        """Asyncio's handlers may write to the context, and return nothing."""

        def streams(request: Any, context: Any) -> Iterator[bytes]:
            yield b"x"

        async def writes(request: Any, context: Any) -> None:
            await context.write(b"x")

        with serves(streams if serves is Threads else writes, "unary_stream") as served:
            assert served.ask(streamed) == [b"x"]

        assert counted(recorded) == labels()

    @SERVERS
    def test_a_call_that_misses_its_deadline(self, recorded: Recording, serves: Any) -> None:
        """The server's fault, by the conventions: it was too slow."""
        began, over = threading.Event(), threading.Event()

        def waits(request: Any, context: Any) -> bytes:
            began.set()
            over.wait(TIMEOUT)
            return b""

        async def waits_later(request: Any, context: Any) -> bytes:
            began.set()
            await asyncio.sleep(TIMEOUT)
            return b""

        with serves(waits if serves is Threads else waits_later) as served:
            # From its arrival on, because to connect may take longer; and longer where it was over before it began.
            for seconds in (0.3, 3.0, 15.0):
                header = ("grpc-timeout", f"{seconds * 1000:.0f}m")
                assert served.ask(unary, metadata=[header], timeout=None) == "DEADLINE_EXCEEDED"
                if began.is_set():
                    break
            assert counted(recorded)["rpc_response_status_code"] == "DEADLINE_EXCEEDED"
            over.set()

    @pytest.mark.parametrize(
        ("left", "code"), [(0.05, "DEADLINE_EXCEEDED"), (0.2, "CANCELLED"), (None, "CANCELLED")], ids=str
    )
    def test_a_client_whose_deadline_comes_first_has_missed_it(self, left: float | None, code: str) -> None:
        """It cancels the call by its own clock, a little before the server's; one that cancels earlier gives up."""
        context = SimpleNamespace(_state=SimpleNamespace(statused=False), time_remaining=lambda: left)

        assert _code(context, None) == code


class TestSpans:
    @EITHER
    def test_a_call_is_one_span_by_the_conventions(
        self, recorded: Recording, spans: InMemorySpanExporter, serves: Any, answer: Any, fail: Any
    ) -> None:
        """Child of the caller's, which its metadata name; the exemplar links to it."""
        with serves(answer) as served:
            served.ask(unary, metadata=[("traceparent", TRACEPARENT)])
        counted(recorded)

        (span,) = spans.get_finished_spans()
        assert (span.name, span.kind, span.status.status_code) == (
            f"{SERVICE}/Get",
            SpanKind.SERVER,
            StatusCode.UNSET,
        )
        assert span.parent is not None
        assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
        assert dict(span.attributes or {}) == {
            "rpc.system.name": "grpc",
            "rpc.method": f"{SERVICE}/Get",
            "rpc.response.status_code": "OK",
            "quarterdeck.module": SERVICE,
        }
        exemplars = [sample.exemplar for sample in recorded.page(Format.OPENMETRICS).find(BUCKET) if sample.exemplar]
        assert [each["trace_id"] for each in exemplars] == ["0af7651916cd43dd8448eb211c80319c"]

    @EITHER
    def test_a_failure_is_an_error_of_the_span(
        self, recorded: Recording, spans: InMemorySpanExporter, serves: Any, answer: Any, fail: Any
    ) -> None:
        """With its type."""
        with serves(fail) as served:
            served.ask(unary)
        counted(recorded)

        (span,) = spans.get_finished_spans()
        assert span.status.status_code is StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == "LookupError"

    @SERVERS
    def test_opentelemetrys_own_interceptor_stands_aside(
        self,
        recorded: Recording,
        spans: InMemorySpanExporter,
        patched: Callable[..., AbstractContextManager[None]],
        serves: Any,
    ) -> None:
        """Where the service gives it to its server itself: one call is one span."""
        provider = recorded.runtime.tracing()._provider  # type: ignore[union-attr]
        module, theirs = (
            ("_server", peers.server_interceptor)
            if serves is Threads
            else ("_aio_server", peers.aio_server_interceptor)
        )
        with (
            patched(f"opentelemetry.instrumentation.grpc.{module}"),
            serves(answers, interceptors=[theirs(provider)]) as served,
        ):
            assert served.ask(unary) == b"answer"
        counted(recorded)

        (span,) = spans.get_finished_spans()
        assert span.name == f"{SERVICE}/Get"

    def test_an_unknown_method_is_kept_as_it_was_sent(self, recorded: Recording, spans: InMemorySpanExporter) -> None:
        """The name and the label have one value for all of them."""
        with Threads(answers) as served:
            served.ask(unary, "/wp.Admin/Login")
        counted(recorded)

        (span,) = spans.get_finished_spans()
        assert span.name == "grpc"
        assert dict(span.attributes or {})["rpc.method"] == "_OTHER"
        assert dict(span.attributes or {})["rpc.method_original"] == "wp.Admin/Login"

    @SERVERS
    def test_spans_of_users_are_children(
        self, recorded: Recording, spans: InMemorySpanExporter, note: Any, serves: Any
    ) -> None:
        """Two calls at once have each their own, and nothing stays current after them."""
        met = threading.Barrier(2)

        def notes(request: Any, context: Any) -> bytes:
            met.wait(TIMEOUT)
            note()
            return b""

        with serves(notes) as served, ThreadPoolExecutor(2) as clients:
            list(clients.map(lambda _: served.ask(unary), range(2)))

        finished = spans.get_finished_spans()
        children = [span for span in finished if span.name == "child"]
        servers = {span.context.span_id for span in finished if span.kind is SpanKind.SERVER and span.context}
        assert len(servers) == 2
        assert {span.parent.span_id for span in children if span.parent} == servers


class TestProbes:
    @pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
    @SERVERS
    def test_nothing_of_the_health_service_is_measured_or_traced(
        self, recorded: Recording, spans: InMemorySpanExporter, note: Any, serves: Any, kind: str
    ) -> None:
        """Down to the last call it makes."""

        def checks(request: Any, context: Any) -> bytes:
            note()
            return b"SERVING"

        async def checks_later(request: Any, context: Any) -> bytes:
            return checks(request, context)

        def watches(request: Any, context: Any) -> Iterator[bytes]:
            note()
            yield b"SERVING"

        async def watches_later(request: Any, context: Any) -> AsyncIterator[bytes]:
            note()
            yield b"SERVING"

        plain, later = (checks, checks_later) if kind == "unary_unary" else (watches, watches_later)
        with serves(plain if serves is Threads else later, kind, "grpc.health.v1.Health") as served:
            got = served.ask(unary if kind == "unary_unary" else streamed, "/grpc.health.v1.Health/Get")

        assert got in (b"SERVING", [b"SERVING"])
        assert recorded.page().find(COUNT) == []
        assert spans.get_finished_spans() == ()


class TestTheHost:
    @EITHER
    def test_what_cannot_be_measured_is_served_all_the_same(
        self, recorded: Recording, monkeypatch: pytest.MonkeyPatch, serves: Any, answer: Any, fail: Any
    ) -> None:
        """Our mistake is counted."""

        def breaks(*_: Any) -> None:
            raise ValueError

        monkeypatch.setattr(recorded.runtime.registry, "distribution", breaks)

        with serves(answer) as served:
            assert served.ask(unary) == b"answer"

        assert failures.counts() == {"requests": 1}
