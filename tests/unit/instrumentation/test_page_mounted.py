"""The metrics page inside the service: truthful in whichever worker answers, and never measured itself."""

from __future__ import annotations

import asyncio
import gzip
import threading
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from flask import Flask
from httpx import ASGITransport, AsyncClient, Response
from starlette.routing import Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from quarterdeck_contract import metrics
from quarterdeck_instrumentation import asgi, failures, metrics_asgi_app, metrics_wsgi_app, mount, wsgi
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.exposition.reader import Reader, UnreadableError
from quarterdeck_instrumentation.exposition.snapshot import Snapshot
from quarterdeck_instrumentation.exposition.store import Folder, Pair
from quarterdeck_instrumentation.registry import Registry
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.testing import parse, recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = "http_server_request_duration_seconds_count"


class TestAnswers:
    """One answer, by the request's method and headers."""

    @pytest.fixture(autouse=True)
    def _recorded(self) -> Iterator[None]:
        with recording():
            yield

    def test_a_get_is_the_page(self) -> None:
        """As the plain format, unless another is asked for."""
        status, headers, body = mount.answer("GET")
        assert status == 200
        assert dict(headers)["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert dict(headers)["Content-Length"] == str(len(body))
        assert parse(body.decode()).value("quarterdeck_workers") == 1.0

    def test_a_scraper_may_prefer_openmetrics(self) -> None:
        """As the page on its own port, by the Accept header."""
        _, headers, body = mount.answer("GET", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        assert dict(headers)["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert body.endswith(b"# EOF\n")

    def test_it_is_compressed_if_asked(self) -> None:
        """By gzip, and said so."""
        _, headers, body = mount.answer("GET", accept_encoding="deflate, gzip")
        assert dict(headers)["Content-Encoding"] == "gzip"
        assert dict(headers)["Vary"] == "Accept, Accept-Encoding"
        assert parse(gzip.decompress(body).decode()).value("quarterdeck_workers") == 1.0

    @pytest.mark.parametrize(
        ("header", "accepted"),
        [("gzip", True), ("br, GZIP ; q=0.1", True), ("gzip;q=0", False), ("gzip; q=0.000", False), ("br", False)],
    )
    def test_a_coding_can_be_refused(self, header: str, accepted: bool) -> None:  # noqa: FBT001 -- pytest's way
        """As HTTP has it, by quality nought."""
        assert mount.accepts_gzip(header) is accepted

    def test_a_head_is_the_same_without_the_page(self) -> None:
        """Its length included, but for what the page counts meanwhile."""
        status, headers, body = mount.answer("HEAD")
        assert status == 200
        assert int(dict(headers)["Content-Length"]) > 1000
        assert body == b""

    def test_nothing_else_can_be_done_to_it(self) -> None:
        """And it says what can."""
        status, headers, _ = mount.answer("POST")
        assert status == 405
        assert dict(headers)["Allow"] == "GET, HEAD"

    def test_metrics_that_are_turned_off_have_no_page(self) -> None:
        """The service has mounted it all the same, so it says why."""
        with recording(Settings(metrics_page=False)):
            status, _, body = mount.answer("GET")
        assert status == 503
        assert b"turned off" in body


def ask(app: Any, *requests: tuple[str, str]) -> list[Response]:
    """Return an ASGI application's responses to requests by method and path."""

    async def responses() -> list[Response]:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://service") as client:
            return [await client.request(method, path) for method, path in requests]

    return asyncio.run(responses())


class TestMounted:
    """In frameworks and servers; what asks for the page is not measured."""

    def test_in_an_asgi_service(self) -> None:
        """As a route of Starlette's, or a mount."""
        app = FastAPI(routes=[Route("/metrics", metrics_asgi_app)])
        app.mount("/internal", metrics_asgi_app)

        @app.get("/items/{item}")
        async def item(item: int) -> int:
            return item

        with recording() as recorded:
            asked = [("GET", "/items/1"), ("GET", "/metrics"), ("GET", "/internal/"), ("HEAD", "/metrics")]
            item_1, page, mounted, head, refused = ask(asgi.Instrumented(app), *asked, ("POST", "/metrics"))
            statuses = [each.status_code for each in (item_1, page, mounted, head, refused)]
            assert statuses == [200, 200, 200, 200, 405]
            assert head.text == ""
            assert page.headers["content-encoding"] == "gzip"
            assert parse(page.text).value(COUNT) == parse(mounted.text).value(COUNT) == 1.0
            assert recorded.page().value(COUNT) == 1.0
            assert recorded.page().value("http_server_active_requests") == 0.0

    def test_in_a_wsgi_service(self) -> None:
        """Beside it, by werkzeug's dispatcher."""
        app = Flask(__name__)
        app.add_url_rule("/items", view_func=lambda: "items")
        both = wsgi.Instrumented(DispatcherMiddleware(app, {"/metrics": metrics_wsgi_app}))

        with recording() as recorded:
            client = Client(both)
            assert client.get("/items", buffered=True).status_code == 200
            page = client.get("/metrics", buffered=True)
            assert page.status_code == 200
            assert client.put("/metrics", buffered=True).status_code == 405

            assert parse(page.text).value(COUNT) == 1.0
            assert recorded.page().value(COUNT) == 1.0
            assert recorded.page().value("http_server_active_requests") == 0.0

    def test_a_server_that_asks_for_another_protocol_hears_so(self) -> None:
        """A lifespan, for one: servers take the exception for a no."""

        async def ask() -> None:
            await metrics_asgi_app({"type": "lifespan"}, None, None)

        with pytest.raises(ValueError, match="serves HTTP, not lifespan"):
            asyncio.run(ask())


def worker(folder: Path, name: str, requests: int, sequence: int = 1) -> Pair:
    """Return the open files of a worker that served *requests*; it lives in them until they are closed."""
    pair = Pair(str(folder), name)
    rewrite(pair, requests, sequence)
    return pair


def rewrite(pair: Pair, requests: int, sequence: int) -> None:
    """Have a worker write that it served *requests*."""
    registry = Registry(10)
    registry.cell(metrics.FAILURES, "page").add(requests)
    registry.cell(metrics.WORKERS).set(1.0)
    pair.write(snapshot.encode(sequence, *registry.snapshot()))


def value(reader: Reader, metric: metrics.Metric = metrics.FAILURES) -> float:
    """Return a metric as it is on the page."""
    _, sums = reader.collect()
    return sum(each.numbers[0] for each in sums if each.metric.name == metric.name)


class Interrupted(Folder):
    """A folder in which something happens between two reads of a reader."""

    def __init__(self, path: str, *, after_listing: Any = None, after_reading: Any = None) -> None:
        super().__init__(path)
        self._after = {"listing": after_listing, "reading": after_reading}

    def workers(self) -> list[str]:
        """List, and let it happen."""
        found = super().workers()
        self._happen("listing")
        return found

    def read(self, worker: str, known: Any = None) -> Any:
        """Read, and let it happen."""
        found = super().read(worker, known)
        self._happen("reading")
        return found

    def _happen(self, when: str) -> None:
        happens, self._after[when] = self._after[when], None
        if happens is not None:
            happens()


class Lively(Interrupted):
    """A folder whose workers live: this process's own locks do not tell."""

    def lives(self, worker: str) -> bool:
        """Say that it does."""
        return bool(worker)


def in_another_process(folder: Path, do: str) -> None:
    """Fold what has ended in *folder* from a process of its own: locks are between processes."""
    import subprocess  # noqa: PLC0415 -- few tests need it
    import sys  # noqa: PLC0415 -- likewise

    program = (
        "from quarterdeck_instrumentation.exposition.collector import Collector\n"
        "from quarterdeck_instrumentation.exposition.snapshot import Snapshot\n"
        "from quarterdeck_instrumentation.exposition.store import Folder\n"
        f"Collector(Folder({str(folder)!r}), 'worker-elected', Snapshot).{do}()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class TestAnyWorker:
    """A worker that was not elected shows the same, and changes nothing."""

    @pytest.fixture(autouse=True)
    def _forget(self) -> Iterator[None]:
        failures.forget()
        yield
        failures.forget()

    def test_the_ended_are_counted_before_and_after_they_are_folded(self, tmp_path: Path) -> None:
        """Once each time; and only the elected worker folds them."""
        ended = worker(tmp_path, "worker-1", 5)
        ended.close()
        reader = Reader(Folder(str(tmp_path)), "worker-own", Snapshot)
        assert value(reader) == 5.0
        assert value(reader, metrics.WORKERS) == 0.0
        assert (tmp_path / "worker-1.a").exists()

        in_another_process(tmp_path, "fold")
        assert not (tmp_path / "worker-1.a").exists()
        assert value(reader) == 5.0

    @pytest.mark.parametrize("when", ["after_listing", "after_reading"])
    def test_a_fold_in_the_middle_counts_nobody_twice_and_drops_nobody(self, tmp_path: Path, when: str) -> None:
        """Whether it comes before the worker was read, or after."""
        worker(tmp_path, "worker-1", 5).close()
        folder = Interrupted(str(tmp_path), **{when: lambda: in_another_process(tmp_path, "fold")})
        assert value(Reader(folder, "worker-own", Snapshot)) == 5.0

    def test_a_worker_that_ends_and_is_folded_after_it_was_read_counts_once(self, tmp_path: Path) -> None:
        """It was taken for one that lives, and is in the totals by now."""
        pair = worker(tmp_path, "worker-1", 5)

        def end() -> None:
            pair.close()
            in_another_process(tmp_path, "fold")

        folder = Lively(str(tmp_path), after_reading=end)
        assert value(Reader(folder, "worker-own", Snapshot)) == 5.0

    def test_values_that_are_gone_are_no_page_either(self, tmp_path: Path) -> None:
        """Of a worker that had some, and is in no totals."""
        pair = worker(tmp_path, "worker-1", 5)
        reader = Reader(Lively(str(tmp_path)), "worker-own", Snapshot)
        assert value(reader) == 5.0
        for file in tmp_path.glob("worker-1*"):
            file.write_bytes(b"")
        with pytest.raises(UnreadableError):
            value(reader)
        pair.close()

    def test_a_first_write_that_is_under_way_is_no_damage(self, tmp_path: Path) -> None:
        """One file is empty still, the other half written: the worker has said nothing yet."""
        (tmp_path / "worker-1.a").write_bytes(b"")
        (tmp_path / "worker-1.b").write_bytes(b"QDSNAP")
        assert value(Reader(Lively(str(tmp_path)), "worker-own", Snapshot)) == 0.0
        assert failures.counts() == {}

    def test_two_folds_in_the_middle_are_noticed(self, tmp_path: Path) -> None:
        """The totals name only those folded last, so all is read again."""
        worker(tmp_path, "worker-1", 5).close()

        def twice() -> None:
            in_another_process(tmp_path, "fold")
            worker(tmp_path, "worker-2", 7).close()
            in_another_process(tmp_path, "fold")

        folder = Interrupted(str(tmp_path), after_reading=twice)
        assert value(Reader(folder, "worker-own", Snapshot)) == 12.0

    def test_what_cannot_be_read_is_no_page(self, tmp_path: Path) -> None:
        """Rather than one whose counters went backwards: said once, counted, and over when it can be read again."""
        pair = worker(tmp_path, "worker-1", 5)
        reader = Reader(Folder(str(tmp_path)), "worker-own", Snapshot)
        for file in tmp_path.glob("worker-1*"):
            file.write_bytes(b"scribble")
        with pytest.raises(UnreadableError):
            value(reader)
        assert failures.counts() == {"page": 1}

        rewrite(pair, 6, sequence=2)
        rewrite(pair, 6, sequence=3)
        assert value(reader) == 6.0
        pair.close()

    def test_no_counter_goes_backwards_while_workers_come_and_go(self, tmp_path: Path) -> None:
        """Through some hundred pages, with another process folding all the time."""
        stop = threading.Event()

        def fold() -> None:
            while not stop.is_set():
                in_another_process(tmp_path, "fold")

        folding = threading.Thread(target=fold)
        folding.start()
        try:
            readers = [Reader(Folder(str(tmp_path)), f"worker-own{n}", Snapshot) for n in range(4)]
            shown = array("d")
            for number in range(150):
                worker(tmp_path, f"worker-{number}", 1).close()
                shown.extend(value(reader) for reader in readers)
        finally:
            stop.set()
            folding.join()

        assert list(shown) == [float(number // 4 + 1) for number in range(600)]
        assert failures.counts() == {}
