"""What a Django request is called, however its routes are written; under WSGI and ASGI alike."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import django
import django.conf
import django.core.asgi
import django.core.wsgi
import django.test
import httpx
import pytest
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.http import require_GET

from quarterdeck_instrumentation import failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from quarterdeck_instrumentation.testing import Recording

COUNT = "http_server_request_duration_seconds_count"


def answers(_: Any, *__: Any, **___: Any) -> HttpResponse:
    """Answer."""
    return HttpResponse("a")


def fails(_: Any) -> HttpResponse:
    """Fail, as nobody expects."""
    raise LookupError


class Refuses:
    """A middleware that fails before any route is known."""

    def __init__(self, _: Any) -> None:
        """Take what would be called next, and forget it."""

    def __call__(self, _: Any) -> HttpResponse:
        """Fail."""
        raise PermissionError


shop = ([path("items/<int:item>/", answers, name="item")], "shop")
urlpatterns: list[Any] = [
    path("eu/", include(shop, namespace="eu")),
    path("us/", include(shop, namespace="us")),
    re_path(r"^old/(?P<year>[0-9]{4})/(?P<slug>[\w-]+)/$", answers),
    re_path(r"^unnamed/([0-9]+)/$", answers),
    re_path(r"^nested/(?:page-(?P<page>[0-9]+)/)?$", answers),
    path("<path:rest>.css", answers),
    path("only-get", require_GET(answers)),
    path("fails", fails),
]


@pytest.fixture(autouse=True, scope="module")
def _instrumented(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """Have a Django project in this process, if none is, and instrument Django."""
    if not django.conf.settings.configured:
        django.conf.settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="none")  # noqa: S106 -- no secret
        django.setup()
    urlpatterns.extend(i18n_patterns(path("about/<slug:page>/", answers)))  # which asks the project for its languages
    handlers = ("asgi", "base", "exception", "wsgi")
    with patched(*(f"django.core.handlers.{name}" for name in handlers)):
        yield


def send(server: str, where: str, method: str = "GET", middleware: list[str] | None = None) -> int:
    """Send one request to the project, and return the answer's status."""
    locale = ["django.middleware.locale.LocaleMiddleware"]
    chosen = {"ROOT_URLCONF": sys.modules[__name__], "MIDDLEWARE": locale if middleware is None else middleware}

    async def asynchronous() -> httpx.Response:
        transport = httpx.ASGITransport(django.core.asgi.get_asgi_application())
        async with httpx.AsyncClient(transport=transport, base_url="http://checkout") as client:
            return await client.request(method, where)

    with django.test.override_settings(**chosen):
        if server == "asgi":
            return asyncio.run(asynchronous()).status_code
        transport = httpx.WSGITransport(django.core.wsgi.get_wsgi_application())
        with httpx.Client(transport=transport, base_url="http://checkout") as client:
            return client.request(method, where).status_code


def outcome(recorded: Recording) -> tuple[str, str, str]:
    """Return route, status and error type of the one request there was."""
    (sample,) = recorded.page().find(COUNT)
    assert sample.value == 1.0
    assert sum(failures.counts().values()) == 0
    labels = sample.labels
    return labels["http_route"], labels["http_response_status_code"], labels.get("error_type", "")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("where", "route"),
    [
        ("/eu/items/7/", "/eu/items/<int:item>/"),
        ("/us/items/7/", "/us/items/<int:item>/"),
        ("/old/1999/a-b/", "/old/<year>/<slug>/"),
        ("/unnamed/7/", "/unnamed/<var>/"),
        ("/nested/page-7/", "/nested/"),
        ("/nested/", "/nested/"),
        ("/a/b/c.css", "/<path:rest>.css"),
        ("/en/about/us/", "/en/about/<slug:page>/"),
        ("/de/about/us/", "/de/about/<slug:page>/"),
    ],
)
def test_a_request_is_its_template(recorded: Recording, server: str, where: str, route: str) -> None:
    """With what inclusions put before it; a language's prefix is one of those that the project has."""
    assert send(server, where) == 200
    assert outcome(recorded) == (route, "200", "")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("where", ["/wp-admin.php", "/xx/about/us/", "/eu/items/seven/"])
def test_what_no_route_matches_is_one_value(recorded: Recording, server: str, where: str) -> None:
    """A language that the project does not have included."""
    assert send(server, where) == 404
    assert outcome(recorded) == ("unmatched", "404", "")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_wrong_method_keeps_the_route(recorded: Recording, server: str) -> None:
    """Django's views refuse methods, not its routes."""
    assert send(server, "/only-get", "POST") == 405
    assert outcome(recorded) == ("/only-get", "405", "")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_the_exception_that_django_made_a_response_of(recorded: Recording, server: str) -> None:
    """Django answers 500 by itself, and the cause is not lost."""
    assert send(server, "/fails") == 500
    assert outcome(recorded) == ("/fails", "500", "LookupError")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_middleware_that_fails_before_there_is_a_route(recorded: Recording, server: str) -> None:
    """Its exception is known, the route is not."""
    assert send(server, "/only-get", middleware=[f"{__name__}.Refuses"]) == 500
    assert outcome(recorded) == ("unmatched", "500", "PermissionError")
