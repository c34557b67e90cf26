"""What is recorded of a request to aiohttp's server, whatever handlers, middlewares and clients do."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from tests.unit.instrumentation.conftest import ACTIVE, COUNT, comes_true, outcome
from tests.unit.instrumentation.conftest import labels as outcome_labels

from quarterdeck_instrumentation import failures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.unit.instrumentation.conftest import Spans

    from quarterdeck_instrumentation.testing import Recording

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True, scope="module")
def _instrumented(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """Instrument aiohttp's server, which is imported already; and undo it, for the sake of other tests."""
    with patched("aiohttp.web_protocol", "aiohttp.web_response", "aiohttp.web_runner"):
        yield


labels = partial(outcome_labels, module=__name__)


@asynccontextmanager
async def served(app: web.Application | web.ServerRunner) -> AsyncIterator[int]:
    """Serve *app* on a free port, as `web.run_app` does, and give the port."""
    runner = app if isinstance(app, web.ServerRunner) else web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def get(app: web.Application, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Send one request to *app*, and return status and body."""

    async def send() -> tuple[int, str]:
        async with (
            served(app) as port,
            aiohttp.ClientSession() as client,
            client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as response,
        ):
            return response.status, await response.text()

    return asyncio.run(send())


def application(path: str, handler: Handler, *middlewares: Any) -> web.Application:
    """Return an application of one route."""
    app = web.Application(middlewares=middlewares)
    app.router.add_get(path, handler)
    return app


async def answers(request: web.Request) -> web.Response:
    """Say which item was asked for."""
    return web.Response(text=request.match_info.get("item", "none"))


class TestRoutes:
    def test_the_template_is_recorded_never_the_path(self, recorded: Recording) -> None:
        """The canonical one, without the expression that its part must match."""
        assert get(application(r"/items/{item:\d+}", answers), "/items/7") == (200, "7")
        assert outcome(recorded) == labels("/items/{item}")

    def test_a_sub_applications_prefix_is_part_of_the_route(self, recorded: Recording) -> None:
        """At whatever depth."""
        inner, outer = web.Application(), web.Application()
        inner.add_subapp("/orders", application("/{item}", answers))
        outer.add_subapp("/shop", inner)

        assert get(outer, "/shop/orders/7") == (200, "7")
        assert outcome(recorded) == labels("/shop/orders/{item}")

    @pytest.mark.parametrize("path", ["/nothing", "/wp-admin.php", "/items/seven", "/child/nothing"])
    def test_what_no_route_matches_is_one_value(self, recorded: Recording, path: str) -> None:
        """However a scanner spells it, below a prefix too."""
        app = application(r"/items/{item:\d+}", answers)
        app.add_subapp("/child", web.Application())

        assert get(app, path)[0] == 404
        assert outcome(recorded) == labels("unmatched", "404", module="")

    def test_static_files_are_one_route(self, recorded: Recording, tmp_path: Any) -> None:
        """And of no module of the service."""
        (tmp_path / "a.css").write_text("a")
        app = web.Application()
        app.router.add_static("/static", tmp_path)

        assert get(app, "/static/a.css") == (200, "a")
        assert outcome(recorded) == labels("/static", module="")

    def test_an_unknown_method_is_one_value(self, recorded: Recording) -> None:
        """Clients cannot make series."""
        get(application("/a", answers), "/a", "PROPFIND")

        assert outcome(recorded) == labels("unmatched", "405", method="_OTHER", module="")

    def test_the_module_is_the_handlers(self, recorded: Recording) -> None:
        """Also where something is bound to it, and where it is a class."""

        class Item(web.View):
            async def get(self) -> web.Response:
                return await answers(self.request)

        async def bound(tenant: str, request: web.Request) -> web.Response:
            return web.Response(text=tenant)

        view = web.Application()
        view.router.add_view("/a", Item)

        get(view, "/a")
        get(application("/b", partial(bound, "acme")), "/b")

        assert [sample.labels for sample in recorded.page().find(COUNT)] == [labels("/a"), labels("/b")]

    def test_a_server_without_an_application_has_no_routes(self, recorded: Recording) -> None:
        """It is measured all the same."""

        async def handler(request: web.BaseRequest) -> web.Response:
            return web.Response(text="a")

        async def send() -> int:
            runner = web.ServerRunner(web.Server(handler))
            async with served(runner) as port, aiohttp.ClientSession() as client:
                return (await client.get(f"http://127.0.0.1:{port}/a")).status

        assert asyncio.run(send()) == 200
        assert outcome(recorded) == labels("unmatched", module="")


class TestOutcomes:
    def test_an_exception_that_became_a_response(self, recorded: Recording) -> None:
        """The status is what the client got, and the cause is named."""

        async def fails(request: web.Request) -> web.Response:
            raise LookupError

        assert get(application("/a", fails), "/a")[0] == 500
        assert outcome(recorded) == labels("/a", "500", "LookupError")

    def test_a_handler_that_timed_out(self, recorded: Recording) -> None:
        """For which aiohttp answers 504."""

        async def waits(request: web.Request) -> web.Response:
            async with asyncio.timeout(0):
                await asyncio.sleep(1)
            raise AssertionError

        assert get(application("/a", waits), "/a")[0] == 504
        assert outcome(recorded) == labels("/a", "504", "TimeoutError")

    @pytest.mark.parametrize(
        ("chosen", "status", "error"),
        [(web.HTTPServiceUnavailable, "503", "503"), (web.HTTPConflict, "409", ""), (web.HTTPNoContent, "204", "")],
    )
    def test_an_exception_that_is_a_response(
        self, recorded: Recording, chosen: type[web.HTTPException], status: str, error: str
    ) -> None:
        """It was chosen, so its status says all there is."""

        async def raises(request: web.Request) -> web.Response:
            raise chosen

        get(application("/a", raises), "/a")

        assert outcome(recorded) == labels("/a", status, error)

    def test_what_a_middleware_answers(self, recorded: Recording) -> None:
        """It is within what is measured, and decides."""

        @web.middleware
        async def refuses(request: web.Request, handler: Handler) -> web.StreamResponse:
            await handler(request)
            raise web.HTTPForbidden

        get(application("/a", answers, refuses), "/a")

        assert outcome(recorded) == labels("/a", "403")

    def test_a_handler_that_returns_nothing(self, recorded: Recording) -> None:
        """For which aiohttp answers 500."""

        async def silent(request: web.Request) -> Any:
            """Return nothing."""

        assert get(application("/a", silent), "/a")[0] == 500
        assert outcome(recorded) == labels("/a", "500", "500")

    def test_a_request_is_running_until_its_last_byte(self, recorded: Recording) -> None:
        """A stream counts to its end."""
        seen: list[tuple[float, float]] = []

        async def streams(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(2):
                await response.write(b"x")
                page = recorded.page()
                seen.append((page.value(ACTIVE), page.value(COUNT)))
            return response

        assert get(application("/a", streams), "/a") == (200, "xx")
        assert seen == [(1.0, 0.0), (1.0, 0.0)]
        assert outcome(recorded) == labels("/a")

    def test_a_stream_that_breaks_off(self, recorded: Recording) -> None:
        """The status was sent, and stays; the cause is named."""

        async def breaks(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x")
            raise LookupError

        with pytest.raises(aiohttp.ClientPayloadError):
            get(application("/a", breaks), "/a")

        assert outcome(recorded) == labels("/a", "200", "LookupError")

    def test_what_is_no_http_is_no_request(self, recorded: Recording) -> None:
        """Aiohttp refuses it before the service hears of it."""

        async def send() -> bytes:
            async with served(web.Application()) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"\x16\x03\x01nonsense\r\n\r\n")
                answer = await reader.read()
                writer.close()
                return answer

        assert asyncio.run(send()).startswith(b"HTTP/1.0 400 ")
        assert recorded.page().find(COUNT) == []


class TestClientsThatGoAway:
    def served_to_nobody(self, recorded: Recording, handler: Handler, *, reads: bool = False) -> None:
        """Ask for `/a`, wait until *handler* runs, and go away: after a first read, if *reads*."""

        async def ask_and_leave() -> None:
            async with served(application("/a", handler)) as port:
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

        async def waits(request: web.Request) -> web.Response:
            await comes_true(lambda: request.transport is None)
            return web.Response()

        self.served_to_nobody(recorded, waits)

        assert outcome(recorded) == labels("/a", "")

    def test_during_a_stream_the_status_stays(self, recorded: Recording) -> None:
        """And that nothing more can be sent is no error of the service."""

        async def streams(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x")
                await asyncio.sleep(0)

        self.served_to_nobody(recorded, streams, reads=True)

        assert outcome(recorded) == labels("/a")

    def test_a_service_that_fails_then_has_failed(self, recorded: Recording) -> None:
        """The client's leave explains no exception of another kind."""

        async def fails(request: web.Request) -> web.Response:
            await comes_true(lambda: request.transport is None)
            raise LookupError

        self.served_to_nobody(recorded, fails)

        assert outcome(recorded) == labels("/a", "", "LookupError")

    def test_a_request_that_the_server_gives_up_says_so(self, recorded: Recording) -> None:
        """It was cancelled, at the end of the server, while its client waited."""

        async def waits(request: web.Request) -> web.Response:
            await asyncio.sleep(60)
            raise AssertionError

        async def ask_and_stop() -> None:
            runner = web.AppRunner(application("/a", waits), shutdown_timeout=0.01)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
            writer.write(b"GET /a HTTP/1.1\r\nHost: checkout\r\n\r\n")
            await comes_true(lambda: recorded.page().value(ACTIVE))
            await runner.cleanup()
            writer.close()

        asyncio.run(ask_and_stop())

        assert outcome(recorded) == labels("/a", "", "asyncio.exceptions.CancelledError")


class TestSpans:
    def test_a_request_is_one_span_by_the_stable_conventions(self, recorded: Recording, spans: Spans) -> None:
        """Child of the caller's, with every attribute and no query: secrets travel in it."""
        get(
            application("/items/{item}", answers),
            "/items/7?token=secret",
            **{"Traceparent": TRACEPARENT, "User-Agent": "curl/8", "Host": "checkout.test:8443"},
        )

        (span,) = spans.finished()
        assert (span.name, span.kind, span.status.status_code) == (
            "GET /items/{item}",
            SpanKind.SERVER,
            StatusCode.UNSET,
        )
        assert span.parent is not None
        assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.route": "/items/{item}",
            "network.protocol.version": "1.1",
            "quarterdeck.module": __name__,
            "server.address": "checkout.test",
            "server.port": 8443,
            "url.path": "/items/7",
            "url.scheme": "http",
            "user_agent.original": "curl/8",
        }

    def test_spans_of_users_are_children(self, recorded: Recording, spans: Spans) -> None:
        """In handlers and in middlewares; two requests at once have each their own."""
        tracer = recorded.runtime.tracing()._provider.get_tracer("users")  # type: ignore[union-attr]
        met = asyncio.Barrier(2)

        @web.middleware
        async def wraps(request: web.Request, handler: Handler) -> web.StreamResponse:
            with tracer.start_as_current_span(f"middleware {request.path}"):
                await met.wait()
                return await handler(request)

        app = application("/{item}", answers, wraps)

        async def send() -> None:
            async with served(app) as port, aiohttp.ClientSession() as client:
                await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/{item}") for item in "ab"))

        asyncio.run(send())

        found = {(span.attributes or {}).get("url.path") or span.name: span for span in spans.finished()}
        for item in "ab":
            child, server = found[f"middleware /{item}"], found[f"/{item}"]
            assert child.parent is not None
            assert server.context is not None
            assert child.parent.span_id == server.context.span_id

    def test_a_failure_is_an_error_of_the_span(self, recorded: Recording, spans: Spans) -> None:
        """With its type."""

        async def fails(request: web.Request) -> web.Response:
            raise LookupError

        get(application("/a", fails), "/a")

        (span,) = spans.finished()
        assert span.status.status_code is StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == "LookupError"

    def test_a_websocket_is_one_span_and_no_request(self, recorded: Recording, spans: Spans) -> None:
        """However many messages it carries, until it is closed."""

        async def echo(request: web.Request) -> web.WebSocketResponse:
            connection = web.WebSocketResponse()
            await connection.prepare(request)
            async for message in connection:
                await connection.send_str(message.data)
            return connection

        assert self.spoken(application("/a", echo)) == ["hello", "again"]

        (span,) = spans.finished()
        assert span.name == "GET /a"
        assert dict(span.attributes or {})["http.response.status_code"] == 101
        assert span.status.status_code is StatusCode.UNSET
        assert recorded.page().find(COUNT) == []
        assert recorded.page().value(ACTIVE) == 0.0

    def test_a_websocket_that_fails_says_why(self, recorded: Recording, spans: Spans) -> None:
        """Its status was sent long ago."""

        async def fails(request: web.Request) -> web.WebSocketResponse:
            connection = web.WebSocketResponse()
            await connection.prepare(request)
            async for message in connection:
                await connection.send_str(message.data)
                raise LookupError
            return connection

        assert self.spoken(application("/a", fails)) == ["hello"]

        (span,) = spans.finished()
        assert dict(span.attributes or {})["error.type"] == "LookupError"
        assert recorded.page().find(COUNT) == []

    def spoken(self, app: web.Application) -> list[str]:
        """Say two words to the echo at `/a`, and return what it answered."""

        async def speak() -> list[str]:
            heard: list[str] = []
            async with served(app) as port, aiohttp.ClientSession() as client:
                connection = await client.ws_connect(f"http://127.0.0.1:{port}/a")
                for word in ("hello", "again"):
                    await connection.send_str(word)
                    answer = await connection.receive()
                    if answer.type is not aiohttp.WSMsgType.TEXT:
                        break
                    heard.append(answer.data)
                await connection.close()
            return heard

        return asyncio.run(speak())


