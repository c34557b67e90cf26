"""What is recorded of a request to a Tornado application, whatever handlers and clients do."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from tests.unit.instrumentation.conftest import ACTIVE, COUNT, comes_true, outcome
from tests.unit.instrumentation.conftest import labels as outcome_labels
from tornado import routing
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.simple_httpclient import HTTPStreamClosedError
from tornado.testing import bind_unused_port
from tornado.web import Application, Finish, HTTPError, RedirectHandler, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.frameworks.tornado import template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.unit.instrumentation.conftest import Spans

    from quarterdeck_instrumentation.testing import Recording

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True, scope="module")
def _instrumented(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """Instrument Tornado, which is imported already; and undo it, for the sake of other tests."""
    with patched("tornado.routing", "tornado.tcpserver", "tornado.web", "tornado.websocket"):
        yield


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture) -> None:
    """Spare the log what Tornado says of the failures under test."""
    caplog.set_level(logging.CRITICAL, "tornado")


labels = partial(outcome_labels, module=__name__)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """Serve *app* on a free port, and give the port."""
    server = HTTPServer(app)
    listening, port = bind_unused_port()
    server.add_sockets([listening])
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


def get(app: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Send one request to *app*, and return status and body."""

    async def send() -> tuple[int, str]:
        async with served(app) as port:
            client = AsyncHTTPClient(force_instance=True)
            response = await client.fetch(
                f"http://127.0.0.1:{port}{path}",
                method=method,
                headers=headers,
                raise_error=False,
                follow_redirects=False,
                allow_nonstandard_methods=True,
            )
            client.close()
            return response.code, response.body.decode()

    return asyncio.run(send())


class Answers(RequestHandler):
    """Says what its groups matched."""

    def get(self, *groups: str, **named: str) -> None:
        """Answer."""
        self.write(" ".join((*groups, *named.values())))


def handling(get: Any, **more: Any) -> Application:
    """Return an application that answers `/a` with *get*."""
    return Application([("/a", type("Handler", (RequestHandler,), {"get": get, "__module__": __name__, **more}))])


class TestRoutes:
    @pytest.mark.parametrize(
        ("pattern", "shown"),
        [
            (r"/items/(?P<item>\d+)", "/items/{item}"),
            (r"/items/([^/]+)/parts/(.*)", "/items/{1}/parts/{2}"),
            (r"/items/?", "/items/"),
        ],
    )
    def test_the_template_is_recorded_never_the_path(self, recorded: Recording, pattern: str, shown: str) -> None:
        """Made of the regular expression that the route is."""
        path = {"/items/{item}": "/items/7", "/items/{1}/parts/{2}": "/items/7/parts/a/b", "/items/": "/items/"}[shown]

        assert get(Application([(pattern, Answers)]), path)[0] == 200
        assert outcome(recorded) == labels(template(pattern))
        assert template(pattern).rstrip("/") == shown.rstrip("/")

    @pytest.mark.parametrize(
        ("pattern", "shown"),
        [
            (r"/orders/?$", "/orders"),
            (r"^/a(?:/(\d+))?$", "/a/{1}"),
            (r"/(?:old|new)/x", "/*/x"),
            (r"/files/.*", "/files/*"),
            (r"/v[12]/\d{4}", "/v*/*"),
            (r"/a\.json", "/a.json"),
            (r".*", "*"),
            (r"/(?P<outer>a(b)c)", "/{outer}"),
        ],
    )
    def test_a_template_says_what_stands_for_many_texts(self, pattern: str, shown: str) -> None:
        """Groups by their name or number, all else by a star; what may be left out, is."""
        assert template(pattern) == shown

    def test_an_expression_that_cannot_be_read_is_its_own_template(self) -> None:
        """It is one value all the same."""
        failures.forget()

        assert template("/(") == "/("
        assert failures.counts() == {"hooks": 1}

    def test_the_innermost_router_decides(self, recorded: Recording) -> None:
        """Tornado's nested routers match the whole path again."""
        inner = Application([(r"/shop/items/(\d+)", Answers)])
        app = routing.RuleRouter([routing.Rule(routing.PathMatches("/shop.*"), inner)])

        assert get(app, "/shop/items/7") == (200, "7")
        assert outcome(recorded) == labels("/shop/items/{1}")

    @pytest.mark.parametrize("path", ["/nothing", "/wp-admin.php", "/shop/nothing"])
    def test_what_no_route_matches_is_one_value(self, recorded: Recording, path: str) -> None:
        """However a scanner spells it, and although an outer router matched."""
        inner = routing.RuleRouter([routing.Rule(routing.PathMatches("/shop/items"), Application())])
        app = Application([(routing.PathMatches("/shop.*"), inner), ("/a", Answers)])

        assert get(app, path)[0] == 404
        assert outcome(recorded)["http_response_status_code"] == "404"
        if path != "/shop/nothing":
            assert outcome(recorded) == labels("unmatched", "404", module="")

    def test_a_redirection_is_of_no_module(self, recorded: Recording) -> None:
        """It is Tornado's own handler; the route is known."""
        get(Application([("/old", RedirectHandler, {"url": "/new"})]), "/old")

        assert outcome(recorded) == labels("/old", "301", module="")

    def test_a_wrong_method_keeps_the_route(self, recorded: Recording) -> None:
        """The route is known, and answers 405."""
        get(Application([("/a", Answers)]), "/a", "DELETE")

        assert outcome(recorded) == labels("/a", "405", method="DELETE")

    def test_an_unknown_method_is_one_value(self, recorded: Recording) -> None:
        """Clients cannot make series."""
        get(Application([("/a", Answers)]), "/a", "BREW")

        assert outcome(recorded) == labels("/a", "405", method="_OTHER")


