"""Servers on loopback, for benches and tests that run several of them: addresses, waiting, ending, asking."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

DEADLINE = 200.0
"""Seconds that anything may take on a busy machine."""


class Asked:
    """A server that speaks Prometheus' HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_ready(self) -> bool:
        """Return whether it answers."""
        return httpx.get(f"{self.url}/-/ready", timeout=10).is_success

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def values(self, query: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the values of an instant query by their *labels*."""
        found = self.get("query", query=query)["result"]
        return {tuple(each["metric"].get(label, "") for label in labels): float(each["value"][1]) for each in found}


@contextmanager
def process(log: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* until the end of the block, what it says appended to *log*."""
    with log.open("ab") as output:
        popen = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output)
    try:
        yield popen
    finally:
        end(popen)


def end(popen: subprocess.Popen[bytes]) -> None:
    """End a process: at its own pace for half a minute, then at once."""
    popen.terminate()
    try:
        popen.wait(30)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Wait until *condition* is true; connections that are refused are not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass  # not listening yet
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)


def addresses(count: int, ports: Iterable[int]) -> list[str]:
    """Return *count* loopback addresses of which none of *ports* is taken."""
    wanted = tuple(ports)
    start = os.getpid() % 200
    found = []
    for number in range(250):
        address = f"127.{110 + number % 100}.{(start + number) % 250 + 1}.1"
        if all(_is_free(address, port) for port in wanted):
            found.append(address)
        if len(found) == count:
            return found
    raise AssertionError("no free loopback address")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind((address, port))
        except OSError:
            return False
        return True
