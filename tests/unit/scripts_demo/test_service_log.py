"""The service's own log is counted line by line, with the time each count was true."""

from __future__ import annotations

import doctest
import time
from typing import TYPE_CHECKING

from quarterdeck_scripts.demo import service_log
from quarterdeck_scripts.demo.service_log import Logged, ServiceLog, count

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'INFO:     127.0.0.1:4711 - "POST /carts/7/pay HTTP/1.1" 200 OK\n'
BAD = b'INFO:     127.0.0.1:4711 - "POST /carts/8/pay HTTP/1.1" 500 Internal Server Error\n'
PROBE = b'INFO:     127.0.0.1:4712 - "GET /healthz HTTP/1.1" 200 OK\n'


def until(log: ServiceLog, expected: Logged) -> None:
    """Wait until *log* says *expected*."""
    deadline = time.monotonic() + 60
    while log.at(time.time()) != expected:
        assert time.monotonic() < deadline, f"the log says {log.at(time.time())}"
        time.sleep(0.01)


def test_probes_and_other_lines_are_not_requests() -> None:
    """Only access lines of other paths count; a 4xx is no error of the server."""
    refused = BAD.replace(b"500", b"404")

    assert count(GOOD + BAD + PROBE + refused + b"Traceback: HTTP 500\n", "/healthz") == Logged(3, 1)


def test_a_line_is_counted_when_it_is_whole(tmp_path: Path) -> None:
    """Half a line waits for its other half."""
    file = tmp_path / "shop_checkout-canary-1" / "app.log"
    file.parent.mkdir()

    with ServiceLog(tmp_path, "shop_checkout-canary-*/*.log", health="/healthz") as log, file.open("ab", 0) as writer:
        writer.write(GOOD + BAD[:40])
        until(log, Logged(1, 0))
        writer.write(BAD[40:])
        until(log, Logged(2, 1))


def test_a_log_that_is_removed_keeps_what_it_said(tmp_path: Path) -> None:
    """A pod's folder goes with the pod; its requests stay counted, and the past stays as it was."""
    file = tmp_path / "shop_checkout-canary-1" / "app.log"
    file.parent.mkdir()

    with ServiceLog(tmp_path, "shop_checkout-canary-*/*.log", health="/healthz") as log:
        file.write_bytes(GOOD)
        until(log, Logged(1, 0))
        before = time.time()
        with file.open("ab", 0) as writer:
            file.unlink()
            writer.write(BAD)
        until(log, Logged(2, 1))

        assert log.at(before) == Logged(1, 0)
        assert log.at(0) == Logged(0, 0)


def test_the_log_of_the_canary_before_is_not_counted(tmp_path: Path) -> None:
    """Its folder may still be there: v2's failures once counted as v3's, and the demo ended with an error."""
    before = tmp_path / "shop_checkout-canary-1" / "app.log"
    before.parent.mkdir()
    before.write_bytes(BAD)

    with ServiceLog(tmp_path, "shop_checkout-canary-*/*.log", health="/healthz") as log:
        file = tmp_path / "shop_checkout-canary-2" / "app.log"
        file.parent.mkdir()
        file.write_bytes(GOOD)
        until(log, Logged(1, 0))


def test_the_examples_in_the_module_hold() -> None:
    """Docstring examples are executed."""
    assert doctest.testmod(service_log).failed == 0