class TestOutcomes:
    def test_an_exception_that_became_a_response(self, recorded: Recording) -> None:
        """The status is what the client got, and the cause is named."""

        def fails(self: RequestHandler) -> None:
            raise LookupError

        assert get(handling(fails), "/a")[0] == 500
        assert outcome(recorded) == labels("/a", "500", "LookupError")

    @pytest.mark.parametrize(
        ("chosen", "status", "error"),
        [(HTTPError(503), "503", "503"), (HTTPError(409), "409", ""), (Finish("done"), "200", "")],
    )
    def test_an_exception_that_is_a_response(
        self, recorded: Recording, chosen: Exception, status: str, error: str
    ) -> None:
        """It was chosen, so its status says all there is."""

        async def raises(self: RequestHandler) -> None:
            raise chosen

        get(handling(raises), "/a")

        assert outcome(recorded) == labels("/a", status, error)

    def test_a_handler_that_cannot_be_made(self, recorded: Recording) -> None:
        """Tornado answers nothing, and closes the connection."""

        def fails(self: RequestHandler) -> None:
            raise LookupError

        with pytest.raises(HTTPStreamClosedError):
            get(handling(None, initialize=fails), "/a")

        assert outcome(recorded) == labels("/a", "", "LookupError")

    def test_an_answer_that_is_not_modified(self, recorded: Recording) -> None:
        """The status is the one that Tornado makes of the handler's at the end."""
        etag = '"da39a3ee5e6b4b0d3255bfef95601890afd80709"'

        assert get(Application([("/a", Answers)]), "/a", **{"If-None-Match": etag})[0] == 304
        assert outcome(recorded) == labels("/a", "304")

    def test_a_request_is_running_until_its_last_byte(self, recorded: Recording) -> None:
        """A stream counts to its end."""
        seen: list[tuple[float, float]] = []

        async def streams(self: RequestHandler) -> None:
            for _ in range(2):
                self.write("x")
                await self.flush()
                page = recorded.page()
                seen.append((page.value(ACTIVE), page.value(COUNT)))

        assert get(handling(streams), "/a") == (200, "xx")
        assert seen == [(1.0, 0.0), (1.0, 0.0)]
        assert outcome(recorded) == labels("/a")

    def test_what_runs_after_the_end_does_not_count(self, recorded: Recording) -> None:
        """The client has its answer, whatever becomes of the handler."""
        seen: list[float] = []

        async def goes_on(self: RequestHandler) -> None:
            await self.finish("done")
            seen.append(recorded.page().value(COUNT))
            raise LookupError

        assert get(handling(goes_on), "/a") == (200, "done")
        assert seen == [1.0]
        assert outcome(recorded) == labels("/a")

    def test_a_stream_that_breaks_off(self, recorded: Recording) -> None:
        """The status was sent, and stays; the cause is named."""

        async def breaks(self: RequestHandler) -> None:
            self.write("x")
            await self.flush()
            raise LookupError

        get(handling(breaks), "/a")

        assert outcome(recorded) == labels("/a", "200", "LookupError")

    def test_a_body_that_streams_in(self, recorded: Recording) -> None:
        """The handler begins with the header, and is measured from there."""
        got: list[bytes] = []

        @stream_request_body
        class Takes(RequestHandler):
            def data_received(self, chunk: bytes) -> None:
                got.append(chunk)

            def put(self) -> None:
                self.write(b"".join(got))

        async def send() -> bytes:
            async with served(Application([("/a", Takes)])) as port:
                client = AsyncHTTPClient(force_instance=True)
                response = await client.fetch(f"http://127.0.0.1:{port}/a", method="PUT", body=b"abc")
                client.close()
                return response.body

        assert asyncio.run(send()) == b"abc"
        assert outcome(recorded) == labels("/a", method="PUT")

    def test_a_handler_that_leaves_its_end_to_others(self, recorded: Recording) -> None:
        """Its request runs on when it has returned."""

        def leaves(self: RequestHandler) -> None:
            self._auto_finish = False
            asyncio.get_running_loop().call_later(
                0.01, lambda: (seen.append(recorded.page().value(ACTIVE)), self.finish("done"))
            )

        seen: list[float] = []

        assert get(handling(leaves), "/a") == (200, "done")
        assert seen == [1.0]
        assert outcome(recorded) == labels("/a")


