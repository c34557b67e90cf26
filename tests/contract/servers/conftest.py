"""A service under any server, with us or without, and a client that knows what it was answered."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import free_port

from quarterdeck_instrumentation.exposition import session
from quarterdeck_instrumentation.testing import Page, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIN = Path(sys.executable).parent
COUNT = "http_server_request_duration_seconds_count"

ASGI = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def item(request):
    return PlainTextResponse(str(os.getpid()))

async def leave(request):
    with open("left", "w") as file:
        file.write(str(os.getpid()))
    os._exit(7)

def make():
    return Starlette(routes=[Route("/items/{item}", item), Route("/leave", leave)])

app = make()
"""
WSGI = """
import os
from flask import Flask

app = Flask(__name__)

@app.get("/items/<item>")
def item(item):
    return str(os.getpid())

@app.get("/leave")
def leave():
    with open("left", "w") as file:
        file.write(str(os.getpid()))
    os._exit(7)
"""
SOURCES = {"asgi": ASGI, "wsgi": WSGI}
"""The same service for either kind of server, without one line of telemetry."""
ROUTES = {"asgi": "/items/{item}", "wsgi": "/items/<item>"}
"""Template of its one route that counts."""


class Running:
    """A service that runs, from outside."""

    def __init__(self, folder: Path, kind: str, command: tuple[str, ...], until: Callable[..., Any]) -> None:
        """Make a service of *kind*, `asgi` or `wsgi`, to be started by *command*, where `{port}` is its port."""
        self.folder = folder
        self.base = folder / "metrics"
        self.route = ROUTES[kind]
        self.source = folder / "app.py"
        self.source.write_text(SOURCES[kind])
        self.port, self.page_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes]
        self.numbers: list[int] = []
        """Of the requests that were answered, in that order."""
        self.pids: set[int] = set()
        """Which processes answered."""
        self._log = folder / "log"
        self._command = [part.format(port=self.port) for part in command]
        self._until = until

    @property
    def answered(self) -> int:
        """How many requests were answered."""
        return len(self.numbers)

    @property
    def log(self) -> str:
        """What the service has said so far."""
        return self._log.read_text()

    def start(self, *launcher: str, **environ: str) -> Running:
        """Start it under *launcher*, with *environ* added."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
        own = {
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(self.page_port),
            "QUARTERDECK_METRICS_DIR": str(self.base),
            "QUARTERDECK_FLUSH_TIMEOUT": "10",  # a collector that answers does so late on a busy machine
            "OTEL_BSP_SCHEDULE_DELAY": "60000",  # nothing is sent before its end, or a full batch
        }
        programs = [str(BIN / each) for each in (*launcher, self._command[0])]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*programs, *self._command[1:]],
                cwd=self.folder,
                env={**kept, **own, **environ},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def instrumented(self, workers: int, **environ: str) -> Running:
        """Start it under `quarterdeck-instrument`, and wait until *workers* workers are on the page."""
        self.start("quarterdeck-instrument", **environ)
        return self.ready(workers)

    def ready(self, workers: int) -> Running:
        """Wait until *workers* workers are on the page."""
        self.wait_for(lambda: self.workers() == workers, f"{workers} workers on the page")
        return self

    def none_left_of(self, pids: set[int]) -> None:
        """Wait until these processes have ended."""
        self.wait_for(lambda: not any(map(lives, pids)), "the workers' end")

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """Return *condition*'s first true value; say what the service said if there is none in time."""
        try:
            return self._until(condition, what)
        except AssertionError as never:
            raise AssertionError(f"{never}; {self.log}") from None

    def listens(self) -> bool:
        """Say whether it takes connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def ask(self, path: str, port: int = 0) -> str | None:
        """Send one request on a connection of its own; return the answer, None when there was none.

        Once the server has ended the connection: until then its application may not have closed the answer.
        """
        connection = HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            with connection.sock.dup() as ended:
                response = connection.getresponse()
                body = response.read().decode()
                ended.recv(1)
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        return body if response.status == 200 else None

    def send(self, requests: int) -> None:
        """Send so many requests that count, one after the other, each until it is answered or the service ends."""
        for number in range(requests):
            self.wait_for(lambda number=number: self._item(number) or not self._goes_on(), "an answer")  # type: ignore[misc]  # a default binds the loop's number

    def leave(self) -> None:
        """Have one worker end itself, and wait for its end."""
        self.ask("/leave")
        self.wait_for(lambda: not lives(int((self.folder / "left").read_text())), "the worker's end")

    def all_answer(self, workers: int) -> None:
        """Send requests until so many workers have answered: then they can also be told to end.

        Side by side, if need be: of an idle machine's workers one may always be the first to take a lone request.
        """
        self.pids.clear()
        self.send(5 * workers)

        def answered() -> bool:
            if len(self.pids) < workers:
                with ThreadPoolExecutor(4 * workers) as clients:
                    list(clients.map(self._item, range(4 * workers)))
            return len(self.pids) >= workers

        self.wait_for(answered, f"answers of {workers} workers")

    def page(self) -> Page | None:
        """Return the page; None while nobody serves it."""
        text = self.ask("/metrics", self.page_port)
        return parse(text) if text is not None else None

    def workers(self) -> float:
        """Return how many workers are on the page."""
        assert self._goes_on(), self.log
        page = self.page()
        return page.value("quarterdeck_workers") if page is not None else 0.0

    def counted(self) -> float | None:
        """Return how many requests that count are on the page; None while nobody serves it."""
        page = self.page()
        return page.value(COUNT, http_route=self.route) if page is not None else None

    def counts(self) -> None:
        """Require every answered request to be on the page, and no other."""
        self.wait_for(lambda: self.counted() == self.answered, f"{self.answered} requests on the page")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send its main process a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return the exit status."""
        return self.process.wait(60)

    def kill(self) -> None:
        """End it and its workers without a word."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)

    def left(self) -> list[str]:
        """Return what is left in the folder of sessions."""
        return [each.name for each in self.base.iterdir()]

    def swept(self) -> Running:
        """Have done what the next start of anything does, a minute later: the folders of the dead are removed."""
        for each in self.base.iterdir():
            os.utime(each, (0, 0))
        session.sweep(str(self.base))
        return self

    def _goes_on(self) -> bool:
        """Say whether it runs, or another in its place."""
        return self.process.poll() is None or self.listens()

    def _item(self, number: int) -> bool:
        pid = self.ask(f"/items/{number}")
        if pid is not None:
            self.numbers.append(number)
            self.pids.add(int(pid))
        return pid is not None


def lives(pid: int) -> bool:
    """Say whether a process lives; one that has ended, and that its parent has not asked for, does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """Return a port that nobody listens on."""
    return free_port()


@pytest.fixture
def serving(tmp_path: Path, until: Callable[..., Any]) -> Iterator[Callable[..., Running]]:
    """Return a function that makes a service of a kind, to be started by a command; it is ended with the test."""
    made: list[Running] = []

    def make(kind: str, *command: str) -> Running:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Running(folder, kind, command, until))
        return made[-1]

    yield make
    for each in made:
        if hasattr(each, "process"):
            each.kill()
