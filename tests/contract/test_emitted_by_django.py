"""What a Django service emits is what the contract declares: under gunicorn by WSGI, and under uvicorn by ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.labels import UNMATCHED_ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "http_server_request_duration_seconds_count"

SOURCE = """
import os
import sys

import django
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="none", DATABASES={}, INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
)
django.setup()

from django.urls import include, path, re_path
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.viewsets import ViewSet


class Orders(ViewSet):
    def retrieve(self, request, pk):
        return Response({"order": pk})


def fails(request):
    raise LookupError


def streams(request):
    async def parts():
        yield b"a"
    return StreamingHttpResponse(iter([b"a"]) if hasattr(request, "environ") else parts())


router = DefaultRouter()
router.register("orders", Orders, basename="order")
shop = [
    path("items/<int:item>/", lambda request, item: HttpResponse(str(item))),
    path("v2/", include(router.urls)),
    re_path(r"^old/(?P<year>[0-9]{4})/$", lambda request, year: HttpResponse(year)),
]
urlpatterns = [
    path("shop/", include((shop, "shop"))),
    path("fails", fails),
    path("streams", streams),
    path("healthz", lambda request: HttpResponse()),
]

if os.environ.get("SERVED_BY") == "asgi":
    from django.core.asgi import get_asgi_application as application
else:
    from django.core.wsgi import get_wsgi_application as application
app = application()
"""
"""A service without one line of telemetry; routes are included, and of all three kinds."""

OUTCOMES = {
    ("/shop/items/<int:item>/", "200", None): 10.0,
    ("/shop/v2/orders/<pk>/", "200", None): 1.0,
    ("/shop/old/<year>/", "200", None): 1.0,
    ("/streams", "200", None): 1.0,
    ("/fails", "500", "LookupError"): 1.0,
    ("/shop/v2/", "200", None): 1.0,
    (UNMATCHED_ROUTE, "404", None): 1.0,
}
MODULES = {"/shop/v2/": "rest_framework", "/fails": "", "/streams": "", UNMATCHED_ROUTE: ""}
"""The application that the view is in; of all other routes, the namespace they are included under."""


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def checkout(request: pytest.FixtureRequest, lasting_service: Callable[..., Service]) -> Service:
    """Return a service of two workers that has answered by every route, and had none for one request."""
    server = {"wsgi": "gunicorn", "asgi": "uvicorn"}[request.param]
    running = lasting_service("--workers", "2", source=SOURCE, server=server, SERVED_BY=request.param).ready(2)
    for item in range(10):
        assert running.get(f"/shop/items/{item}/") == (200, str(item))
    assert running.get("/shop/v2/orders/7/")[1] == '{"order":"7"}'
    assert running.get("/shop/old/1999/") == (200, "1999")
    assert running.get("/shop/v2/")[0] == 200
    assert running.get("/streams") == (200, "a")
    assert running.get("/fails")[0] == 500
    assert running.get("/wp-admin.php")[0] == 404
    return running


def test_what_is_emitted_is_declared(
    checkout: Service, until: Callable[..., Page], keeps_the_contract: Callable[[Page], None]
) -> None:
    """Both ways, and every request of either worker is counted once; probes are not."""

    def whole() -> Page | None:
        page = checkout.page()
        return page if page.value(COUNT) == sum(OUTCOMES.values()) else None

    page = until(whole, "all requests on the page")

    keeps_the_contract(page)
    assert {
        (sample.labels["http_route"], sample.labels["http_response_status_code"], sample.labels.get("error_type")): (
            sample.value
        )
        for sample in page.find(COUNT)
    } == OUTCOMES
    assert {
        sample.labels["http_route"]: sample.labels.get("quarterdeck_module", "") for sample in page.find(COUNT)
    } == {route: MODULES.get(route, "shop") for route, _, _ in OUTCOMES}
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert page.value("http_server_active_requests") == 0.0
