"""Every way to end a worker, under every server, with every kind of collector: nothing is lost that could be kept.

A matrix of cells. CI runs a sample, drawn by a fixed seed; all of them run, in about twenty minutes, by

    QUARTERDECK_MATRIX=whole pytest tests/contract/servers/test_killed_servers.py
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_instrumentation.exposition import store
from quarterdeck_instrumentation.registry import BUCKETS
from quarterdeck_instrumentation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Collector
    from tests.contract.servers.conftest import Running

REQUESTS = 40
"""Requests of each cell, by one client, one after the other."""
LAST = 5
"""Requests right before a worker is killed, which may be lost with it."""
EXIT = 8.0
"""Seconds a service may take to end although its collector does not answer, or that much longer than without us: fewer
than anything waits that the flush timeout does not bound, and more than a busy machine adds. What it is on a quiet one,
`tests/bench/termination.py` measures."""


@dataclass(frozen=True)
class Server:
    """How a server is started, and what it does about its workers."""

    kind: str
    """Of its applications: `asgi` or `wsgi`."""
    command: tuple[str, ...]
    recycle: tuple[str, ...] | signal.Signals
    """What has it replace workers: arguments, or a signal to its main process."""
    workers: int = 2
    replaces: bool = True
    """Whether it starts another worker for one that died; if not, it ends."""
    steady: bool = True
    """Whether it ends with the same status each time a worker dies, without us; if not, that is not compared."""
    tidy: bool = True
    """Whether its main process ends as Python does; if not, the next start of anything removes the folder."""


AFTER_TEN = ("--max-requests", "10")
GUNICORN = ("gunicorn", "app:app", "--bind", "127.0.0.1:{port}", "--no-control-socket", "--workers", "2")
GRANIAN = ("granian", "app:app", "--port", "{port}", "--workers", "2", "--respawn-failed-workers", "--interface")
HYPERCORN = ("hypercorn", "app:app", "--bind", "127.0.0.1:{port}", "--workers", "2")
UVICORN = ("uvicorn", "app:app", "--port", "{port}", "--timeout-worker-healthcheck", "60")
UWSGI = ("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "app:app", "--disable-logging")
GRACEFULLY = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
"""With `--die-on-term` uWSGI kills busy workers on SIGTERM, and has them run nothing at their exit."""
SERVERS = {
    "uvicorn": Server("asgi", UVICORN, ("--limit-max-requests", str(REQUESTS)), workers=1, replaces=False),
    "uvicorn with workers": Server("asgi", (*UVICORN, "--workers", "2"), signal.SIGHUP),
    "gunicorn sync": Server("wsgi", GUNICORN, AFTER_TEN),
    "gunicorn gthread": Server("wsgi", (*GUNICORN, "--threads", "4"), AFTER_TEN),
    "gunicorn gevent": Server("wsgi", (*GUNICORN, "-k", "gevent"), signal.SIGHUP),
    "gunicorn asgi": Server("asgi", (*GUNICORN, "-k", "asgi"), signal.SIGHUP),
    "gunicorn uvicorn-worker": Server("asgi", (*GUNICORN, "-k", "uvicorn_worker.UvicornWorker"), AFTER_TEN),
    "hypercorn": Server("asgi", HYPERCORN, signal.SIGHUP, replaces=False, steady=False),
    "granian": Server("asgi", (*GRANIAN, "asgi"), signal.SIGHUP),
    "granian wsgi": Server("wsgi", (*GRANIAN, "wsgi"), signal.SIGHUP),
    "uwsgi": Server("wsgi", (*UWSGI, "--master", "--processes", "2", *GRACEFULLY), AFTER_TEN, tidy=False),
}
EXPORTERS = ("up", "refusing", "black-holed", "absent")


def sigterm(service: Running, server: Server, *, with_us: bool) -> float:
    """End it as Kubernetes does."""
    del server, with_us
    service.process.terminate()
    return time.monotonic()


def sigkill(service: Running, server: Server, *, with_us: bool) -> float:
    """Kill a worker: what was written down until then is on the page, or at least still written down."""
    certain = 0
    if with_us:
        service.wait_for(lambda: written_down(service) == service.answered, "all requests written down")
        certain = service.answered
        service.send(LAST)
    begun = time.monotonic()
    victim = max(service.pids)
    os.kill(victim, signal.SIGKILL)
    if server.workers == 1:
        service.wait()
        assert not with_us or certain <= written_down(service) <= service.answered
        return begun
    if not server.replaces:
        return begun
    service.none_left_of({victim})
    if with_us:
        service.ready(server.workers)
        service.wait_for(lambda: service.page() is not None, "the page")
        assert certain <= (service.counted() or 0.0) <= service.answered
    service.all_answer(server.workers)
    return sigterm(service, server, with_us=with_us)


def os_exit(service: Running, server: Server, *, with_us: bool) -> float:
    """Have a worker end itself."""
    begun = time.monotonic()
    service.leave()
    if server.workers == 1:
        return begun
    if not server.replaces:
        return time.monotonic()
    service.all_answer(server.workers)
    return counted_in_full(service, server, with_us=with_us)


def recycling(service: Running, server: Server, *, with_us: bool) -> float:
    """Have the workers replaced, by a signal if requests have not done it; a server of one process ends instead."""
    if server.workers == 1:
        return time.monotonic()
    if isinstance(server.recycle, signal.Signals):
        service.process.send_signal(server.recycle)
        service.none_left_of(service.pids)
    return counted_in_full(service, server, with_us=with_us)


def counted_in_full(service: Running, server: Server, *, with_us: bool) -> float:
    """Require every answered request to be on the page, with all workers there; then end the service."""
    if with_us:
        service.ready(server.workers)
        service.counts()
    else:
        service.all_answer(server.workers)
    return sigterm(service, server, with_us=with_us)


DEATHS = {"sigterm": sigterm, "sigkill": sigkill, "os-exit": os_exit, "recycling": recycling}
"""Each ends a service, or has it end, and returns the monotonic time from which on its end is waited for."""
CELLS = list(itertools.product(SERVERS, DEATHS, EXPORTERS))
SAMPLE = 16


def cells() -> list[Any]:
    """Return what is run: everything, or a sample that has each server."""
    chosen = CELLS
    if os.environ.get("QUARTERDECK_MATRIX") != "whole":
        draw = random.Random(4)  # noqa: S311 -- any sample will do, as long as it is the same each time
        chosen = [(name, draw.choice(list(DEATHS)), draw.choice(EXPORTERS)) for name in SERVERS]
        chosen += draw.sample([cell for cell in CELLS if cell not in chosen], SAMPLE - len(chosen))
    return [pytest.param(*cell, id=", ".join(cell)) for cell in chosen]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Return a port at which connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


_without_us: dict[tuple[str, str], tuple[int, float]] = {}
"""Server and death → exit status and seconds of the end."""


@pytest.mark.parametrize(("name", "death", "exporter"), cells())
def test_what_was_answered_is_counted_and_traced(  # noqa: PLR0917 -- three of them are the cell
    name: str,
    death: str,
    exporter: str,
    serving: Callable[..., Running],
    collector: Collector,
    black_hole: int,
    free_port: int,
    record_property: Callable[[str, object], None],
) -> None:
    """And the service ends as it does without us, in time; what could not be sent is said."""
    server = SERVERS[name]
    if (name, death) not in _without_us:
        _without_us[name, death] = live_and_die(serving, server, death)[1]
    plain_status, plain_seconds = _without_us[name, death]
    port = {"up": collector.port, "refusing": free_port, "black-holed": black_hole}.get(exporter)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"} if port else {}
    if exporter != "up":
        environ["QUARTERDECK_FLUSH_TIMEOUT"] = str(Settings().flush_timeout)

    service, (status, seconds) = live_and_die(serving, server, death, environ)

    record_property("end", f"{seconds:.2f} s, {plain_seconds:.2f} s without us")
    assert status == plain_status or not (server.steady or death == "sigterm"), service.log
    assert seconds < max(EXIT, plain_seconds + EXIT), service.log
    if exporter == "up" and death != "sigkill":
        assert collector.names().count(f"GET {service.route}") == service.answered, service.log
    elif exporter != "absent" and death != "sigkill":
        assert "could not be sent" in service.log
    ended_by_itself = server.tidy and service.process.returncode != -signal.SIGKILL
    assert (service if ended_by_itself else service.swept()).left() == []


def live_and_die(
    serving: Callable[..., Running], server: Server, death: str, environ: dict[str, str] | None = None
) -> tuple[Running, tuple[int, float]]:
    """Run a service through *death*; with *environ*, under us. Return it, its exit status and how long that took."""
    by_requests = () if death != "recycling" or isinstance(server.recycle, signal.Signals) else server.recycle
    service = serving(server.kind, *server.command, *by_requests)
    if environ is None:
        service.start().wait_for(service.listens, "the service")
        service.all_answer(server.workers)
    else:
        service.instrumented(server.workers, **environ)
    service.send(REQUESTS)
    begun = DEATHS[death](service, server, with_us=environ is not None)
    status = service.wait()
    return service, (status, time.monotonic() - begun)


def written_down(service: Running) -> float:
    """Return how many requests are in the files of workers that cannot show them any more."""
    (path,) = service.base.iterdir()
    folder = store.Folder(str(path))
    return sum(
        sum(each.values[series.start + BUCKETS : series.stop])
        for each in map(folder.read, folder.workers())
        if each is not None
        for series in each.index.series
        if series.metric.name == "http.server.request.duration" and service.route in series.labels
    )
