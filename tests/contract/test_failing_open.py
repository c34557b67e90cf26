"""Whatever fails around it, a service answers as without us: nothing waits, memory is bounded, each loss is counted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import free_port

from quarterdeck_instrumentation.exposition.collector import Collector
from quarterdeck_instrumentation.exposition.snapshot import Snapshot
from quarterdeck_instrumentation.exposition.store import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUESTS = 10_000
"""During which memory must not grow."""
GROWTH = 3 << 20
"""Bytes it may grow all the same: the acceptance says 3 MB."""
ENDLESS = 10.0
"""Seconds: an end that is not bounded by the flush timeout, of one second, takes longer than that."""
DRIVER = Path(__file__).with_name("failing_driver.py")
CLOSED = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n%b\r\n"


def answer_of(status: bytes, headers: bytes = b"") -> Callable[[socket.socket], None]:
    """Return what answers each post with a status."""
    return lambda client: client.sendall(CLOSED % (status, headers))


def black_hole(client: socket.socket) -> None:
    """Read, and never answer."""
    client.settimeout(30)
    with suppress(OSError):
        while client.recv(1 << 16):
            pass


def dribble(client: socket.socket) -> None:
    """Answer a byte at a time, and never all of them."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.1)


def garbage(client: socket.socket) -> None:
    """Answer what is no HTTP, nor TLS."""
    client.sendall(bytes(range(256)) * 8)


def endless(client: socket.socket) -> None:
    """Answer with a body that has no end."""
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    while True:
        client.sendall(b"x" * (1 << 16))


def endless_head(client: socket.socket) -> None:
    """Answer with a header that has no end."""
    client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        client.sendall(b"x" * (1 << 16))


class Listener:
    """What listens where a collector should, and does something else."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.settimeout(60)
            if self._behave is not black_hole:
                client.recv(1 << 20)
            self._behave(client)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


@pytest.fixture
def port_of() -> Iterator[Callable[[Any], int]]:
    """Return a function that starts a collector which behaves so, and returns its port."""
    with ExitStack() as stack:

        def start(behave: Any) -> int:
            if behave == "refused":
                return free_port()
            if behave == "dropped":
                return _full(stack)
            listening = Listener(behave)
            stack.callback(listening.close)
            return listening.port

        yield start


def _full(stack: ExitStack) -> int:
    """Return the port of a socket whose queue is full: the kernel drops who wants to connect to it."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        with suppress(BlockingIOError):
            waiting.connect(listener.getsockname())
    return int(listener.getsockname()[1])


