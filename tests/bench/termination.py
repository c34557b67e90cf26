"""What SIGTERM takes along: `python tests/bench/termination.py`. Requests to uvicorn, then the signal at once.

With a collector that answers, the spans that never arrive; with one that refuses connections, the seconds until the
process has ended.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import results
from cases import CASES, database
from process_cost import launched
from sink import Sink

REQUESTS = 201
SPANS = {"span": 1, "distro": 3, "native": 4, "ddtrace": 1}
"""Spans, or traces, that each variant makes of a request."""
DEADLINE = 30.0
"""Seconds until a service that does not answer, or does not end, is given up."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", default=list(SPANS), help=", ".join(SPANS))
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    rows = []
    for variant in options.variants:
        arrived, seconds = terminated(variant, up=True)
        _, down = terminated(variant, up=False)
        made = REQUESTS * SPANS[variant]
        rows.append({"application": "fastapi", "variant": variant, "made": made, "lost": made - arrived})
        rows[-1] |= {"seconds, up": round(seconds, 2), "seconds, down": round(down, 2)}
        print(json.dumps(rows[-1]), flush=True)  # noqa: T201 -- a script's output
    if options.write:
        results.write("termination", rows, key=("application", "variant"))


def terminated(name: str, *, up: bool) -> tuple[int, float]:
    """Return the spans that arrived from a service that was told to end, and the seconds that it took."""
    port = _free_port()
    with database() as file, Sink() as sink:
        url = sink.url if up else f"http://127.0.0.1:{_free_port()}"
        arguments = ["-m", "uvicorn", "fastapi_site:app", "--port", str(port), "--log-level", "error"]
        command, environ = launched(CASES["fastapi"][name], file, url, arguments)
        for variable in ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
            environ.pop(variable, None)  # as a service has them by default
        environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = str(_free_port())
        with subprocess.Popen(command, env=environ, cwd=file.parent, stderr=subprocess.DEVNULL) as process:
            try:
                _ask(port)
                process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(DEADLINE)
                seconds = time.monotonic() - began
            finally:
                process.kill()
        return sink.spans, seconds


def _ask(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    answered = 0
    while answered < REQUESTS:
        try:
            connection.request("GET", "/items/7")
            connection.getresponse().read()
            answered += 1
        except (OSError, HTTPException):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
