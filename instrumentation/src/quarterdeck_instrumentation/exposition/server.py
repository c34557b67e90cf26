"""Serves `/metrics` from whichever worker is elected; a small HTTP server of its own, so that none is imported.

All workers wait for one lock. Who gets it binds the port and serves; when its process ends, however it ends, the
kernel gives the lock to the next. So only one of us ever asks for the port, and a port that is taken is taken by a
stranger: that is said once, counted, and asked for again until it is free.
"""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.exposition.page import Format, negotiate, render
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_instrumentation.exposition.collector import Collector, Sum

PATH = "/metrics"
"""Where the page is."""
_RETRY = 0.5
"""Seconds between two attempts to get a taken port, and after an unexpected failure."""
_RELEASE = 0.02
"""Seconds between two attempts at first: a killed process lets go of its locks just before its sockets."""
_TIDY = 5.0
"""Seconds without a scrape after which ended workers are folded all the same, so that files do not pile up."""
_PATIENCE = 5.0
"""Seconds a client may take to send its request, and again to take its answer."""
_REQUEST_LIMIT = 16 * 1024
"""Bytes of a request that are read. Prometheus sends about 400."""
_CLIENTS = 16
"""Connections served at once; more are closed. Two Prometheus servers and a person make three."""


class PageServer:
    """The thread that waits to be elected, then serves the page until the process ends."""

    def __init__(
        self,
        address: tuple[str, int] | None,
        elect: Callable[[], object],
        collector: Callable[[], Collector],
        *,
        created: bool,
    ) -> None:
        """Serve on *address* once *elect* returns; then *collector* makes what is asked for each page.

        Args:
            address: host and port; None: there is no such page, but the ended workers are folded all the same.
            elect: blocks until this process may serve.
            collector: called once, after the election: the last owner has ended by then.
            created: whether OpenMetrics pages have `_created` lines.
        """
        self._address = address
        self._elect = elect
        self._make_collector = collector
        self._created = created
        self._listener: Any = None
        self._lock = native.lock()
        self._clients = _CLIENTS
        self._counting = native.lock()

    def start(self) -> None:
        """Start the thread. It never ends by itself and never keeps the process from ending."""
        native.start_thread(self._run, "quarterdeck-page")

    def abandon(self) -> None:
        """Close the inherited listening socket, in a forked child that does not serve."""
        if self._listener is not None:
            self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                self._elect()
                collector = self._make_collector()
                if self._address is None:
                    self._tidy(collector)
                else:
                    self._listener = self._listen(*self._address)
                    self._serve(self._listener, collector)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the service goes on and we try again
                failed("page", "the metrics page stopped and starts again", error)
                self.abandon()
            native.sleep(_RETRY)

    @staticmethod
    def _tidy(collector: Collector) -> None:
        while True:
            collector.fold()
            native.sleep(_TIDY)

    @staticmethod
    def _listen(host: str, port: int) -> Any:
        patient_until = time.monotonic() + _RETRY
        while True:
            try:
                listener = native.listen(host, port)
            except OSError as error:
                if time.monotonic() < patient_until:
                    native.sleep(_RELEASE)
                    continue
                failed("page", f"the metrics page cannot listen on {host}:{port}; it tries again until it can", error)
                native.sleep(_RETRY)
            else:
                listener.settimeout(_TIDY)
                return listener

    def _serve(self, listener: Any, collector: Collector) -> None:
        while True:
            try:
                client = native.accept(listener)
            except TimeoutError:
                with self._lock:
                    collector.fold()
                continue
            if self._clients < 1:
                client.close()
                continue
            self._count(-1)
            try:
                native.start_thread(partial(self._answer, client, collector), "quarterdeck-scrape")
            except RuntimeError as error:  # no more threads to be had
                self._count(1)
                client.close()
                failed("page", "a metrics page could not be served", error)

    def _count(self, clients: int) -> None:
        with self._counting:
            self._clients += clients

    def _answer(self, client: Any, collector: Collector) -> None:
        try:
            with closing(client):
                client.settimeout(_PATIENCE)
                head = _read_head(client)
                if head is not None:
                    client.sendall(self._response(head, collector))
        except OSError:
            return  # the client went away or was too slow: its own affair
        except Exception as error:  # noqa: BLE001 -- one bad page must not end the server
            failed("page", "a metrics page could not be made", error)
        finally:
            self._count(1)

    def _response(self, head: str, collector: Collector) -> bytes:
        request, _, headers = head.partition("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path != PATH:
            return _message(404, "Not Found", "text/plain; charset=utf-8", f"The metrics are at {PATH}\n".encode())
        if method not in ("GET", "HEAD"):
            return _message(405, "Method Not Allowed", "text/plain; charset=utf-8", b"GET or HEAD\n")
        form = negotiate(_header(headers, "accept"))
        body = self._page(collector, form)
        return _message(200, "OK", form.value, body, head_only=method == "HEAD")

    def _page(self, collector: Collector, form: Format) -> bytes:
        with self._lock:
            return text(*collector.collect(), form, created=self._created).encode()


def text(metrics: Iterable[Metric], sums: Iterable[Sum], form: Format, *, created: bool) -> str:
    """Return the whole page, and let requests have the interpreter between two pieces of it; see `render`."""
    pieces: list[str] = []
    for piece in render(metrics, sums, form, created=created):
        pieces.append(piece)
        native.sleep(0)
    return "".join(pieces)


def _read_head(client: Any) -> str | None:
    """Return a request's head without its blank line; None when it is none."""
    data = b""
    deadline = time.monotonic() + _PATIENCE
    while b"\r\n\r\n" not in data:
        if len(data) > _REQUEST_LIMIT or time.monotonic() > deadline:
            return None
        received = client.recv(4096)
        if not received:
            return None
        data += received
    return data.partition(b"\r\n\r\n")[0].decode("latin-1")


def _header(headers: str, name: str) -> str:
    """Return the value of the header *name* (lower case), all its lines joined as HTTP allows."""
    found = []
    for line in headers.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            found.append(value.strip())
    return ",".join(found)


def _message(status: int, reason: str, content_type: str, body: bytes, *, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        # One request a connection: a scraper that kept it open would hang on to a worker that has ended.
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else body)
