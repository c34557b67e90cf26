"""A FastAPI service of one asynchronous route; `BENCH_SETUP` adds the few lines that some peers ask for in code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastapi import FastAPI

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

_SETUP = os.environ.get("BENCH_SETUP", "")

_TELEMETRY: dict[str, TelemetryConfig] = {
    "one-span": {"operation_spans": False},
    "silent": {"tracing": False, "metrics": False, "logs": False},
}

app = FastAPI(telemetry=_TELEMETRY[_SETUP]) if _SETUP in _TELEMETRY else FastAPI()
if _SETUP == "prometheus":
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app)


@app.get("/items/{item}")
async def item(item: int) -> dict[str, int]:
    """Say which item was asked for."""
    return {"item": item}
