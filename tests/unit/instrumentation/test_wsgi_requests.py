"""What is recorded of a request under WSGI, whatever the application does; and that servers see what they would."""

from __future__ import annotations

import contextvars
import io
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper

import falcon
import falcon.app
import flask
import flask.app
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from tests.unit.instrumentation.conftest import ACTIVE, COUNT, labels, outcome

from quarterdeck_instrumentation import asgi, failures
from quarterdeck_instrumentation.frameworks import bridges
from quarterdeck_instrumentation.frameworks import falcon as falcons
from quarterdeck_instrumentation.frameworks import flask as flasks
from quarterdeck_instrumentation.request import Connection
from quarterdeck_instrumentation.tracing import Tracing
from quarterdeck_instrumentation.wsgi import MARK, Instrumented, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from quarterdeck_instrumentation.testing import Recording


@pytest.fixture(autouse=True, scope="module")
def _instrumented() -> Iterator[None]:
    """Instrument Flask and Falcon, which are imported already; and undo it, for the sake of other tests."""
    patched = [(flask.Flask, name) for name in ("__call__", "full_dispatch_request", "handle_exception")]
    patched += [(falcon.app.App, name) for name in ("__call__", "_get_responder")]
    originals = [(owner, name, vars(owner)[name]) for owner, name in patched]
    flasks.patch_application(flask.app)
    falcons.patch_wsgi(falcon.app)
    yield
    for owner, name, original in originals:
        setattr(owner, name, original)


def environ(path: str = "/a", **more: Any) -> dict[str, Any]:
    """Return the environ of a request, as a server makes it."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "token=secret",
        "SERVER_NAME": "checkout.test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        **more,
    }


def ignore(status: str, headers: Any, *exc_info: Any) -> Callable[[bytes], None]:
    """Start a response as a server does that sends it nowhere."""
    return lambda _: None


def call(app: Any, whole: dict[str, Any] | None = None) -> bytes:
    """Call *app*, measured, as a server does, and return the body."""
    body: Any = serve(app, whole or environ(), ignore)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def get(app: Any, path: str, method: str = "GET") -> httpx.Response:
    """Send one request, as an HTTP client sees it."""
    transport = httpx.WSGITransport(app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://checkout") as client:
        return client.request(method, path)


def answering(status: str = "200 OK", body: Iterable[bytes] = (b"a",)) -> Any:
    """Return an application that always answers so."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, [])
        return body

    return app


class TestRoutes:
    def test_flasks_template_is_recorded_never_the_path(self, recorded: Recording) -> None:
        """With the prefix of its blueprint."""
        blueprint = flask.Blueprint("orders", __name__, url_prefix="/orders")

        @blueprint.get("/<int:order>")
        def answer(order: int) -> str:
            return str(order)

        app = flask.Flask(__name__)
        app.register_blueprint(blueprint, url_prefix="/api")

        assert get(app, "/api/7").text == "7"
        assert outcome(recorded) == labels("/api/<int:order>", module="orders")

    def test_falcons_template_is_recorded_never_the_path(self, recorded: Recording) -> None:
        """Its classes are compiled, and changed in place all the same."""

        class Item:
            def on_get(self, req: falcon.Request, resp: falcon.Response, item: int) -> None:
                resp.text = str(item)

        app = falcon.App()
        app.add_route("/items/{item:int}", Item())

        assert get(app, "/items/7").text == "7"
        assert outcome(recorded) == labels("/items/{item:int}", module=__name__)

    @pytest.mark.parametrize("path", ["/nothing", "/wp-admin.php"])
    @pytest.mark.parametrize("make", [lambda: flask.Flask(__name__), falcon.App], ids=["flask", "falcon"])
    def test_what_no_route_matches_is_one_value(self, recorded: Recording, make: Any, path: str) -> None:
        """However a scanner spells it."""
        get(make(), path)

        assert outcome(recorded) == labels("unmatched", "404")

    def test_an_unknown_method_is_one_value(self, recorded: Recording) -> None:
        """Clients cannot make series."""
        get(flask.Flask(__name__), "/a", "BREW")

        assert outcome(recorded) == labels("unmatched", "404", method="_OTHER")


