"""The page that a service mounts: whichever of its workers answers, a real Prometheus sees one truth."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_instrumentation.testing import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service
    from tests.contract.scraping import Prometheus

COUNT = "http_server_request_duration_seconds_count"

FLASK = """
import os

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from quarterdeck_instrumentation import metrics_wsgi_app

app = Flask(__name__)
app.add_url_rule("/items/<item>", "item", view_func=lambda item: str(os.getpid()))
app.add_url_rule("/healthz", "healthz", view_func=lambda: "")
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": metrics_wsgi_app})
"""

FASTAPI = """
import os

from fastapi import FastAPI
from starlette.routing import Route

from quarterdeck_instrumentation import metrics_asgi_app

app = FastAPI(routes=[Route("/metrics", metrics_asgi_app)])


@app.get("/items/{item}")
def item(item: str) -> int:
    return os.getpid()


@app.get("/healthz")
def healthz() -> None:
    pass
"""

DJANGO = """
import os

from django.conf import settings
from django.http import HttpResponse

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="none", DATABASES={})

from django.core.wsgi import get_wsgi_application
from django.urls import path

from quarterdeck_instrumentation import metrics_django_view

urlpatterns = [
    path("metrics", metrics_django_view),
    path("items/<item>", lambda request, item: HttpResponse(str(os.getpid()))),
    path("healthz", lambda request: HttpResponse()),
]
app = get_wsgi_application()
"""


def page(checkout: Service) -> Any:
    """Return the page that some worker gives; None while there is none."""
    with suppress(OSError, HTTPException):
        status, text = checkout.get("/metrics")
        if status == 200:
            return parse(text)
    return None


def mounted(service: Callable[..., Service], until: Callable[..., Any], *arguments: str, **options: str) -> Service:
    """Return a service of four workers whose page is mounted alone."""
    checkout = service("--workers", "4", *arguments, QUARTERDECK_METRICS_SERVER="off", **options)
    until(lambda: (found := page(checkout)) and found.value("quarterdeck_workers") == 4.0, "four workers")
    return checkout


@pytest.mark.parametrize(
    ("server", "source", "arguments"),
    [
        ("gunicorn", FLASK, ["--threads", "2"]),
        ("gunicorn", DJANGO, []),
        ("uvicorn", DJANGO.replace("wsgi", "asgi"), []),
        ("uvicorn", FASTAPI, []),
    ],
    ids=["Flask", "Django", "Django under ASGI", "FastAPI"],
)
def test_every_worker_gives_the_same_page(
    service: Callable[..., Service], until: Callable[..., Any], server: str, source: str, arguments: list[str]
) -> None:
    """Mounted as each framework does it; the requests for it are on no page, and no port is opened."""
    checkout = mounted(service, until, *arguments, server=server, source=source)
    pids: list[str] = []

    def two_answered() -> bool:
        """Ask side by side: of an idle machine's workers one may always be the first to take a lone request."""
        with ThreadPoolExecutor(8) as clients:
            pids.extend(clients.map(lambda item: checkout.get(f"/items/{item}")[1], range(40)))
        return len(set(pids)) > 1

    until(two_answered, "an answer of a second worker")
    answered = float(len(pids))

    until(lambda: (found := page(checkout)) and found.value(COUNT) == answered, "every request on the page")
    for _ in range(40):
        found = page(checkout)
        assert found.value(COUNT) == answered
        assert found.value("quarterdeck_instrumentation_failures_total") == 0.0
    until(lambda: (found := page(checkout)) and found.value("http_server_active_requests") == 0.0, "no request running")
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", checkout.metrics_port, timeout=1).connect()


@pytest.mark.tools
def test_no_counter_goes_backwards_in_a_prometheus_that_asks_any_worker(
    service: Callable[..., Service], prometheus_of: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """While workers are killed, the elected one among them, under load."""
    checkout = mounted(service, until, server="gunicorn", source=FLASK)
    server = prometheus_of(checkout.port)
    sent = 0
    for _ in range(6):
        answered = 0
        while answered < 25:
            with suppress(OSError, HTTPException):  # of a worker that was just killed
                answered += checkout.get(f"/items/{sent}")[0] == 200
        sent += answered
        until(lambda sent=sent: (found := page(checkout)) and found.value(COUNT) >= sent, f"{sent} requests")
        victim = min(checkout.workers())
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: len(checkout.workers() - {victim}) == 4, "the worker's replacement")
    until(lambda: (found := page(checkout)) and found.value("quarterdeck_workers") == 4.0, "four workers")

    total = f"sum({COUNT})"
    last = page(checkout).value(COUNT)
    until(lambda: server.value(total) == last, "all requests in Prometheus")
    assert last >= sent
    for name in (COUNT, "process_cpu_time_seconds_total", "cpython_gc_collections_total"):
        assert server.value(f"max(resets({name}[5m]))") == 0.0, name
    assert page(checkout).value("quarterdeck_instrumentation_failures_total") == 0.0