class TestClientsThatGoAway:
    def served_to_nobody(self, recorded: Recording, app: Application, *, reads: bool = False) -> None:
        """Ask for `/a`, wait until it is being answered, and go away: after a first read, if *reads*."""

        async def ask_and_leave() -> None:
            async with served(app) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /a HTTP/1.1\r\nHost: checkout\r\n\r\n")
                await comes_true(lambda: recorded.page().value(ACTIVE))
                if reads:
                    await reader.read(1)
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                writer.transport.abort()
                await comes_true(lambda: recorded.page().value(COUNT))

        asyncio.run(ask_and_leave())

    def test_before_the_answer_there_is_no_status(self, recorded: Recording) -> None:
        """Nobody failed: neither a status that was not sent nor an error is claimed."""

        async def waits(self: RequestHandler) -> None:
            await comes_true(self.request.connection.stream.closed)  # type: ignore[union-attr]

        self.served_to_nobody(recorded, handling(waits))

        assert outcome(recorded) == labels("/a", "")

    def test_during_a_stream_the_status_stays(self, recorded: Recording) -> None:
        """And that nothing more can be sent is no error of the service."""

        async def streams(self: RequestHandler) -> None:
            while True:
                self.write("x")
                await self.flush()
                await asyncio.sleep(0)

        self.served_to_nobody(recorded, handling(streams), reads=True)

        assert outcome(recorded) == labels("/a")

    def test_a_handler_that_nobody_finishes_ends_with_its_client(self, recorded: Recording) -> None:
        """Which the handler is told, as without us."""
        told: list[bool] = []

        async def leaves(self: RequestHandler) -> None:
            self._auto_finish = False

        self.served_to_nobody(recorded, handling(leaves, on_connection_close=lambda _: told.append(True)))

        assert told == [True]
        assert outcome(recorded) == labels("/a", "")


class TestSpans:
    def test_a_request_is_one_span_by_the_stable_conventions(self, recorded: Recording, spans: Spans) -> None:
        """Child of the caller's, with every attribute and no query: secrets travel in it."""
        get(
            Application([(r"/items/(\d+)", Answers)]),
            "/items/7?token=secret",
            **{"Traceparent": TRACEPARENT, "User-Agent": "curl/8", "Host": "checkout.test:8443"},
        )

        (span,) = spans.finished()
        assert (span.name, span.kind, span.status.status_code) == ("GET /items/{1}", SpanKind.SERVER, StatusCode.UNSET)
        assert span.parent is not None
        assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.route": "/items/{1}",
            "network.protocol.version": "1.1",
            "quarterdeck.module": __name__,
            "server.address": "checkout.test",
            "server.port": 8443,
            "url.path": "/items/7",
            "url.scheme": "http",
            "user_agent.original": "curl/8",
        }

    def test_spans_of_users_are_children(self, recorded: Recording, spans: Spans) -> None:
        """From `initialize` to `on_finish`; two requests at once have each their own."""
        tracer = recorded.runtime.tracing()._provider.get_tracer("users")  # type: ignore[union-attr]
        met = asyncio.Barrier(2)

        def notes(self: RequestHandler) -> None:
            tracer.start_span(f"child {self.request.path}").end()

        async def waits(self: RequestHandler, item: str) -> None:
            await met.wait()
            notes(self)

        app = Application(
            [("/(.)", type("H", (RequestHandler,), {"initialize": notes, "get": waits, "on_finish": notes}))]
        )

        async def send() -> None:
            async with served(app) as port:
                client = AsyncHTTPClient(force_instance=True)
                await asyncio.gather(*(client.fetch(f"http://127.0.0.1:{port}/{item}") for item in "ab"))
                client.close()

        asyncio.run(send())

        finished = spans.finished()
        server = {
            (span.attributes or {})["url.path"]: span.context for span in finished if span.kind is SpanKind.SERVER
        }
        for item in ("/a", "/b"):
            children = [span for span in finished if span.name == f"child {item}"]
            assert len(children) == 3
            assert {span.parent.span_id for span in children if span.parent} == {server[item].span_id}

    def test_a_failure_is_an_error_of_the_span(self, recorded: Recording, spans: Spans) -> None:
        """With its type."""

        def fails(self: RequestHandler) -> None:
            raise LookupError

        get(handling(fails), "/a")

        (span,) = spans.finished()
        assert span.status.status_code is StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == "LookupError"


