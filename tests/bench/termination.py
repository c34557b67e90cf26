"""What SIGTERM takes along: `python tests/bench/termination.py`. Requests to a service, then the signal at once.

variants: ours and others' under uvicorn; with a collector that answers, the spans that never arrive, and with one that
refuses connections, the seconds until the process has ended.
servers: ours under every server, not instrumented, and with a collector that answers, refuses connections, or takes
everything and answers nothing; medians of some rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

import results
from cases import CASES, Variant, database, python_of
from process_cost import launched
from sink import Answers, Sink

REQUESTS = 201
ROUNDS = 5
SPANS = {"span": 1, "distro": 3, "native": 4, "ddtrace": 1}
"""Spans, or traces, that each variant makes of a request."""
DEADLINE = 30.0
"""Seconds until a service that does not answer, or does not end, is given up."""
_UVICORN = ("uvicorn", "fastapi_site:app", "--port", "{port}", "--log-level", "error")
_GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "--no-control-socket", "--workers", "2")
_GRANIAN = ("granian", "--port", "{port}", "--workers", "2", "--interface")
_UWSGI = ("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "flask_site:app", "--disable-logging")
_GRACEFULLY = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
SERVERS = {
    "uvicorn": _UVICORN,
    "uvicorn, 2 workers": (*_UVICORN, "--workers", "2"),
    "gunicorn, sync": (*_GUNICORN, "flask_site:app"),
    "gunicorn, gthread": (*_GUNICORN, "--threads", "4", "flask_site:app"),
    "gunicorn, gevent": (*_GUNICORN, "-k", "gevent", "flask_site:app"),
    "gunicorn, its own asgi": (*_GUNICORN, "-k", "asgi", "fastapi_site:app"),
    "gunicorn, uvicorn's worker": (*_GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "fastapi_site:app"),
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:{port}", "--workers", "2", "fastapi_site:app"),
    "granian, ASGI": (*_GRANIAN, "asgi", "fastapi_site:app"),
    "granian, WSGI": (*_GRANIAN, "wsgi", "flask_site:app"),
    "uWSGI": (*_UWSGI, "--virtualenv", "{prefix}", "--master", "--processes", "2", *_GRACEFULLY),
}
"""Of two workers each, where not said otherwise."""
_SERVERS = "servers"
"""The virtual environment that has them."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="variants, servers; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of each server ({ROUNDS})")
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    chosen = options.parts or ["variants", "servers"]
    if "variants" in chosen:
        rows = [_said(of_variant(variant)) for variant in SPANS]
        if options.write:
            results.write("termination", rows, key=("application", "variant"))
    if "servers" in chosen:
        rows = [_said(of_server(server, options.rounds)) for server in SERVERS]
        if options.write:
            results.write("servers", rows, key=("server",))


def _said(row: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(row), flush=True)  # noqa: T201 -- a script's output
    return row


def of_variant(name: str) -> dict[str, Any]:
    """Return what becomes of spans under uvicorn."""
    variant, made = CASES["fastapi"][name], REQUESTS * SPANS[name]
    arrived, up = terminated(variant, _UVICORN, Answers.TAKEN)
    _, down = terminated(variant, _UVICORN, None)
    row = {"application": "fastapi", "variant": name, "made": made, "lost": made - arrived}
    return {**row, "seconds, up": round(up, 2), "seconds, down": round(down, 2)}


def of_server(name: str, rounds: int) -> dict[str, Any]:
    """Return what becomes of our spans under a server, and how long its end takes."""
    ours = Variant("ours", _SERVERS, CASES["fastapi"]["span"].bootstrap, environ=CASES["fastapi"]["span"].environ)
    cases = {
        "bare": (Variant("not instrumented", _SERVERS), Answers.TAKEN),
        "up": (ours, Answers.TAKEN),
        "down": (ours, None),
        "black hole": (ours, Answers.NOTHING),
    }
    ends = {
        case: [terminated(variant, SERVERS[name], sink) for _ in range(rounds)]
        for case, (variant, sink) in cases.items()
    }
    made = REQUESTS * rounds
    seconds = {f"seconds, {case}": round(statistics.median(took for _, took in each), 2) for case, each in ends.items()}
    return {"server": name, "made": made, "lost": made - sum(arrived for arrived, _ in ends["up"]), **seconds}


def terminated(variant: Variant, server: tuple[str, ...], answers: Answers | None) -> tuple[int, float]:
    """Return the spans that arrived from a service that was told to end, and the seconds that it took.

    Args:
        variant: how it is instrumented.
        server: the command that starts it.
        answers: what its collector does; None: it refuses connections.
    """
    port = _free_port()
    with ExitStack() as stack:
        file = stack.enter_context(database())
        sink = stack.enter_context(Sink(answers or Answers.TAKEN))
        url = sink.url if answers else f"http://127.0.0.1:{_free_port()}"
        launcher, environ = launched(variant, file, url, [])
        bin_ = python_of(variant).parent
        arguments = [each.format(port=port, prefix=bin_.parent) for each in server[1:]]
        for variable in ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
            environ.pop(variable, None)  # as a service has them by default
        environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = str(_free_port())
        # What is launched without arguments is Python; the server's script stands in its place.
        command = [*launcher[:-1], str(bin_ / server[0]), *arguments]
        with subprocess.Popen(
            command,
            env=environ,
            cwd=file.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                _ask(port)
                process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(DEADLINE)
                seconds = time.monotonic() - began
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # workers that outlive their parent as well
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
