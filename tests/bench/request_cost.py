"""What instrumentation adds to a FastAPI request, in instructions: `python tests/bench/request_cost.py`.

Instructions, counted by callgrind around an in-process driver, because they repeat within 1.2 % where CPU time on a
shared machine does not resolve such margins. Each variant is run twice, with few requests and with many; the
difference, divided by the requests between them, leaves start-up out. One write of the values is in it, none of the
server and none of the kernel. Needs valgrind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from quarterdeck_instrumentation.runtime import Runtime

FEW, MANY = 576, 2112
"""Requests of the two runs: enough that nothing is met for the first time in the difference, and that one more or one
less full garbage collection, some ten million instructions, does not show in it."""

VARIANTS = {
    "bare": "FastAPI as it comes, its own telemetry unconfigured",
    "metrics": "request metrics",
    "unsampled": "request metrics, and spans of which none is sampled",
    "span": "request metrics, one span encoded for OTLP, exemplars",
    "child": "the same, and a child span of ten attributes in each request",
    "sdk": "request metrics, one span with the OpenTelemetry SDK, exemplars; export not encoded",
}


def main() -> None:
    """Drive one variant, or measure all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("variants", nargs="*", default=list(VARIANTS), metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--drive", type=int, metavar="N", help="send N requests to one variant, uncounted")
    options = parser.parse_args()
    if options.drive:
        drive(options.variants[0], options.drive)
        return
    bare = measure("bare")
    print(f"{'variant':<10} {'k instr/req':>11} {'added':>7}  what")  # noqa: T201 -- a script's output
    for variant in options.variants:
        cost = bare if variant == "bare" else measure(variant)
        print(f"{variant:<10} {cost / 1000:>11.1f} {(cost - bare) / 1000:>+7.1f}  {VARIANTS[variant]}")  # noqa: T201 -- likewise


def measure(variant: str) -> float:
    """Return the instructions of one request of *variant*."""
    return (_instructions(variant, MANY) - _instructions(variant, FEW)) / (MANY - FEW)


def drive(variant: str, requests: int) -> None:
    """Send *requests* requests to an application instrumented as *variant* says."""
    with ExitStack() as stack:
        runtime = _instrument(variant, stack)
        asyncio.run(_serve(_application(variant), requests))
        if runtime is not None:
            runtime.write()


def _instructions(variant: str, requests: int) -> int:
    with tempfile.NamedTemporaryFile() as out:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}"]
        done = subprocess.run(
            [*tool, sys.executable, __file__, variant, "--drive", str(requests)],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=True,
        )
    counted = re.search(r"Collected : (\d+)", done.stderr)
    if counted is None:
        raise SystemExit(done.stderr)
    return int(counted[1])


def _instrument(variant: str, stack: ExitStack) -> Runtime | None:
    if variant == "bare":
        return None
    from quarterdeck_instrumentation import activate  # noqa: PLC0415 -- the bare variant must not have it
    from quarterdeck_instrumentation.testing import recording  # noqa: PLC0415 -- likewise

    activate()
    runtime = stack.enter_context(recording()).runtime
    if variant == "sdk":
        runtime.trace_with(_sdk())
    elif variant != "metrics":
        tracing = _lean(sampled=variant != "unsampled")
        runtime.trace_with(tracing)
        stack.callback(tracing.flush, 600.0)
    return runtime


def _lean(*, sampled: bool) -> Any:
    from quarterdeck_instrumentation.spans.provider import LeanProvider  # noqa: PLC0415 -- only these variants pay for it
    from quarterdeck_instrumentation.spans.sampling import Sampling  # noqa: PLC0415 -- likewise
    from quarterdeck_instrumentation.spans.sender import Sender  # noqa: PLC0415 -- likewise
    from quarterdeck_instrumentation.tracing import Tracing  # noqa: PLC0415 -- likewise

    def post(body: bytes, deadline: float) -> None:
        """Take it: a post costs the same for a few spans and for many."""

    sender = Sender(lambda: post, queue=2048, batch=512, delay=5.0, timeout=10.0)
    provider = LeanProvider(sender, Sampling(1 << 64 if sampled else 0, parent_based=True))
    trace.set_tracer_provider(provider)
    return Tracing(provider)


def _sdk() -> Any:
    from opentelemetry.sdk.trace import TracerProvider, export  # noqa: PLC0415 -- only this variant pays for it

    from quarterdeck_instrumentation.tracing import Tracing  # noqa: PLC0415 -- likewise

    class Nowhere(export.SpanExporter):
        def export(self, spans: Any) -> export.SpanExportResult:
            del spans
            return export.SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(Nowhere()))
    return Tracing(provider)


def _application(variant: str) -> Any:
    from fastapi import FastAPI  # noqa: PLC0415 -- after activation, as in a service

    app = FastAPI()
    tracer = trace.get_tracer("users")
    attributes = {f"user.attribute.{number}": f"value {number}" for number in range(10)}

    @app.get("/items/{item}")
    async def item(item: int) -> dict[str, int]:
        if variant == "child":
            with tracer.start_as_current_span("child", attributes=attributes):
                return {"item": item}
        return {"item": item}

    return app


async def _serve(app: Any, requests: int) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        """Take it."""

    headers = [(b"host", b"checkout:8080"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    for _ in range(requests):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8080),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "method": "GET",
            "root_path": "",
            "path": "/items/7",
            "raw_path": b"/items/7",
            "query_string": b"",
            "headers": headers,
            "state": {},
        }
        await app(scope, receive, send)


if __name__ == "__main__":
    main()
