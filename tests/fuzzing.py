"""Requests that nobody should send, from a seed: as ASGI scopes, as WSGI environs, and as bytes for a socket.

What is made is within what a server may hand on or a client may send; applications, however, may do anything.
"""

from __future__ import annotations

import random
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = (
    "GET",
    "GET",
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "OPTIONS",
    "QUERY",
    "get",
    "BREW",
    "X" * 3000,
    "GET\x00",
    "Ä",
    "",
)
PATHS = (
    *("/", "", "*", "/items/7", "/items/7", "/items/x", "/items/", "/fails", "/streams", "//items//7", "/healthz/"),
    *("/items/%00", "/items/\x00", "/\ud800", "/items/\udcff\udcfe", "/ä/ö", "/\u202e\U0001f4a9", "/items/7;a=b#c"),
    *("http://evil.test/items/7", "https://user:secret@evil.test:99999/", "/../../etc/passwd", "/" + "a" * 70_000),
)
HEADERS = (
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    (b"traceparent", b"00-00000000000000000000000000000000-0000000000000000-01"),
    (b"traceparent", b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"traceparent", b"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01"),
    (b"traceparent", b"00-zz-\xff\xfe-01"),
    (b"traceparent", b""),
    (b"traceparent", b"0" * 9000),
    (b"tracestate", b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    (b"tracestate", b"=,=,\xff=\xfe,,," + b"k=v," * 500),
    (b"tracestate", b"k=" + b"\xc3\x28" * 200),
    (b"baggage", b"user=%FF%FE,key=" + b"v" * 20_000),
    (b"baggage", b"=;=;=,,,%zz=%zz;%"),
    (b"host", b"checkout.test"),
    (b"host", b"checkout.test:99999999"),
    (b"host", b"[::1"),
    (b"host", b"\xff\xfe:80:80"),
    (b"host", b""),
    (b"user-agent", b"curl/8"),
    (b"user-agent", b"\xf0\x28\x8c\x28 \x00\x01"),
    (b"user-agent", b"m" * 60_000),
    (b"content-length", b"5"),
    (b"content-length", b"-1"),
    (b"content-length", b"1e9"),
    (b"content-type", b"text/plain; charset=\xff"),
    (b"content-type", b"multipart/form-data; boundary="),
    (b"forwarded", b'for="_\xff";proto=\xfe;host='),
    (b"x-forwarded-for", b"1.2.3.4, \xff, ::::1"),
    (b"x-forwarded-proto", b"gopher"),
    (b"accept", b"*/*;q=\xff"),
    (b"cookie", b"a=b; " * 2000),
    (b"", b""),
    (b"x-\xff", b"\x00\r\n"),
)
QUERIES = (b"", b"", b"a=1&token=secret", b"%ff%fe=%00", b"\xff\xfe\x00", b"&&&===" * 50, b"q=" + b"x" * 30_000)
STATUSES = (200, 200, 200, 204, 301, 304, 400, 404, 500, 502, 503, 100, 0, -1, 999, 10**6)
CLIENTS = (None, ("127.0.0.1", 50_000), ("::1", 1), ("", 0), ["10.0.0.1", 9], ("unix", None), ("\ud800", 70_000))
SERVERS = (None, ("checkout.test", 80), ("::", 8443), ("/run/app.sock", None), ["x", 0])

_ODD = 0.25
"""Share of raw requests whose method is odd, or target, or version, or headers: most that are odd in all go no further
than the server's parser."""


class GoneError(OSError):
    """What a server's `send` raises when the client is gone."""


class Strange(Exception):  # noqa: N818 -- its name is part of what is tested
    """An error with more names than there are label sets; see `Fuzz.error`."""


class Fatal(BaseException):
    """Not an `Exception`."""


class Fuzz:
    """Draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- to be drawn again from the same seed

    def blob(self, most: int = 40) -> bytes:
        """Return some bytes."""
        return self.random.randbytes(self.random.randrange(most))

    def text(self) -> str:
        """Return text of any characters, halves of a pair among them."""
        draw = self.random.randrange
        return "".join([chr(draw(0x110000) if draw(3) else draw(256)) for _ in range(draw(12))])

    def path(self) -> str:
        """Return a path as a server decodes it."""
        return self.random.choice(PATHS) if self.random.random() < 0.8 else "/" + self.text()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return header lines, in any number and of any sort."""
        lines = self.random.choices(HEADERS, k=self.random.randrange(7))
        if self.random.random() < 0.1:
            lines.append((self.blob().lower(), self.blob(400)))
        return lines

    def scope(self) -> dict[str, Any]:
        """Return a scope, most often of HTTP."""
        choice, chance = self.random.choice, self.random.random()
        kind = "http" if chance < 0.85 else "websocket" if chance < 0.98 else choice(("lifespan", "quic"))
        scope: dict[str, Any] = {"type": kind, "asgi": {"version": "3.0", "spec_version": "2.4"}}
        if kind in ("http", "websocket"):
            path = self.path()
            scope |= {
                "path": path,
                "query_string": choice(QUERIES),
                "headers": self.headers(),
                "http_version": choice(("1.0", "1.1", "2", "3", "9.9", "")),
                "scheme": choice(("http", "https", "ws", "wss", "gopher", "")),
                "root_path": choice(("", "", "/root", "\ud800")),
                "client": choice(CLIENTS),
                "server": choice(SERVERS),
            }
            if self.random.random() < 0.5:
                scope["raw_path"] = path.encode("utf-8", "surrogatepass")
            if self.random.random() < 0.1:
                del scope[choice(("scheme", "client", "server", "root_path", "http_version"))]
        if kind == "http":
            scope["method"] = choice(METHODS)
        return scope

    def error(self) -> BaseException:
        """Return something to raise."""
        if self.random.random() < 0.3:
            name = f'Strange"\n{{{self.random.randrange(5000)}}}\\'
            made: BaseException = type(name, (Strange,), {"__module__": "shop\n"})(self.text())
            return made
        return self.random.choice((ValueError("x"), GoneError("gone"), CancelledError(), Fatal(), StopAsyncIteration()))

    def message(self) -> dict[str, Any]:
        """Return something an ASGI application sends, which need not make sense."""
        draw, choice = self.random.random(), self.random.choice
        if draw < 0.4:
            return {"type": "http.response.start", "status": choice(STATUSES), "headers": self.headers()}
        if draw < 0.8:
            return {"type": "http.response.body", "body": self.blob(), "more_body": choice((True, False))}
        return choice(
            (
                {"type": "http.response.body"},
                {"type": "http.response.body", "body": b"", "more_body": None},
                {"type": "http.response.start"},
                {"type": "http.response.start", "status": "200", "headers": None},
                {"type": "http.response.start", "status": None},
                {"type": "http.response.pathsend", "path": "/dev/null"},
                {"type": "http.response.trailers", "headers": [], "more_trailers": False},
                {"type": "http.response.push", "path": "/", "headers": []},
                {"type": "websocket.accept", "subprotocol": None},
                {"type": "websocket.close", "code": 1011, "reason": "\ud800"},
                {"type": "websocket.send", "bytes": b"x"},
                {"type": None},
                {},
            )
        )

    def steps(self) -> list[tuple[str, Any]]:
        """Return what an ASGI application does, step by step."""
        steps: list[tuple[str, Any]] = []
        for _ in range(self.random.randrange(6)):
            draw = self.random.random()
            if draw < 0.3:
                steps.append(("receive", None))
            elif draw < 0.93:
                steps.append(("send", self.message()))
            else:
                steps.append(("raise", self.error()))
        return steps

    def received(self) -> list[dict[str, Any]]:
        """Return what a server has for an application that receives: a body, perhaps aborted."""
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": self.blob(), "more_body": True} for _ in range(self.random.randrange(3))
        ]
        if self.random.random() < 0.6:
            messages.append({"type": "http.request", "body": self.blob(), "more_body": False})
        return [*messages, {"type": "http.disconnect"}]

    def environ(self) -> dict[str, Any]:
        """Return an environ: PEP 3333 has bytes in its text, a character each."""
        choice = self.random.choice
        environ: dict[str, Any] = {
            "REQUEST_METHOD": choice(METHODS),
            "SCRIPT_NAME": choice(("", "", "/root", "\xff")),
            "PATH_INFO": self.path().encode("utf-8", "surrogatepass").decode("latin-1"),
            "QUERY_STRING": choice(QUERIES).decode("latin-1"),
            "SERVER_NAME": choice(("checkout.test", "", "\xff")),
            "SERVER_PORT": choice(("80", "8443", "", "x")),
            "SERVER_PROTOCOL": choice(("HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "")),
            "REMOTE_ADDR": choice(("127.0.0.1", "", "\xff", "::1")),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": choice(("http", "https", "gopher")),
        }
        for name, value in self.headers():
            key = name.decode("latin-1").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = value.decode("latin-1")
        if self.random.random() < 0.1:
            environ.pop(choice(("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "REMOTE_ADDR")))
        return environ

    def status(self) -> str:
        """Return a status line's text."""
        return self.random.choice(
            ("200 OK", "200 OK", "404 Not Found", "500 X", "", "2", "abc", "999", "٣٠٠ X", "²²² X")
        )


def raw_requests(seed: int, number: int) -> Iterator[bytes]:
    """Yield requests as bytes: what a client may write on a socket; the last may break off anywhere."""
    fuzz = Fuzz(seed)
    draw = fuzz.random
    for _ in range(number):
        odd = [draw.random() < _ODD for _ in range(4)]
        method = draw.choice(METHODS if odd[0] else METHODS[:6]).encode("utf-8", "replace")
        target = fuzz.path() if odd[1] else draw.choice(("/items/7", "/items/x", "/fails", "/nowhere", "/a%ff?b=%00"))
        version = draw.choice((b"HTTP/1.0", b"HTTP/9.9", b"", b"ICY")) if odd[2] else b"HTTP/1.1"
        lines = [name + b": " + value for name, value in fuzz.headers()] if odd[3] else [b"Host: checkout.test"]
        lines += [b"traceparent: " + draw.choice(HEADERS[:4])[1], b"baggage: a=%FF", b"User-Agent: \xe4"]
        body = b""
        shape = draw.random()
        if shape < 0.2:
            body = fuzz.blob(200)
            lines.append(b"Content-Length: " + str(len(body) + draw.choice((0, 0, 0, 10, -1))).encode())
        elif shape < 0.35:
            lines.append(b"Transfer-Encoding: chunked")
            chunk = fuzz.blob(60)
            body = b"%x\r\n%b\r\n" % (len(chunk), chunk) + draw.choice(
                (b"0\r\n\r\n", b"zz\r\n", b"", b"ffffffffffff\r\n")
            )
        elif shape < 0.42:
            key = b"Sec-WebSocket-Key: " + draw.choice((b"dGhlIHNhbXBsZSBub25jZQ==", b"", b"\xff"))
            lines += [b"Upgrade: websocket", b"Connection: Upgrade", key, b"Sec-WebSocket-Version: 13"]
        lines.append(b"Connection: close")
        draw.shuffle(lines)
        separator = b"\r\n" if draw.random() < 0.97 else b"\n"
        head = separator.join([b" ".join((method, target.encode("utf-8", "surrogatepass"), version)), *lines, b"", b""])
        whole = head + body
        yield whole[: draw.randrange(len(whole))] if draw.random() < 0.05 else whole