class TestModules:
    def test_flasks_module_is_the_blueprint(self, recorded: Recording) -> None:
        """With the blueprints it is nested in; the name it is registered under, which tells two of them apart."""
        inner, outer, app = flask.Blueprint("b", __name__), flask.Blueprint("a", __name__), flask.Flask(__name__)
        inner.get("/i")(lambda: "i")
        outer.register_blueprint(inner)
        app.register_blueprint(outer, name="shop")

        get(app, "/i")

        assert outcome(recorded) == labels("/i", module="shop.b")

    def test_a_route_of_the_application_itself_has_none(self, recorded: Recording) -> None:
        """It is in no blueprint."""
        app = flask.Flask(__name__)
        app.get("/a")(lambda: "a")

        get(app, "/a")

        assert outcome(recorded) == labels("/a")


class TestOutcomes:
    def test_the_exception_that_flask_made_a_response_of(self, recorded: Recording) -> None:
        """Flask answers 500 by itself, and the cause is not lost."""
        app = flask.Flask(__name__)

        @app.get("/a")
        def fails() -> str:
            raise LookupError

        assert get(app, "/a").status_code == 500
        assert outcome(recorded) == labels("/a", "500", "LookupError")

    def test_an_exception_that_escapes(self, recorded: Recording) -> None:
        """Reaches the server, which answers 500."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            raise LookupError("ours")

        with pytest.raises(LookupError, match="ours"):
            call(app)

        assert outcome(recorded) == labels("unmatched", "500", "LookupError")

    def test_an_exception_before_the_first_byte(self, recorded: Recording) -> None:
        """The status was said and not sent: the server answers 500."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [])
            yield from ()
            raise LookupError

        with pytest.raises(LookupError):
            call(app)

        assert outcome(recorded) == labels("unmatched", "500", "LookupError")

    def test_an_exception_after_the_first_byte(self, recorded: Recording) -> None:
        """The status has been sent, and stays."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [])
            yield b"a"
            raise LookupError

        with pytest.raises(LookupError):
            call(app)

        assert outcome(recorded) == labels("unmatched", "200", "LookupError")

    def test_a_response_that_replaces_another(self, recorded: Recording) -> None:
        """`start_response` with `exc_info` says why."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [])
            try:
                raise LookupError  # noqa: TRY301 -- as an application meets it
            except LookupError:
                start_response("500 Internal Server Error", [], sys.exc_info())
            return [b"sorry"]

        assert call(app) == b"sorry"
        assert outcome(recorded) == labels("unmatched", "500", "LookupError")

    def test_a_failure_without_an_exception(self, recorded: Recording) -> None:
        """Its status says all there is."""
        call(answering("503 Service Unavailable"))

        assert outcome(recorded) == labels("unmatched", "503", "503")

    def test_a_status_line_without_a_code(self, recorded: Recording) -> None:
        """It is the server's to refuse; the request is recorded without one, each time."""
        for _ in range(2):
            call(answering("fine"))

        assert recorded.page().value(COUNT, **labels("unmatched", "")) == 2.0

    def test_a_body_that_fails_between_two_items(self, recorded: Recording) -> None:
        """Its exception ends the request, whose status was sent before."""

        def items() -> Iterator[bytes]:
            yield b"a"
            raise LookupError("nothing")

        body: Any = serve(answering(body=items()), environ(), ignore)
        with pytest.raises(LookupError):
            list(body)
        body.close()

        assert outcome(recorded) == labels("unmatched", "200", "LookupError")

    def test_a_body_that_is_left_half_read(self, recorded: Recording) -> None:
        """A client that has gone: the server closes, and the request ends."""
        body: Any = serve(answering(body=iter([b"a", b"b"])), environ(), ignore)
        assert next(iter(body)) == b"a"
        assert recorded.page().value(ACTIVE) == 1.0

        body.close()

        assert outcome(recorded) == labels("unmatched")

    def test_a_request_is_running_until_its_last_byte(self, recorded: Recording) -> None:
        """A streaming body counts to its end, and what runs when it is closed does not."""
        seen: list[tuple[float, float]] = []

        def look() -> None:
            page = recorded.page()
            seen.append((page.value(ACTIVE), page.value(COUNT)))

        class Stream:
            def __iter__(self) -> Iterator[bytes]:
                for _ in range(2):
                    look()
                    yield b"x"

            def close(self) -> None:
                look()

        call(answering(body=Stream()))

        assert seen == [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)]


