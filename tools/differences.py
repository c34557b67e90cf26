"""Where a server span of ours says something else than OpenTelemetry's own instrumentations do, and why.

Theirs are asked for the stable conventions. `tests/contract/test_differences_from_upstream.py` sends the same requests
to the same applications under both, and fails on a difference that is not listed and on one that no longer exists.
"""

from __future__ import annotations

from typing import NamedTuple

NOTHING = "(none)"
"""What stands for an attribute that is not there."""
RELEASE = "0.66b1"
"""Release of the instrumentations compared with."""

ASGI = ("ASGI", "FastAPI", "Starlette")
WSGI = ("WSGI", "Flask", "Falcon", "Pyramid", "Django")
BOTH = ("Django (ASGI)", "aiohttp.server", "Tornado")
ALL = (*ASGI, *WSGI, *BOTH)


class Difference(NamedTuple):
    """One difference, in every framework it occurs in."""

    what: str
    """An attribute's name, or a span's: `name`, `status`, `description of the status`, `parent`, `events`; or `span`,
    whether there is one; or `other spans`, how many there are beside the server's."""
    theirs: str
    """What they say: an example."""
    ours: str
    """What ours say of the same request."""
    frameworks: tuple[str, ...]
    reason: str


DIFFERENCES = (
    Difference(
        "other spans",
        "2",
        "0",
        ASGI,
        "A span for each message that is sent or received costs more than the request's own and says less.",
    ),
    Difference(
        "url.query",
        "token=secret",
        NOTHING,
        ALL,
        "Secrets travel in query strings, and there is no telling which parameters they are in.",
    ),
    Difference(
        "url.full",
        "http://shop.test/items/7",
        NOTHING,
        ("Pyramid", "Tornado"),
        "An attribute of clients: the conventions give a server `url.scheme`, `url.path` and `server.address`.",
    ),
    Difference(
        "client.address",
        "192.0.2.1",
        NOTHING,
        tuple(name for name in ALL if name != "aiohttp.server"),
        "An address is personal data, and behind a proxy it is the proxy's.",
    ),
    Difference(
        "client.port",
        "some port",
        NOTHING,
        tuple(name for name in ALL if name not in ("aiohttp.server", "Tornado")),
        "As `client.address`; the conventions do not ask for it.",
    ),
    Difference(
        "network.peer.address",
        "127.0.0.1",
        NOTHING,
        ("Tornado",),
        "As `client.address`.",
    ),
    Difference(
        "network.protocol.version",
        "HTTP/1.1",
        "1.1",
        ("Tornado",),
        "The version alone, as the conventions spell it.",
    ),
    Difference(
        "server.address",
        "127.0.0.1:8000",
        "shop.test",
        (*ASGI, "Django (ASGI)"),
        "The `Host` header is what the client asked for, as the conventions have it, not the socket behind a proxy.",
    ),
    Difference(
        "server.port",
        "8000",
        "80",
        tuple(name for name in ALL if name not in BOTH[1:]),
        "As `server.address`: the port that the client asked for.",
    ),
    Difference("server.port", NOTHING, "80", ("Tornado",), "As `server.address`: always with its port."),
    Difference(
        "http.response.status_code",
        NOTHING,
        "500",
        ("ASGI", "WSGI", "Starlette", "aiohttp.server"),
        "An exception that escapes is answered with 500 by the server, outside the application.",
    ),
    Difference(
        "error.type",
        NOTHING,
        "LookupError",
        ("ASGI", "Starlette"),
        "The exception is the reason, though it escaped.",
    ),
    Difference(
        "error.type",
        "500",
        "LookupError",
        ("Flask", "Falcon", "Django", "Django (ASGI)", "Tornado"),
        "The exception is the reason, though the framework made a response of it: the status is said anyway.",
    ),
    Difference(
        "events",
        "['exception']",
        "[]",
        ("ASGI", "WSGI", "Starlette", "Flask", "Pyramid", "Django", *BOTH),
        "An exception belongs in the log, as the conventions now have it; its text may be anybody's, and secret.",
    ),
    Difference(
        "description of the status",
        "LookupError: lost",
        "",
        ("ASGI", "WSGI", "Starlette", "Flask", "Pyramid", "Django", *BOTH),
        "The conventions want none where `error.type` and the status code say it; an exception's text may be secret.",
    ),
    Difference(
        "name",
        "GET /items/7",
        "GET",
        ("ASGI", "WSGI", "Flask"),
        "Without a route the name is the method alone: a path would be a name for each of a scanner's requests.",
    ),
    Difference(
        "name",
        "BREW /items/{item}",
        "HTTP /items/{item}",
        ("Starlette", "Falcon"),
        "A method that nobody knows is `HTTP` in the name, so that clients cannot make names.",
    ),
    Difference(
        "name",
        "/items/{item}",
        "GET /items/{item}",
        ("Pyramid",),
        "Method and route, as the conventions have it.",
    ),
    Difference(
        "name",
        "GET items/<int:item>",
        "GET /items/<int:item>",
        ("Django", "Django (ASGI)"),
        "As `http.route`.",
    ),
    Difference("name", "GET /items/{item}", "GET /items/{1}", ("Tornado",), "As `http.route`."),
    Difference(
        "name",
        "HTTP /sockets/{room}",
        "GET /sockets/{room}",
        ("FastAPI", "Starlette"),
        "A WebSocket begins with a GET.",
    ),
    Difference(
        "http.request.method",
        NOTHING,
        "GET",
        ("FastAPI", "Starlette"),
        "A WebSocket begins with a GET.",
    ),
    Difference(
        "url.scheme",
        "ws",
        "http",
        ("FastAPI", "Starlette"),
        "A WebSocket is opened over HTTP, and the contract's label has no other scheme.",
    ),
    Difference(
        "http.route",
        "items/<int:item>",
        "/items/<int:item>",
        ("Django", "Django (ASGI)"),
        "Routes begin with a slash in every framework, so that services in two of them can be compared.",
    ),
    Difference("http.route", NOTHING, "/items/{1}", ("Tornado",), "The route that matched is known."),
    Difference("http.route", "", NOTHING, ("aiohttp.server",), "There is none, which is not one that is empty."),
    Difference(
        "quarterdeck.module",
        NOTHING,
        "__main__",
        ("Falcon", "Pyramid", "aiohttp.server", "Tornado"),
        "The part of the service that the route belongs to; elsewhere only where the service has named parts.",
    ),
    Difference("falcon.resource", "Item", NOTHING, ("Falcon",), "`http.route` and `quarterdeck.module` say it."),
    Difference(
        "tornado.handler",
        "tornado.web.ErrorHandler",
        NOTHING,
        ("Tornado",),
        "`http.route` and `quarterdeck.module` say it.",
    ),
    Difference(
        "span",
        NOTHING,
        "HTTP /items/{1}",
        ("Tornado",),
        "A request by a method that Tornado refuses is a request as well.",
    ),
)