class Echo(WebSocketHandler):
    """Says everything again; what cannot be said breaks it."""

    def on_message(self, message: str | bytes) -> Any:
        """Answer."""
        if message == "break":
            raise LookupError
        return self.write_message(message)


class TestWebSockets:
    def speak(self, *words: str) -> list[str | bytes | None]:
        """Say *words* at `/a`, and return what is answered."""

        async def speaking() -> list[str | bytes | None]:
            async with served(Application([("/a", Echo)])) as port:
                connection = await websocket_connect(f"ws://127.0.0.1:{port}/a")
                heard = []
                for word in words:
                    await connection.write_message(word)
                    heard.append(await connection.read_message())
                connection.close()
                if heard[-1] is not None:  # or the service has closed it
                    await connection.read_message()
                return heard

        return asyncio.run(speaking())

    def test_one_is_one_span_and_no_request(self, recorded: Recording, spans: Spans) -> None:
        """However many messages it carries, until it is closed."""
        assert self.speak("hello", "again") == ["hello", "again"]

        (span,) = spans.finished()
        assert span.name == "GET /a"
        assert dict(span.attributes or {})["http.response.status_code"] == 101
        assert span.status.status_code is StatusCode.UNSET
        assert recorded.page().find(COUNT) == []
        assert recorded.page().value(ACTIVE) == 0.0

    def test_one_that_fails_says_why(self, recorded: Recording, spans: Spans) -> None:
        """Its status was sent long ago."""
        assert self.speak("hello", "break") == ["hello", None]

        (span,) = spans.finished()
        assert dict(span.attributes or {})["error.type"] == "LookupError"
        assert recorded.page().find(COUNT) == []

    def test_what_only_asks_for_one_is_a_request(self, recorded: Recording, spans: Spans) -> None:
        """It was answered by HTTP."""
        assert get(Application([("/a", Echo)]), "/a")[0] == 400

        assert outcome(recorded) == labels("/a", "400")
        assert len(spans.finished()) == 1


class TestProbes:
    @pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/health"])
    def test_nothing_of_them_is_measured_or_traced(self, recorded: Recording, spans: Spans, path: str) -> None:
        """Down to the last call they make."""
        tracer = recorded.runtime.tracing()._provider.get_tracer("users")  # type: ignore[union-attr]

        async def checks(self: RequestHandler) -> None:
            await asyncio.sleep(0)
            with tracer.start_as_current_span("database"):
                """Ask it."""

        assert get(Application([(path, type("H", (RequestHandler,), {"get": checks}))]), path)[0] == 200
        assert recorded.page().find(COUNT) == []
        assert spans.finished() == []

    @pytest.mark.parametrize("path", ["/api/healthcare/patients", "/healthz/deep"])
    def test_probes_are_whole_paths(self, recorded: Recording, path: str) -> None:
        """What only looks like a probe is measured."""
        get(Application([(path, Answers)]), path)

        assert outcome(recorded) == labels(path)


class TestTheHost:
    def test_what_cannot_be_measured_is_served_all_the_same(
        self, recorded: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Our mistake is counted."""

        def fails(*_: Any) -> None:
            raise ValueError

        monkeypatch.setattr(recorded.runtime.http, "accept", fails)

        assert get(Application([("/(.)", Answers)]), "/7") == (200, "7")
        assert failures.counts() == {"requests": 1}
