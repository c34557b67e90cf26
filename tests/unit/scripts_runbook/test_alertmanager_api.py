"""Alertmanager is asked once, with a deadline; what is no list of alerts is not taken for silence."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.adapters.alertmanager import AlertmanagerApi
from quarterdeck_scripts.kube.client import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering(status: int, body: str, *, held: threading.Event | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer to everything; give the URL and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if held:
                held.wait(30)
            self.send_response(status)
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has given up: that is a test's point
                self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        if held:
            held.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_alerts_are_told_as_they_come() -> None:
    """Silenced and inhibited ones too: who looks for a page wants them all."""
    alert = {"labels": {"alertname": "A"}, "annotations": {}}

    with answering(200, json.dumps([alert])) as (url, asked):
        assert AlertmanagerApi(url).alerts() == [alert]

    assert asked == ["/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"]


@pytest.mark.parametrize(
    ("status", "body"), [(200, "<html>"), (200, "{}"), (200, "[1]"), (200, ""), (500, "[]"), (302, "[]")]
)
def test_what_is_no_list_of_alerts_is_an_error(status: int, body: str) -> None:
    """A proxy's page or a failing server does not mean that nothing fires."""
    with answering(status, body) as (url, _), pytest.raises(QuarterdeckError, match="a list of alerts from") as caught:
        AlertmanagerApi(url).alerts()

    assert caught.value.exit_code == 1


def test_a_silent_server_is_given_up() -> None:
    """With the way around it: the alert from standard input."""
    with answering(200, "[]", held=threading.Event()) as (url, _), pytest.raises(UnreachableError, match="for-alert -"):
        AlertmanagerApi(url, timeout=0.2).alerts()


def test_nobody_listening_is_unreachable() -> None:
    """The address is named."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can be there
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=url):
            AlertmanagerApi(url).alerts()
