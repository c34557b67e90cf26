"""A Flask service of one route; `BENCH_SETUP` adds the few lines that some peers ask for in code."""

from __future__ import annotations

import os

from flask import Flask

app = Flask(__name__)
if os.environ.get("BENCH_SETUP") == "prometheus":
    from prometheus_flask_exporter import PrometheusMetrics

    PrometheusMetrics(app, group_by="url_rule")


@app.get("/items/<int:item>")
def item(item: int) -> dict[str, int]:
    """Say which item was asked for."""
    return {"item": item}