class TestWhatIsNotMeasured:
    @pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/health"])
    def test_probes(self, recorded: Recording, path: str) -> None:
        """They would drown what users ask for."""
        call(answering(), environ(path))

        assert recorded.page().find(COUNT) == []

    @pytest.mark.parametrize("path", ["/api/healthcare/patients", "/healthz/deep", "/HEALTHZ"])
    def test_probes_are_whole_paths(self, recorded: Recording, path: str) -> None:
        """What only looks like a probe is measured."""
        call(answering(), environ(path))

        assert outcome(recorded) == labels("unmatched")


class TestTheHost:
    def test_layers_measure_once(self, recorded: Recording) -> None:
        """The outermost does; the class's own hook stands aside."""
        app = flask.Flask(__name__)
        app.get("/a")(lambda: "a")

        get(Instrumented(app), "/a")

        assert outcome(recorded) == labels("/a")

    def test_an_application_mounted_under_asgi_is_measured_once(self, recorded: Recording) -> None:
        """By the layer outside, which the one inside tells its route: the bridge hands it on."""
        outside = Connection()
        outside.prefix = "/shop"
        bridge = SimpleNamespace(build_environ=lambda scope, _: environ(scope["path"]))
        bridges.patch_environ(bridge)
        app = flask.Flask(__name__)
        app.get("/<item>")(lambda item: item)

        assert call(app, bridge.build_environ({"path": "/7", asgi.MARK: outside}, b"")) == b"7"
        assert outside.route == "/shop/<item>"
        assert recorded.page().find(COUNT) == []

    def test_a_file_is_handed_to_the_server_as_the_object_it_offered(self, recorded: Recording) -> None:
        """Or it would not be sent as a file; its closing ends the request."""
        file = FileWrapper(io.BytesIO(b"abc"))
        body: Any = serve(answering(body=file), environ(**{"wsgi.file_wrapper": FileWrapper}), ignore)

        assert body is file
        assert recorded.page().value(ACTIVE) == 1.0
        body.close()
        assert file.filelike.closed
        assert outcome(recorded) == labels("unmatched")

    def test_a_file_of_a_server_in_c_is_left_alone(self, recorded: Recording) -> None:
        """UWSGI's wrapper is a function, and gives the file itself, which may take no attribute."""

        class File:
            __slots__ = ()

            def read(self) -> bytes:
                return b""

        file: Any = File()

        assert serve(answering(body=file), environ(**{"wsgi.file_wrapper": lambda file: file}), ignore) is file
        assert outcome(recorded) == labels("unmatched")

    def test_one_item_still_has_a_length(self, recorded: Recording) -> None:
        """Servers derive `Content-Length` from it, the standard library's for one."""
        out = io.BytesIO()
        handler = SimpleHandler(io.BytesIO(), out, io.StringIO(), environ(), multithread=False)
        handler.run(Instrumented(answering(body=[b"abc"])))

        assert b"Content-Length: 3\r\n" in out.getvalue()
        assert out.getvalue().endswith(b"\r\n\r\nabc")
        assert outcome(recorded) == labels("unmatched")

    def test_a_server_may_take_any_body_for_an_iterator(self, recorded: Recording) -> None:
        """A list's items come one by one, also where the server never asks for an iterator."""
        body: Any = serve(answering(body=[b"a", b"b"]), environ(), ignore)

        assert [next(body), next(body), next(body, None)] == [b"a", b"b", None]
        assert outcome(recorded) == labels("unmatched")

    def test_what_the_application_returned_is_closed_once(self, recorded: Recording) -> None:
        """By the server, as it would be."""
        closed: list[bool] = []

        class Closing(list[bytes]):
            def close(self) -> None:
                closed.append(True)

        call(answering(body=Closing([b"a"])))

        assert closed == [True]

    def test_an_environ_that_cannot_be_understood_is_served_all_the_same(self, recorded: Recording) -> None:
        """Our mistake is counted, and the application is called as it would be."""
        whole = environ()
        del whole["REQUEST_METHOD"]

        assert call(answering(), whole) == b"a"
        assert failures.counts() == {"requests": 1}
        assert recorded.page().value(ACTIVE) == 0.0

    @pytest.mark.parametrize("given", [{"SCRIPT_NAME": None}, {"PATH_INFO": None}, {"PATH_INFO": b"/a"}])
    def test_a_path_that_is_no_text_is_served_all_the_same(self, recorded: Recording, given: dict[str, Any]) -> None:
        """It is looked at before all else, for a probe's."""
        assert call(answering(), environ(**given)) == b"a"
        assert failures.counts() == {"requests": 1}
        assert recorded.page().value(ACTIVE) == 0.0

    @pytest.mark.parametrize("status", [200, b"200 OK", None, []])
    def test_a_status_that_is_no_text_is_for_the_server_to_refuse(self, recorded: Recording, status: Any) -> None:
        """A lenient one takes it."""
        assert call(answering(status)) == b"a"
        assert failures.counts() == {"requests": 1}
        assert recorded.page().value(ACTIVE) == 0.0

    def test_the_status_stays_what_was_sent_with_what_was_written(self, recorded: Recording) -> None:
        """By `write`; what is raised after that, the client never hears of."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [])(b"a")
            raise LookupError

        with pytest.raises(LookupError):
            call(app)
        assert outcome(recorded) == labels("unmatched", "200", error="LookupError")

    def test_what_is_no_exc_info_is_for_the_server_to_refuse(self, recorded: Recording) -> None:
        """A lenient one looks only whether there is any, and the status is recorded."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("503 Service Unavailable", [], ValueError("down"))
            return [b"a"]

        assert call(app) == b"a"
        assert failures.counts() == {"requests": 1}
        assert recorded.page().value(COUNT, http_response_status_code="503") == 1.0