class Driven:
    """A service that was driven while something failed."""

    def __init__(self, folder: Path, awaited: str = "", broken: str = "", **environ: str) -> None:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
        settings = {
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port()),
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "QUARTERDECK_METRICS_DIR": str(folder / "metrics"),
            **environ,
        }
        done = subprocess.run(
            [sys.executable, DRIVER, str(REQUESTS), awaited, broken],
            env={**inherited, **settings},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        self.report: dict[str, Any] = json.loads(done.stdout)

    def is_unaffected(self) -> None:
        """Require that every answer was right, nothing waited, memory is bounded, and all was said once."""
        assert self.report["answered"] is True
        assert self.report["calls"] == []
        assert self.report["grown"] <= GROWTH
        assert len(self.report["said"]) == len(set(self.report["said"]))
        assert self.report["ended"] < ENDLESS

    def said(self, part: str) -> int:
        """Return how many lines were said that contain *part*."""
        return sum(part in line for line in self.report["said"])


@pytest.mark.parametrize(
    ("behave", "said", "scheme"),
    [
        ("refused", "cannot be reached (ConnectionRefusedError)", "http"),
        ("dropped", "cannot be reached (TimeoutError)", "http"),
        (black_hole, "cannot be reached (TimeoutError)", "http"),
        (dribble, "spans are dropped", "http"),
        (answer_of(b"400 Bad Request"), "answers 400", "http"),
        (answer_of(b"404 Not Found"), "answers 404", "http"),
        (answer_of(b"429 Too Many Requests", b"Retry-After: 3600\r\n"), "answers 429", "http"),
        (answer_of(b"429 Too Many Requests", b"Retry-After: Soon \xff\r\n"), "answers 429", "http"),
        (answer_of(b"500 Oops"), "answers 500", "http"),
        (answer_of(b"503 Busy"), "answers 503", "http"),
        (garbage, "cannot be reached (BadStatusLine)", "http"),
        (garbage, "cannot be reached (SSLError)", "https"),
        (endless, "answers 400", "http"),
        (endless_head, "cannot be reached (LineTooLong)", "http"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_collector(tmp_path: Path, port_of: Callable[[Any], int], behave: Any, said: str, scheme: str) -> None:
    """That is not there, does not answer, or not as a collector: spans are lost and counted, and nothing else."""
    driven = Driven(tmp_path, said, OTEL_EXPORTER_OTLP_ENDPOINT=f"{scheme}://127.0.0.1:{port_of(behave)}")

    driven.is_unaffected()
    assert driven.said(said) == 1
    assert driven.report["counts"]["traces"] > 0
    assert set(driven.report["counts"]) == {"traces"}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("disk full", "cannot be written down"),
        ("folder removed", ""),
        ("no more files", ""),
    ],
)
def test_a_machine(tmp_path: Path, broken: str, said: str) -> None:
    """Without disk, folder or file descriptors: the values stay in memory, and are all there when it is mended."""
    driven = Driven(tmp_path, said, broken)

    driven.is_unaffected()
    assert driven.report["counted"] >= REQUESTS + 4000
    if said:
        assert driven.said(said) == 1
        assert driven.report["counts"]["store"] > 0


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The page shows this worker alone, and it is said why."""
    driven = Driven(tmp_path, QUARTERDECK_METRICS_DIR="/proc/quarterdeck")

    driven.is_unaffected()
    assert driven.said("there is no folder to share") == 1
    assert driven.report["counted"] >= REQUESTS + 4000


@pytest.mark.parametrize(
    ("broken", "counted"),
    [
        ("processor raises at the start", True),
        ("processor raises at the end", True),
        ("sampler raises", True),
        ("exporter raises", False),
        ("exporter hangs", False),
    ],
)
def test_a_services_own_telemetry(tmp_path: Path, broken: str, counted: bool) -> None:  # noqa: FBT001 -- pytest's way
    """What it brings may raise or hang: requests are answered and measured, and the end does not wait for it."""
    driven = Driven(tmp_path, broken=broken)

    driven.is_unaffected()
    assert driven.report["counted"] >= REQUESTS + 4000
    assert (
        driven.report["counts"].get("traces", 0) + driven.report["counts"].get("requests", 0) >= REQUESTS
    ) is counted


def test_a_full_disk_leaves_one_of_the_two_files_whole(tmp_path: Path) -> None:
    """However often the write is tried: else a worker that is then killed would leave nothing at all."""
    program = (
        "import resource, sys\n"
        "from contextlib import suppress\n"
        "from quarterdeck_instrumentation.exposition.snapshot import encode\n"
        "from quarterdeck_instrumentation.exposition.store import Folder, Pair\n"
        "pair = Pair(sys.argv[1], 'worker-1')\n"
        "pair.write(encode(1, b'', b''))\n"
        "pair.write(encode(2, b'', b''))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, -1))\n"
        "for sequence in range(3, 7):\n"
        "    with suppress(OSError):\n"
        "        pair.write(encode(sequence, b'', bytes(800)))\n"
        "print(Folder(sys.argv[1]).read('worker-1').sequence)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "2\n"


def test_totals_that_cannot_be_read_at_this_moment_are_not_begun_anew(tmp_path: Path) -> None:
    """As without a file descriptor to be had: the page is late, and no counter on it goes backwards."""
    (tmp_path / "totals").mkdir()
    with pytest.raises(OSError, match="totals"):
        Collector(Folder(str(tmp_path)), "worker-1", Snapshot)
