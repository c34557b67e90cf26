"""Streaming bodies and WebSockets: one span, from the first byte to the last, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import logging
import sqlite3
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.sse import EventSourceResponse, ServerSentEvent
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from quarterdeck_instrumentation import asgi, failures, wsgi
from quarterdeck_instrumentation.testing import Recording, recording
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COUNT = "http_server_request_duration_seconds_count"


class Traced:
    """What was recorded, and the spans that have ended."""

    def __init__(self, recorded: Recording) -> None:
        self._exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        recorded.runtime.trace_with(Tracing(provider))
        self.provider = provider
        self.tracer = provider.get_tracer("users")
        self.page = recorded.page

    def spans(self) -> list[ReadableSpan]:
        """Return them in the order they ended."""
        return list(self._exporter.get_finished_spans())

    def names(self) -> list[str]:
        """Return the names of the spans, in the order they ended."""
        return [span.name for span in self.spans()]

    def outcome(self) -> tuple[str, str]:
        """Return status and error type of the one request there was, as metric and span agree on them."""
        (sample,) = self.page().find(COUNT)
        assert sample.value == 1.0
        status, error = sample.labels.get("http_response_status_code", ""), sample.labels.get("error_type", "")
        attributes = self.spans()[-1].attributes or {}
        assert str(attributes.get("http.response.status_code", "")) == status
        assert attributes.get("error.type", "") == error
        assert sum(failures.counts().values()) == 0
        return status, error


@pytest.fixture
def traced(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[Traced]:
    """Return what requests to instrumented applications leave behind."""
    failures.forget()
    modules = ("starlette.applications", "starlette.routing", "fastapi.applications", "fastapi.routing")
    with patched(*modules, "starlette.middleware.base"), recording() as recorded:
        yield Traced(recorded)


def drive(
    app: ASGIApp, *received: Message, kind: str = "http", path: str = "/a", gone_after: int = 99
) -> list[Message]:
    """Call *app* as a server does, and return what it sent; the client is gone after *gone_after* messages."""
    messages = iter(received or [{"type": "http.request"}])
    sent: list[Message] = []

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if len(sent) == gone_after:
            raise OSError
        sent.append(message)

    asgi_ = {"version": "3.0", "spec_version": "2.4"}
    scope = {"type": kind, "method": "GET", "path": path, "headers": [], "query_string": b"", "asgi": asgi_}
    asyncio.run(asgi.serve(app, scope, receive, send))
    return sent


def body(part: bytes, *, more: bool) -> Message:
    """Return a message with a part of a body."""
    return {"type": "http.response.body", "body": part, "more_body": more}


class TestStreams:
    def test_a_stream_is_one_span_to_its_last_part(self, traced: Traced) -> None:
        """What is traced while it runs is inside it, and no span is made of a part."""
        app = FastAPI()

        @app.get("/a")
        async def streams() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                for part in (b"a", b"b"):
                    with traced.tracer.start_as_current_span("part"):
                        yield part

            return StreamingResponse(parts())

        drive(app)

        server = traced.spans()[-1]
        assert traced.names() == ["part", "part", "GET /a"]
        assert [part.parent for part in traced.spans()[:2]] == [server.context] * 2
        assert all((part.end_time or 0) <= (server.end_time or 0) for part in traced.spans())
        assert traced.outcome() == ("200", "")

    def test_a_stream_of_events_is_one_span(self, traced: Traced) -> None:
        """As FastAPI sends them."""
        app = FastAPI()

        @app.get("/a", response_class=EventSourceResponse)
        async def events() -> AsyncIterable[ServerSentEvent]:
            for number in range(3):
                yield ServerSentEvent(data=number)

        sent = drive(app)

        assert sum(message.get("body", b"").count(b"data:") for message in sent) == 3
        assert traced.names() == ["GET /a"]
        assert traced.outcome() == ("200", "")

    def test_a_stream_that_fails_midway_is_that_exception(self, traced: Traced) -> None:
        """The status was sent, and stays; the exception is the type."""
        app = FastAPI()

        @app.get("/a")
        async def fails() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"a"
                raise LookupError

            return StreamingResponse(parts())

        with pytest.raises(LookupError):
            drive(app)

        assert traced.outcome() == ("200", "LookupError")

    @pytest.mark.parametrize("fails", ["before", "midway", "never"])
    def test_a_middleware_that_makes_it_whole_hides_no_exception(self, traced: Traced, fails: str) -> None:
        """Starlette's base class sends the end before it raises; the error after the first byte had no type."""
        app = FastAPI()

        async def parts() -> AsyncIterator[str]:
            yield "one"
            if fails == "midway":
                raise LookupError

        @app.get("/a")
        async def streams() -> StreamingResponse:
            if fails == "before":
                raise LookupError
            return StreamingResponse(parts())

        @app.middleware("http")
        async def outer(request: Any, call_next: Any) -> Any:
            try:
                return await call_next(request)
            except LookupError:
                return Response("in its place", 200)

        app.middleware("http")(lambda request, call_next: call_next(request))

        with pytest.raises(LookupError) if fails == "midway" else nullcontext():
            drive(app)

        assert traced.outcome() == ("200", "LookupError" if fails == "midway" else "")

    def test_a_client_that_leaves_midway_is_no_failure(self, traced: Traced) -> None:
        """As servers say it that raise when more is sent; the stream ends, and with it the span."""
        closed: list[bool] = []
        app = FastAPI()

        @app.get("/a")
        async def endless() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                try:
                    while True:
                        yield b"a"
                finally:
                    closed.append(True)

            return StreamingResponse(parts())

        with pytest.raises(ClientDisconnect):
            drive(app, gone_after=5)

        assert traced.outcome() == ("200", "")
        assert closed == [True]

    def test_what_runs_after_the_answer_is_in_the_trace_and_not_in_the_duration(self, traced: Traced) -> None:
        """A background task is the request's doing, and nobody waits for it."""
        app = FastAPI()
        seen: list[list[str]] = []

        def later() -> None:
            seen.append(traced.names())
            with traced.tracer.start_as_current_span("later"):
                pass

        @app.get("/a")
        async def answers(background: BackgroundTasks) -> None:
            background.add_task(later)

        drive(app)

        server, task = traced.spans()
        assert seen == [["GET /a"]]
        assert task.parent == server.context
        assert traced.page().value(COUNT) == 1.0

    @pytest.mark.parametrize(
        ("messages", "last"),
        [
            ([{"type": "http.response.pathsend", "path": "/file"}], 1),
            ([{"type": "http.response.zerocopysend", "file": 3, "more_body": True}, body(b"", more=False)], 2),
            ([body(b"a", more=True), {"type": "http.response.zerocopysend", "file": 3}], 2),
            ([{"type": "http.response.early_hint", "links": []}, body(b"a", more=False)], 2),
            ([{"type": "http.response.push", "path": "/b", "headers": []}, body(b"a", more=False)], 2),
        ],
        ids=["path", "zero copy first", "zero copy last", "early hint", "push"],
    )
    def test_the_servers_extensions_are_understood(self, traced: Traced, messages: list[Message], last: int) -> None:
        """A response ends where ASGI says so, and arrives as it was sent."""
        finished: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for message in whole:
                await send(message)
                finished.append(len(traced.spans()))

        whole = [{"type": "http.response.start", "status": 200, "headers": []}, *messages]

        assert drive(app) == whole
        assert finished == [0] * last + [1]

    def test_a_response_with_trailers_ends_with_them(self, traced: Traced) -> None:
        """Not with its body."""
        finished: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for message in (
                {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
                body(b"a", more=False),
                {"type": "http.response.trailers", "headers": [], "more_trailers": True},
                {"type": "http.response.trailers", "headers": [(b"a", b"b")]},
            ):
                await send(message)
                finished.append(len(traced.spans()))

        drive(app)

        assert finished == [0, 0, 0, 1]
        assert traced.outcome() == ("200", "")

    def test_trailers_that_do_not_come_end_with_the_application(self, traced: Traced) -> None:
        """It has promised them and returned."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send(body(b"a", more=False))

        drive(app)

        assert traced.outcome() == ("200", "")


class TestSockets:
    def test_a_socket_is_one_span(self, traced: Traced) -> None:
        """Of the whole connection; what is traced meanwhile is inside it."""
        app = FastAPI()

        @app.websocket("/ws/{room}")
        async def echo(socket: WebSocket, room: str) -> None:
            await socket.accept()
            with traced.tracer.start_as_current_span("greeting"):
                await socket.send_text(await socket.receive_text())
            await socket.close()

        said = {"type": "websocket.receive", "text": "hello"}
        sent = drive(app, {"type": "websocket.connect"}, said, kind="websocket", path="/ws/lobby")

        greeting, server = traced.spans()
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
        assert (server.name, greeting.parent) == ("GET /ws/{room}", server.context)
        assert traced.page().find(COUNT) == []

    @pytest.mark.parametrize("code", [1000, 1001, 1006])
    def test_a_client_that_leaves_is_no_failure(self, traced: Traced, code: int) -> None:
        """FastAPI tells the handler by an exception, which handlers let pass."""
        app = FastAPI()

        @app.websocket("/ws")
        async def listens(socket: WebSocket) -> None:
            await socket.accept()
            while True:
                await socket.receive_text()

        gone = {"type": "websocket.disconnect", "code": code}
        with pytest.raises(WebSocketDisconnect):
            drive(app, {"type": "websocket.connect"}, gone, kind="websocket", path="/ws")

        (server,) = traced.spans()
        assert "error.type" not in (server.attributes or {})
        assert server.status.is_unset

    def test_a_handler_that_fails_is_a_failed_span(self, traced: Traced) -> None:
        """With its exception."""
        app = FastAPI()

        @app.websocket("/ws")
        async def fails(socket: WebSocket) -> None:
            await socket.accept()
            raise LookupError

        with pytest.raises(LookupError):
            drive(app, {"type": "websocket.connect"}, kind="websocket", path="/ws")

        (server,) = traced.spans()
        assert (server.attributes or {})["error.type"] == "LookupError"

    def test_nothing_of_a_probe_by_socket_is_traced(self, traced: Traced) -> None:
        """A probe is a probe."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with traced.tracer.start_as_current_span("ours"):
                await send({"type": "websocket.close"})

        drive(app, kind="websocket", path="/healthz")

        assert traced.spans() == []


class TestContexts:
    def test_a_request_that_is_closed_elsewhere_says_nothing(
        self, traced: Traced, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An event loop that ends leaves its coroutines to the collector, which closes them in another context."""

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        class Pending:
            def __await__(self) -> Iterator[None]:
                yield

        async def send(_: Message) -> None:
            await Pending()

        async def receive() -> Message:
            return {"type": "http.request"}

        scope = {"type": "http", "method": "GET", "path": "/a", "headers": []}
        serving: Any = asgi.serve(waits, scope, receive, send)
        contextvars.copy_context().run(serving.send, None)
        with caplog.at_level(logging.DEBUG):
            serving.close()
            del serving
            gc.collect()

        assert caplog.text == ""
        assert traced.names() == ["GET"]
        assert sum(failures.counts().values()) == 0


class TestProbes:
    """The whole subtree is suppressed: spans, children, and what instrumentors of libraries measure."""

    @pytest.fixture(autouse=True)
    def _database(self, traced: Traced) -> Iterator[None]:
        """Have queries traced."""
        SQLite3Instrumentor().instrument(tracer_provider=traced.provider)
        yield
        SQLite3Instrumentor().uninstrument()

    def look(self, traced: Traced) -> None:
        """Do what leaves a span anywhere else."""
        with traced.tracer.start_as_current_span("ours"):
            connection = sqlite3.connect(":memory:")
            connection.execute("SELECT 1").fetchall()
            connection.close()
        assert get_value(_SUPPRESS_INSTRUMENTATION_KEY)

    def test_under_asgi_while_the_body_streams(self, traced: Traced) -> None:
        """A health check may say things one by one."""
        app = FastAPI()

        @app.get("/healthz")
        async def health() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                self.look(traced)
                yield b"database: well\n"

            self.look(traced)
            return StreamingResponse(parts())

        drive(app, path="/healthz")

        assert traced.spans() == []
        assert traced.page().find(COUNT) == []
        assert not get_value(_SUPPRESS_INSTRUMENTATION_KEY)

    def test_under_wsgi_while_the_body_streams(self, traced: Traced) -> None:
        """A generator runs when the server reads it, after the application has returned."""

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            self.look(traced)
            start_response("200 OK", [])
            return self.parts(traced)

        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz", "wsgi.input": io.BytesIO()}
        body: Any = wsgi.serve(app, environ, lambda *_: None)
        assert list(body) == [b"database: well\n"]
        body.close()

        assert traced.spans() == []
        assert traced.page().find(COUNT) == []
        assert not get_value(_SUPPRESS_INSTRUMENTATION_KEY)

    def parts(self, traced: Traced) -> Iterator[bytes]:
        """Say what a look has shown."""
        self.look(traced)
        yield b"database: well\n"

    def test_under_wsgi_when_the_probe_fails(self, traced: Traced) -> None:
        """What comes next is seen again."""

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            raise LookupError

        with pytest.raises(LookupError):
            wsgi.serve(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz"}, lambda *_: None)

        assert not get_value(_SUPPRESS_INSTRUMENTATION_KEY)