class TestSpans:
    @pytest.fixture
    def spans(self, recorded: Recording) -> InMemorySpanExporter:
        """Return where finished spans are."""
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        recorded.runtime.trace_with(Tracing(provider))
        self.tracer = provider.get_tracer("users")
        return exporter

    def streaming(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer in parts, and begin a span while doing so."""
        if environ[MARK] is not None:
            environ[MARK].route = "/users/<user>"
        start_response("200 OK", [])
        with self.tracer.start_as_current_span("ours"):
            yield b"a"

    def test_a_request_is_one_span_by_the_stable_conventions(self, spans: InMemorySpanExporter) -> None:
        """A body that streams is within it, and no query: secrets travel in it."""
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        call(
            self.streaming,
            environ(
                "/users/Zo\u00c3\u00ab", HTTP_TRACEPARENT=parent, HTTP_HOST="shop.test:8443", HTTP_USER_AGENT="curl/8"
            ),
        )

        ours, server = spans.get_finished_spans()
        assert ours.parent == server.context
        assert (server.name, server.kind) == ("GET /users/<user>", SpanKind.SERVER)
        assert server.parent is not None
        assert trace.format_trace_id(server.parent.trace_id) == "0af7651916cd43dd8448eb211c80319c"
        assert dict(server.attributes or {}) == {
            "http.request.method": "GET",
            "url.scheme": "http",
            "url.path": "/users/Zoë",
            "network.protocol.version": "1.1",
            "server.address": "shop.test",
            "server.port": 8443,
            "user_agent.original": "curl/8",
            "http.route": "/users/<user>",
            "http.response.status_code": 200,
        }
        assert not trace.get_current_span().get_span_context().is_valid

    def test_nothing_of_a_probe_is_traced(self, spans: InMemorySpanExporter) -> None:
        """Down to the last call it makes."""

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            with self.tracer.start_as_current_span("ours"):
                start_response("200 OK", [])
            return [b""]

        call(app, environ("/healthz"))

        assert spans.get_finished_spans() == ()

    def test_a_body_may_be_closed_in_another_thread(self, spans: InMemorySpanExporter) -> None:
        """Nothing is said of a context that is not that thread's."""
        body: Any = contextvars.copy_context().run(serve, self.streaming, environ(), ignore)
        assert list(body) == [b"a"]

        closing = threading.Thread(target=body.close)
        closing.start()
        closing.join()

        assert [span.name for span in spans.get_finished_spans()] == ["ours", "GET /users/<user>"]
        assert sum(failures.counts().values()) == 0

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first to last", "last to first"])
    def test_what_another_thread_closed_is_not_current_for_ever(
        self, spans: InMemorySpanExporter, order: tuple[int, int]
    ) -> None:
        """The thread that served it has nothing current again as soon as it has served another."""

        def serving() -> trace.Span:
            bodies: list[Any] = [serve(self.streaming, environ(), ignore) for _ in range(2)]
            for number in order:
                closing = threading.Thread(target=bodies[number].close)
                closing.start()
                closing.join()
            last: Any = serve(self.streaming, environ(), ignore)
            last.close()
            return trace.get_current_span()

        assert contextvars.copy_context().run(serving) is trace.INVALID_SPAN
        assert len(spans.get_finished_spans()) == 3
