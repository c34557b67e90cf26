"""A FastAPI service of one asynchronous route; `BENCH_SETUP` adds the few lines that some peers ask for in code."""

from __future__ import annotations

import os

from fastapi import FastAPI

_SETUP = os.environ.get("BENCH_SETUP", "")

app = FastAPI(telemetry={"operation_spans": False}) if _SETUP == "one-span" else FastAPI()
if _SETUP == "prometheus":
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app)


@app.get("/items/{item}")
async def item(item: int) -> dict[str, int]:
    """Say which item was asked for."""
    return {"item": item}