class TestProbes:
    @pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/health"])
    def test_nothing_of_them_is_measured_or_traced(self, recorded: Recording, spans: Spans, path: str) -> None:
        """Down to the last call they make."""
        tracer = recorded.runtime.tracing()._provider.get_tracer("users")  # type: ignore[union-attr]

        async def checks(request: web.Request) -> web.Response:
            with tracer.start_as_current_span("database"):
                return web.Response()

        get(application(path, checks), path)

        assert recorded.page().find(COUNT) == []
        assert spans.finished() == []

    @pytest.mark.parametrize("path", ["/api/healthcare/patients", "/healthz/deep"])
    def test_probes_are_whole_paths(self, recorded: Recording, path: str) -> None:
        """What only looks like a probe is measured."""
        get(application(path, answers), path)

        assert outcome(recorded) == labels(path)


class TestTheHost:
    def test_what_cannot_be_measured_is_served_all_the_same(
        self, recorded: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Our mistake is counted."""

        def fails(*_: Any) -> None:
            raise ValueError

        monkeypatch.setattr(recorded.runtime.http, "accept", fails)

        assert get(application("/{item}", answers), "/7") == (200, "7")
        assert failures.counts() == {"requests": 1}

    def test_a_routers_own_kind_of_match_is_survived(self, recorded: Recording) -> None:
        """It need not know what aiohttp's own knows."""

        class Odd:
            route = None
            _apps = ()

        async def handler(request: web.Request) -> web.Response:
            request._match_info = Odd()  # type: ignore[assignment]
            return web.Response(text="a")

        assert get(application("/a", handler), "/a") == (200, "a")
        assert recorded.page().value(COUNT, http_route="unmatched") == 1.0
        assert failures.counts() == {"hooks": 1}

    def test_a_request_is_let_go_of(self, recorded: Recording) -> None:
        """What is recorded and what was asked do not keep each other."""
        seen: list[web.Request] = []

        async def handler(request: web.Request) -> web.Response:
            seen.append(request)
            return web.Response()

        get(application("/a", handler), "/a")

        assert "quarterdeck.request" not in seen[0]
