"""What is recorded of a request, whatever the application does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from tests.unit.instrumentation.conftest import ACTIVE, COUNT, labels, outcome

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.testing import Recording, Sample, recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from starlette.middleware.base import RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


@pytest.fixture(autouse=True, scope="module")
def _activated(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """Instrument Starlette and FastAPI, which are imported already; and undo it, for the sake of other tests."""
    with patched("starlette.applications", "starlette.routing", "fastapi.applications", "fastapi.routing"):
        yield


def get(app: ASGIApp, path: str, method: str = "GET") -> httpx.Response:
    """Send one request, as an HTTP client sees it."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://checkout") as client:
            return await client.request(method, path)

    return asyncio.run(send())


class TestRoutes:
    def test_the_template_is_recorded_never_the_path(self, recorded: Recording) -> None:
        """Two users are one series."""
        app = FastAPI()
        app.get("/users/{user}")(lambda user: user)

        get(app, "/users/1")
        get(app, "/users/2")

        assert recorded.page().find(COUNT) == [Sample(COUNT, labels("/users/{user}"), 2.0)]

    def test_a_routers_prefixes_are_part_of_the_route(self, recorded: Recording) -> None:
        """Its own, and those of every inclusion, which FastAPI's route object does not know."""
        inner, outer, app = APIRouter(prefix="/inner"), APIRouter(prefix="/outer"), FastAPI()
        inner.get("/{item}")(lambda item: item)
        outer.include_router(inner, prefix="/between")
        app.include_router(outer, prefix="/api")

        get(app, "/api/outer/between/inner/1")

        assert outcome(recorded) == labels("/api/outer/between/inner/{item}")

    def test_a_mounts_template_is_part_of_the_route(self, recorded: Recording) -> None:
        """Not the path it matched, which would be a series for each tenant."""
        child = FastAPI()
        child.get("/orders/{order}")(lambda order: order)
        app = FastAPI()
        app.mount("/tenants/{tenant}", child)

        get(app, "/tenants/acme/orders/1")

        assert outcome(recorded) == labels("/tenants/{tenant}/orders/{order}")

    def test_a_mounted_foreign_application_is_one_route(self, recorded: Recording) -> None:
        """Static files, for one: nothing below the mount will say more."""
        app = Starlette(routes=[Mount("/static", app=PlainTextResponse("file"))])

        get(app, "/static/a/b.css")

        assert outcome(recorded) == labels("/static/{path}")

    @pytest.mark.parametrize("path", ["/nothing", "/wp-admin.php", "/child/nothing"])
    def test_what_no_route_matches_is_one_value(self, recorded: Recording, path: str) -> None:
        """However a scanner spells it, below a mount too."""
        app = FastAPI()
        app.mount("/child", FastAPI())

        get(app, path)

        assert outcome(recorded) == labels("unmatched", "404")

    def test_a_wrong_method_keeps_the_route(self, recorded: Recording) -> None:
        """The route is known, and answers 405."""
        app = FastAPI()
        app.get("/a")(lambda: None)

        get(app, "/a", "DELETE")

        assert outcome(recorded) == labels("/a", "405", method="DELETE")

    def test_starlette_routes_lose_their_convertors(self, recorded: Recording) -> None:
        """`{n:int}` and `{n}` are one template."""
        app = Starlette(routes=[Route("/n/{n:int}", lambda _: PlainTextResponse("n"))])

        get(app, "/n/1")

        assert outcome(recorded) == labels("/n/{n}")

    def test_a_middleware_that_copies_the_scope_hides_no_route(self, recorded: Recording) -> None:
        """The route speaks to the request itself, not to the scope."""

        class Copies:
            def __init__(self, app: ASGIApp) -> None:
                self.app = app

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await self.app(dict(scope), receive, send)

        app = FastAPI()
        app.add_middleware(Copies)
        app.get("/a")(lambda: None)

        get(app, "/a")

        assert outcome(recorded) == labels("/a")

    def test_an_unknown_method_is_one_value(self, recorded: Recording) -> None:
        """Clients cannot make series."""
        get(FastAPI(), "/a", "BREW")

        assert outcome(recorded) == labels("unmatched", "404", method="_OTHER")


