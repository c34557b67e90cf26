"""One probe, asked of a real server or process, and what is said about its answer."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.local.network import LOOPBACK
from quarterdeck_scripts.local.pods import health
from quarterdeck_scripts.local.pods.prober import ask
from quarterdeck_scripts.local.pods.processes import Launch
from quarterdeck_scripts.local.pods.waiting import first

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.pods.probes import Probe

CONTAINER = {"name": "main", "ports": []}


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Return how a command is run beside a container."""
    return Launch((), {"PATH": os.environ["PATH"], "WORD": "hello"}, tmp_path, tmp_path / "log", "test")


def _ask_server(answer: bytes, launch: Launch, *, limit: float = 60.0, delay: float = 0.0) -> tuple[bool, str, bytes]:
    """Probe a server that answers with *answer*; return the result and what the server was sent."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(delay)
            writer.write(answer)
        finally:
            writer.close()

    async def run() -> tuple[bool, str]:
        async with await asyncio.start_server(serve, LOOPBACK, 0) as server:
            port = server.sockets[0].getsockname()[1]
            headers = [{"name": "X-Probe", "value": "1"}]
            handler = {"httpGet": {"port": port, "path": "/healthz", "httpHeaders": headers}}
            return await ask(handler, CONTAINER, LOOPBACK, launch, limit)

    passed, message = asyncio.run(run())
    return passed, message, b"".join(asked)


@pytest.mark.parametrize(
    ("answer", "passed", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nfine", True, ""),
        (b"HTTP/1.1 399 Odd\r\n\r\n", True, ""),
        (b"HTTP/1.1 400 Bad\r\n\r\n", False, "HTTP probe failed with statuscode: 400"),
        (b"HTTP/1.0 503 Busy\r\n\r\nwait", False, "HTTP probe failed with statuscode: 503"),
    ],
)
def test_an_http_probe_passes_from_200_to_399(launch: Launch, answer: bytes, *, passed: bool, message: str) -> None:
    """What a person reads in the event is the kubelet's wording."""
    assert _ask_server(answer, launch)[:2] == (passed, message)


def test_an_http_probe_says_who_asks_and_with_what_headers(launch: Launch) -> None:
    """Services leave the kubelet's requests out of their logs by its name."""
    lines = _ask_server(b"HTTP/1.1 200 OK\r\n\r\n", launch)[2].decode().split("\r\n")

    assert lines[0] == "GET /healthz HTTP/1.1"
    assert {"User-Agent: kube-probe/1.36", "X-Probe: 1", "Connection: close"} <= {*lines}


def test_what_is_no_http_is_no_answer(launch: Launch) -> None:
    """A probe of the wrong port, for one."""
    passed, message, _ = _ask_server(b"SSH-2.0-OpenSSH\r\n", launch)

    assert not passed
    assert message.endswith(": malformed HTTP response")


def test_an_answer_that_comes_too_late_is_a_failure(launch: Launch) -> None:
    """With the limit in the message."""
    assert _ask_server(b"HTTP/1.1 200 OK\r\n\r\n", launch, limit=0.05, delay=5)[:2] == (
        False,
        "no answer within 0.05 s",
    )


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
def test_a_port_where_nobody_listens_refuses(launch: Launch, kind: str) -> None:
    """The message has the address."""
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))  # bound and not listening: nobody else can be there
        port = closed.getsockname()[1]

        passed, message = asyncio.run(ask({kind: {"port": port}}, CONTAINER, LOOPBACK, launch, 60))

    assert not passed
    assert f"{LOOPBACK}:{port}" in message
    assert message.endswith("connect: connection refused")


@pytest.mark.parametrize(
    ("command", "limit", "expected"),
    [
        (["sh", "-c", 'test "$WORD" = hello'], 30, (True, "")),
        (["sh", "-c", "echo broken; exit 2"], 30, (False, "broken")),
        (["no-such-program"], 30, (False, 'exec: "no-such-program": executable file not found in $PATH')),
        (["sleep", "60"], 0.2, (False, "no answer within 0.2 s")),
    ],
)
def test_a_command_probe_passes_with_exit_code_0(
    launch: Launch, command: list[str], limit: float, expected: tuple[bool, str]
) -> None:
    """It runs in the container's environment, and is killed when its time, *limit* seconds, is up."""
    assert asyncio.run(ask({"exec": {"command": command}}, CONTAINER, LOOPBACK, launch, limit)) == expected


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (
            {"grpc": {"port": 1}},
            "grpc is not supported by the local environment, which has httpGet, tcpSocket and exec",
        ),
        ({"httpGet": {"port": "web"}}, "Expected a port of the container main: it names none."),
    ],
)
def test_a_probe_that_can_not_be_asked_fails_and_says_why(launch: Launch, handler: Json, message: str) -> None:
    """A pod that never becomes ready must not be a riddle."""
    passed, found = asyncio.run(ask(handler, CONTAINER, LOOPBACK, launch, 1))

    assert not passed
    assert found.startswith(message)


class Told:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def started(self) -> None:
        """Note it."""
        self.words.append("started")

    def readiness(self, *, ready: bool) -> None:
        """Note it."""
        self.words.append("ready" if ready else "not ready")

    def unhealthy(self, probe: Probe, message: str) -> None:
        """Note it."""
        self.words.append(f"{probe.kind}: {message}")

    def failed(self, probe: Probe) -> None:
        """Note it."""
        self.words.append(f"{probe.kind} failed")


def _watched(container: Json, answers: str) -> list[str]:
    """Return what a listener is told while the probes are answered in turn, `+` and `-`; then it is cancelled."""
    told, left = Told(), list(answers)

    async def run() -> None:
        all_told = asyncio.Event()

        async def reply(probe: Probe) -> tuple[bool, str]:
            del probe
            if not left:
                all_told.set()
                await asyncio.Event().wait()
            return left.pop(0) == "+", "no"

        watching = asyncio.create_task(health.watch(container, reply, told))
        await first(watching, all_told.wait())
        watching.cancel()

    asyncio.run(run())
    return told.words


def test_without_probes_a_container_is_started_and_ready_at_once() -> None:
    """Nothing is known against it."""
    assert _watched({}, "") == ["started", "ready"]


def test_readiness_is_told_each_time_it_is_settled() -> None:
    """Each failing answer is told too."""
    probe = {"readinessProbe": {"periodSeconds": 0, "failureThreshold": 2}}

    assert _watched(probe, "-+--") == [
        "started",
        "Readiness: no",
        "ready",
        "Readiness: no",
        "Readiness: no",
        "not ready",
    ]


def test_a_startup_probe_holds_the_others_back_and_can_fail_the_container() -> None:
    """Only when it has passed is the container started."""
    probes = {"startupProbe": {"periodSeconds": 0, "failureThreshold": 2}}

    assert _watched(probes, "-+") == ["Startup: no", "started", "ready"]
    assert _watched(probes, "--") == ["Startup: no", "Startup: no", "Startup failed"]


def test_a_failing_liveness_probe_ends_the_watch() -> None:
    """The container is to end: nobody asks it any more."""
    probe = {"livenessProbe": {"periodSeconds": 0, "failureThreshold": 2}}

    assert _watched(probe, "+--+") == ["started", "ready", "Liveness: no", "Liveness: no", "Liveness failed"]
