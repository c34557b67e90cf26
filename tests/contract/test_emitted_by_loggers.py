"""What the loggers of real servers' workers emit, added up over them, as an operator sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

FLASK = """
import logging
import logging.config

from flask import Flask

logging.getLogger("shop").error("while it is loaded, in a process that serves nobody")
logging.config.dictConfig({
    "version": 1,
    "handlers": {"own": {"class": "logging.StreamHandler"}},
    "loggers": {"shop": {"handlers": ["own"], "propagate": False}},
})
app = Flask(__name__)


@app.get("/logs")
def logs():
    logging.getLogger("shop").error("the basket is gone")
    logging.getLogger("shop").warning("it is late")
    return ""


@app.get("/fails")
def fails():
    raise LookupError


@app.get("/healthz")
def healthz():
    return ""
"""

FASTAPI = """
import logging

from fastapi import FastAPI

app = FastAPI()


@app.get("/logs")
async def logs() -> None:
    logging.getLogger("shop").error("the basket is gone")
    logging.getLogger("shop").warning("it is late")


@app.get("/fails")
async def fails() -> None:
    raise LookupError


@app.get("/healthz")
async def healthz() -> None:
    pass
"""


@pytest.mark.parametrize(
    ("server", "arguments", "source"),
    [("gunicorn", ("--workers", "2", "--preload"), FLASK), ("uvicorn", ("--workers", "2"), FASTAPI)],
    ids=["gunicorn", "uvicorn"],
)
def test_records_of_all_workers_are_one_number(
    service: Callable[..., Service], until: Callable[..., object], server: str, arguments: tuple[str, ...], source: str
) -> None:
    """From zero on, once each, whoever's logger it is: the service's, or that of what serves it."""
    checkout = service(*arguments, server=server, source=source).ready(2)
    begun = checkout.page().find("quarterdeck_log_records_total")
    counts = {each.labels["log_severity"]: each.value for each in begun}
    assert counts == {"WARN": 0.0, "ERROR": 0.0, "FATAL": 0.0}

    for _ in range(20):
        assert checkout.get("/logs")[0] == 200
    assert checkout.get("/fails")[0] == 500

    def records() -> tuple[float, float]:
        page = checkout.page()
        found = [page.value("quarterdeck_log_records_total", log_severity=each) for each in ("ERROR", "WARN")]
        return found[0], found[1]

    until(lambda: records() == (21.0, 20.0), "all records on the page")
    assert checkout.value("quarterdeck_instrumentation_failures_total") == 0.0


def test_a_service_that_does_without_has_no_series(service: Callable[..., Service]) -> None:
    """None at all, not one that stays at zero: a rollout has to know that it sees nothing."""
    checkout = service(QUARTERDECK_LOG_RECORDS="off").ready(1)

    assert checkout.page().find("quarterdeck_log_records_total") == []
    assert checkout.page().find("quarterdeck_build_info") != []
