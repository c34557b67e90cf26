"""Prometheus over HTTP, against servers that answer well, badly, slowly and not at all."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_scripts.adapters.prometheus import PrometheusApi, parse_result
from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.ports import Answer, AnswerError, Exemplar, Series

if TYPE_CHECKING:
    from collections.abc import Iterator

MATRIX = {"resultType": "matrix", "result": [{"metric": {"pod": "a"}, "values": [[1.5, "2"], [2.5, "NaN"]]}]}


@contextmanager
def server(
    body: bytes | object, status: int = 200, drip: float = 0.0
) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """Serve *body* (JSON unless bytes) to every question; yield the URL and the questions' fields."""
    asked: list[dict[str, list[str]]] = []
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.append({"path": [self.path], **parse_qs(self.rfile.read(length).decode())})
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for byte in data if drip else ():
                if stopping.wait(drip):
                    return
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
            if not drip:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gave up is what is tested
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}", asked
    finally:
        stopping.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def test_a_matrix_is_read_with_its_times() -> None:
    """Raw samples come as they were sent, NaN included; the question carries its time and deadline."""
    with server({"status": "success", "data": MATRIX, "warnings": ["partial"]}) as (url, asked):
        answer = PrometheusApi(url, timeout=5).query("up[1m]", at=12.25)

    assert repr(answer) == repr(Answer((Series({"pod": "a"}, ((1.5, 2.0), (2.5, float("nan")))),), ("partial",)))
    assert asked == [{"path": ["/api/v1/query"], "query": ["up[1m]"], "timeout": ["5000ms"], "time": ["12.250"]}]


@pytest.mark.parametrize(
    ("data", "series"),
    [
        (
            {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [3, "4"]}]},
            (Series({"a": "b"}, ((3.0, 4.0),)),),
        ),
        ({"resultType": "scalar", "result": [3, "4"]}, (Series({}, ((3.0, 4.0),)),)),
        ({"resultType": "vector", "result": []}, ()),
    ],
)
def test_vectors_and_scalars_are_series_of_one_sample(data: object, series: tuple[Series, ...]) -> None:
    """One shape for all answers."""
    with server({"status": "success", "data": data}) as (url, _):
        assert PrometheusApi(url).query("x").series == series


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>Sign in</html>", 200),
        (b"", 200),
        (b"\xff\xfe", 200),
        ({"status": "error", "error": "bad query"}, 200),
        ({"status": "success", "data": MATRIX}, 503),
        ({"status": "success"}, 200),
        ([], 200),
        ({"status": "success", "data": {"resultType": "streams", "result": []}}, 200),
        ({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}}]}}, 200),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, 2]}]}}, 200),
        ({"status": "success", "data": {"resultType": "vector", "result": {"metric": 1}}}, 200),
        ({"status": "success", "data": MATRIX, "warnings": 7}, 200),
        (b'{"status": "success", "data": {"resultType": "scalar", "result": [NaN, "1"]}}', 200),
        (
            {
                "status": "success",
                "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[2, "1"], [1, "1"]]}]},
            },
            200,
        ),
    ],
)
def test_whatever_is_no_answer_is_named(body: object, status: int) -> None:
    """HTML with 200, errors, other shapes: never an empty result."""
    with server(body, status) as (url, _), pytest.raises(AnswerError):
        PrometheusApi(url).query("x")


EXEMPLARS = [
    {
        "seriesLabels": {"pod": "a", "le": "0.25"},
        "exemplars": [
            {"labels": {"trace_id": "0af7"}, "value": "0.2", "timestamp": 12.5},
            {"labels": {"order": "17"}, "value": "0.1", "timestamp": 13},
        ],
    }
]


def test_exemplars_that_name_a_trace_are_read() -> None:
    """Each with its counter's labels; what leads to no trace is left out, and none at all is no error."""
    with server({"status": "success", "data": EXEMPLARS}) as (url, asked):
        found = PrometheusApi(url).exemplars('x{pod="a"}', 10, 20.5)
    with server({"status": "success", "data": None}) as (url, _):
        nothing = PrometheusApi(url).exemplars("x", 10, 20)

    assert found == (Exemplar({"pod": "a", "le": "0.25"}, "0af7", 0.2, 12.5),)
    assert nothing == ()
    assert asked == [
        {"path": ["/api/v1/query_exemplars"], "query": ['x{pod="a"}'], "start": ["10.000"], "end": ["20.500"]}
    ]


@pytest.mark.parametrize("data", [[{}], [{"seriesLabels": {}, "exemplars": [{"labels": {"trace_id": "a"}}]}], 7])
def test_exemplars_of_another_shape_are_refused(data: object) -> None:
    """They are evidence too."""
    with server({"status": "success", "data": data}) as (url, _), pytest.raises(AnswerError, match="another shape"):
        PrometheusApi(url).exemplars("x", 0, 1)


def test_a_redirect_is_not_followed() -> None:
    """A login page elsewhere is no Prometheus."""
    with server(b"", 302) as (url, _), pytest.raises(AnswerError, match="HTTP 302"):
        PrometheusApi(url).query("x")


def test_nobody_there_is_unreachable() -> None:
    """A refused connection is no answer."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="to answer within"):
            PrometheusApi(url).query("x")


def test_a_server_that_drips_is_given_up() -> None:
    """The deadline is for the whole answer, not between two bytes."""
    with (
        server({"status": "success", "data": MATRIX}, drip=0.05) as (url, _),
        pytest.raises(UnreachableError, match=r"within 0\.3 s"),
    ):
        PrometheusApi(url, timeout=0.3).query("x")


def test_a_url_that_is_none_is_unreachable() -> None:
    """A facts ConfigMap with nonsense in it is an error with a next step, not a traceback."""
    with pytest.raises(UnreachableError):
        PrometheusApi("http://[nonsense").query("x")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resultType", "result", "metric", "value", "values", "vector", "matrix"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_document_is_read_or_refused(document: object) -> None:
    """No shape of JSON makes the reader fail in a way that is not caught."""
    for kind in ("matrix", "vector", "scalar", "string"):
        try:
            series = parse_result({"resultType": kind, "result": document})
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        assert all(isinstance(value, float) for each in series for _, value in each.samples)