class TestModules:
    def test_fastapis_module_is_the_first_tag(self, recorded: Recording) -> None:
        """That of the outermost inclusion: the router's own and the route's come after it."""
        router, app = APIRouter(tags=["inner"]), FastAPI()
        router.get("/a", tags=["route"])(lambda: None)
        app.include_router(router, tags=["outer"])

        get(app, "/a")

        assert outcome(recorded) == labels("/a", module="outer")

    def test_a_tag_may_be_a_member_of_an_enumeration(self, recorded: Recording) -> None:
        """As FastAPI's documentation advises for large applications."""

        class Tag(Enum):
            ORDERS = "orders"

        app = FastAPI()
        app.get("/a", tags=[Tag.ORDERS])(lambda: None)

        get(app, "/a")

        assert outcome(recorded) == labels("/a", module="orders")

    def test_starlettes_module_is_the_name_of_the_innermost_mount(self, recorded: Recording) -> None:
        """That has one."""
        routes = [Mount("/c", routes=[Route("/a", PlainTextResponse("a"))])]
        app = Starlette(routes=[Mount("/o", routes=[Mount("/b", routes=routes, name="inner")], name="outer")])

        get(app, "/o/b/c/a")

        assert outcome(recorded) == labels("/o/b/c/a", module="inner")


class TestOutcomes:
    def test_an_escaped_exception_is_named(self, recorded: Recording) -> None:
        """By its class's qualified name; the status is what the client got."""
        app = FastAPI()

        @app.get("/a")
        async def fails() -> None:
            raise LookupError

        assert get(app, "/a").status_code == 500
        assert outcome(recorded) == labels("/a", "500", "LookupError")

    def test_a_chosen_server_error_is_its_own_reason(self, recorded: Recording) -> None:
        """No exception escaped, so the status code is the type."""
        app = FastAPI()

        @app.get("/a")
        async def refuses() -> None:
            raise HTTPException(503)

        get(app, "/a")

        assert outcome(recorded) == labels("/a", "503", "503")

    def test_a_clients_error_is_no_failure(self, recorded: Recording) -> None:
        """The server did what it should."""
        app = FastAPI()

        @app.get("/a/{number}")
        async def counts(number: int) -> int:
            return number

        get(app, "/a/one")

        assert outcome(recorded) == labels("/a/{number}", "422")

    def test_an_application_that_sends_nothing_has_failed(self, recorded: Recording) -> None:
        """Servers answer 500 for it."""

        async def silent(scope: Scope, receive: Receive, send: Send) -> None:
            """Return without a word."""

        drive(silent)

        assert outcome(recorded) == labels("unmatched", "500", "500")

    def test_a_background_task_that_fails_later_is_no_failed_request(self, recorded: Recording) -> None:
        """The client had its whole answer before."""
        app = FastAPI()

        def fails() -> None:
            raise LookupError

        @app.get("/a")
        async def answers(background: BackgroundTasks) -> None:
            background.add_task(fails)

        get(app, "/a")

        assert outcome(recorded) == labels("/a")

    def test_a_client_that_goes_away_before_the_answer_has_no_status(self, recorded: Recording) -> None:
        """Nobody failed: neither a status that was not sent nor an error is claimed."""

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        drive(waits, received=[{"type": "http.request"}, {"type": "http.disconnect"}])

        assert outcome(recorded) == labels("unmatched", "")

    def test_a_client_that_goes_away_during_the_answer_keeps_the_status(self, recorded: Recording) -> None:
        """The server raises when it is sent more, which is no error of the service."""

        async def streams(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

        with pytest.raises(OSError):  # noqa: PT011 -- it has no text: it must arrive as it was raised
            drive(streams, refuse="http.response.body")

        assert outcome(recorded) == labels("unmatched", "200")

    def test_a_cancelled_request_says_so(self, recorded: Recording) -> None:
        """A server that gives up on a request cancels it; what it then sends is unknown."""

        async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            drive(cancelled)

        assert outcome(recorded) == labels("unmatched", "", "asyncio.exceptions.CancelledError")

    def test_a_request_is_running_until_its_last_byte(self, recorded: Recording) -> None:
        """A streaming body counts to its end, and what runs after it does not."""
        seen: list[tuple[float, float]] = []

        def look() -> None:
            page = recorded.page()
            seen.append((page.value(ACTIVE), page.value(COUNT)))

        async def streams(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for more in (True, True, False):
                look()
                await send({"type": "http.response.body", "body": b"x", "more_body": more})
            look()

        drive(streams)

        assert seen == [(1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0)]


class TestWhatIsNotMeasured:
    @pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/health"])
    def test_probes(self, recorded: Recording, path: str) -> None:
        """They would drown what users ask for."""
        get(FastAPI(), path)

        assert recorded.page().find(COUNT) == []

    @pytest.mark.parametrize("path", ["/api/healthcare/patients", "/healthz/deep", "/HEALTHZ"])
    def test_probes_are_whole_paths(self, recorded: Recording, path: str) -> None:
        """What only looks like a probe is measured."""
        get(FastAPI(), path)

        assert outcome(recorded) == labels("unmatched", "404")

    def test_a_service_names_its_own_probes(self) -> None:
        """And then the usual names are paths as others."""
        with recording(Settings(health_paths=frozenset({"/up"}))) as recorded:
            get(FastAPI(), "/up")
            get(FastAPI(), "/healthz")

            assert recorded.page().value(COUNT) == 1.0

    def test_websockets_are_no_requests(self, recorded: Recording) -> None:
        """They last as long as their users like."""
        app = FastAPI()

        @app.websocket("/a")
        async def echo(socket: WebSocket) -> None:
            await socket.accept()
            await socket.send_text(await socket.receive_text())
            await socket.close()

        sent = drive(app, [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}], "websocket")

        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
        assert recorded.page().find(COUNT) == []


class TestTheHost:
    def test_layers_measure_once(self, recorded: Recording) -> None:
        """The outermost does; a mounted application and the class's own hook stand aside."""
        app = FastAPI()
        child = FastAPI()
        child.get("/a")(lambda: None)
        app.mount("/child", child)

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            await serve(app, scope, receive, send)

        get(outer, "/child/a")

        assert outcome(recorded) == labels("/child/a")

    def test_a_streaming_response_arrives_unchanged(self, recorded: Recording) -> None:
        """Watching changes no byte."""

        async def body() -> AsyncIterator[str]:
            for part in ("a", "b", "c"):
                yield part

        async def streams(request: Request) -> StreamingResponse:
            return StreamingResponse(body())

        app = Starlette(routes=[Route("/a", streams)])

        assert get(app, "/a").text == "abc"
        assert outcome(recorded) == labels("/a")

    def test_a_scope_that_cannot_be_understood_is_served_all_the_same(self, recorded: Recording) -> None:
        """Our mistake is counted, and the application sees the scope it would have seen."""
        seen: list[Any] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])

        asyncio.run(serve(app, {"type": "http", "path": "/a", "headers": []}, nothing, nothing))

        assert seen == ["/a"]
        assert failures.counts()["requests"] == 1
        assert recorded.page().value(ACTIVE) == 0.0

    def test_an_unknown_protocol_is_passed_on(self, recorded: Recording) -> None:
        """ASGI has room for others."""
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        asyncio.run(serve(app, {"type": "telnet"}, nothing, nothing))

        assert seen == ["telnet"]

    def test_the_servers_lifespan_is_the_applications(self, recorded: Recording) -> None:
        """Start-up and shutdown work as without us, in the application and in those it mounts."""
        seen: list[str] = []

        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            seen.append("up")
            yield
            seen.append("down")

        app = FastAPI(lifespan=asynccontextmanager(lifespan))
        sent = drive(app, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], "lifespan")

        assert seen == ["up", "down"]
        assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    def test_fastapis_own_telemetry_stands_aside(self, recorded: Recording) -> None:
        """Its switch for one request is its key in the scope."""
        seen: list[Any] = []
        app = FastAPI()

        @app.middleware("http")
        async def looks(request: Request, call_next: RequestResponseEndpoint) -> Response:
            seen.append((request.scope["fastapi.telemetry"], MARK in request.scope))
            return await call_next(request)

        get(app, "/a")

        assert seen == [(None, True)]


async def nothing(*_: Any) -> Any:
    """Receive nothing, and send nowhere."""
    return {"type": "http.disconnect"}


def drive(
    app: ASGIApp,
    received: list[Message] | None = None,
    kind: str = "http",
    refuse: str = "",
) -> list[Message]:
    """Call *app*, measured, as a server does for `/a`, and return what it sent.

    Args:
        app: the application.
        received: what it receives, in order.
        kind: `http`, `websocket` or `lifespan`.
        refuse: the type of message on which the client turns out to be gone.
    """
    messages = iter(received or [])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        if message["type"] == refuse:
            raise OSError
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": "/a", "scheme": "http", "headers": [], "query_string": b""}
    asyncio.run(serve(app, scope, receive, send))
    return sent
