"""However a service is started, reloaded or scaled, its workers find one another and lose nothing."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.servers.conftest import Running

COUNT = "http_server_request_duration_seconds_count"
GUNICORN = ("gunicorn", "app:app", "--bind", "127.0.0.1:{port}", "--no-control-socket", "--workers", "2")
HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}", "--workers", "2")
PATIENT = ("--timeout-worker-healthcheck", "60")
"""uvicorn kills workers that do not answer it within 5 s, as on a busy machine none may that is still importing."""
UVICORN = ("uvicorn", "app:app", "--port", "{port}", *PATIENT)
UWSGI = ("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "app:app", "--disable-logging", "--master")
UWSGI_WORKERS = (*UWSGI, "--processes", "2", "--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
AUTO = "import quarterdeck_instrumentation.auto\n"
CONFIGURED = "import quarterdeck_instrumentation\nquarterdeck_instrumentation.configure(label_sets=50)\n"
IN_CODE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "gunicorn": ("wsgi", AUTO, GUNICORN),
    "gunicorn, configured": ("wsgi", CONFIGURED, GUNICORN),
    "gunicorn --preload": ("wsgi", AUTO, (*GUNICORN, "--preload")),
    "gunicorn gevent": ("wsgi", AUTO, (*GUNICORN, "-k", "gevent")),
    "gunicorn uvicorn-worker": ("asgi", AUTO, (*GUNICORN, "-k", "uvicorn_worker.UvicornWorker")),
    "uvicorn": ("asgi", AUTO, (*UVICORN, "--workers", "2")),
    "hypercorn": ("asgi", AUTO, (*HYPERCORN, "app:app")),
    "hypercorn trio": ("asgi", AUTO, (*HYPERCORN, "app:app", "-k", "trio")),
    "hypercorn, WSGI": ("wsgi", AUTO, (*HYPERCORN, "wsgi:app:app")),
    "granian": ("asgi", AUTO, ("granian", "app:app", "--port", "{port}", "--workers", "2", "--interface", "asgi")),
    "uwsgi": ("wsgi", AUTO, UWSGI_WORKERS),
    "uwsgi --lazy-apps": ("wsgi", AUTO, (*UWSGI_WORKERS, "--lazy-apps")),
}
"""Kind of the service, first line of its code, and the command that starts it, without `quarterdeck-instrument`."""


@pytest.mark.parametrize(("kind", "first", "command"), IN_CODE.values(), ids=IN_CODE.keys())
def test_workers_of_a_service_that_starts_us_itself(
    serving: Callable[..., Running], kind: str, first: str, command: tuple[str, ...]
) -> None:
    """Their parent knows nothing of us, and they share one page all the same."""
    service = serving(kind, *command)
    service.source.write_text(first + service.source.read_text())
    service.start().wait_for(service.listens, "the service")
    service.all_answer(2)

    service.counts()
    assert service.workers() == 2.0
    assert service.end() == 0
    assert service.swept().left() == []


PYTHON = "import os, sys\nfrom app import app\nport = int(sys.argv[1])\n"
SCRIPTS = {
    "wsgiref": "from wsgiref.simple_server import make_server\nmake_server('127.0.0.1', port, app).serve_forever()",
    "gevent": "from gevent.pywsgi import WSGIServer\nWSGIServer(('127.0.0.1', port), app, log=None).serve_forever()",
    "gevent, patched": (
        "from gevent.pywsgi import WSGIServer\nWSGIServer(('127.0.0.1', port), app, log=None).serve_forever()"
    ),
    "waitress": "import waitress\nwaitress.serve(app, port=port)",
    "Django": """
import django.conf, django.core.management, django.urls
import app as application

def item(request, item):
    return django.http.HttpResponse(str(os.getpid()))

django.conf.settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY="-", ALLOWED_HOSTS=["*"], DEBUG=True,
    INSTALLED_APPS=["django.contrib.staticfiles"], STATIC_URL="static/",
)
urlpatterns = [django.urls.path("items/<item>", item)]
if __name__ == "__main__":
    django.core.management.execute_from_command_line(["", "runserver", "--noreload", str(port)])
""",
    "uvicorn.run": "import uvicorn\nuvicorn.run(app, port=port)",
    "uvicorn in a thread": """
import signal, threading, uvicorn
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = uvicorn.Server(uvicorn.Config(app, port=port))
threading.Thread(target=server.run, daemon=True).start()
threading.Event().wait()
""",
    "uvicorn in a thread, SIGTERM unhandled": """
import threading, uvicorn
server = uvicorn.Server(uvicorn.Config(app, port=port))
thread = threading.Thread(target=server.run, daemon=True)
thread.start()
thread.join()
""",
    "hypercorn.serve": """
import asyncio, hypercorn.asyncio, hypercorn.config
asyncio.run(hypercorn.asyncio.serve(app, hypercorn.config.Config.from_mapping(bind=[f"127.0.0.1:{port}"])))
""",
}
"""Servers of one process, started in code."""
ASYNC = {"uvicorn.run", "uvicorn in a thread", "uvicorn in a thread, SIGTERM unhandled", "hypercorn.serve"}
HANDLES = {"hypercorn.serve", "uvicorn in a thread"}
"""Servers that end by themselves when told to; SIGTERM kills the others."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_server_of_one_process(serving: Callable[..., Running], collector: Collector, name: str) -> None:
    """It is on the page before its first request, and its last spans are out before SIGTERM has killed it."""
    service = serving("asgi" if name in ASYNC else "wsgi", "python", "serve.py", "{port}")
    patched = "from gevent import monkey\nmonkey.patch_all()\n" if "patched" in name else ""
    (service.folder / "serve.py").write_text(patched + PYTHON + SCRIPTS[name])
    endpoint = f"http://127.0.0.1:{collector.port}"
    service.instrumented(1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, PYTHONWARNINGS="ignore::DeprecationWarning")
    service.send(20)
    service.counts() if name != "Django" else None

    assert service.end() == (0 if name in HANDLES else -signal.SIGTERM), service.log
    assert sum(span.startswith("GET /") for span in collector.names()) == service.answered, service.log
    assert "MonkeyPatchWarning" not in service.log
    assert service.left() == []


def test_an_application_factory(serving: Callable[..., Running]) -> None:
    """What it makes is measured, in each worker."""
    service = serving("asgi", "uvicorn", "app:make", "--factory", "--port", "{port}", "--workers", "2", *PATIENT)
    service.instrumented(2).send(20)

    service.counts()


def changed(service: Running) -> None:
    """Change the service's code, by a comment at its end."""
    service.source.write_text(service.source.read_text() + "# changed\n")


RELOADERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "uvicorn": ("asgi", (*UVICORN, "--reload")),
    "gunicorn": ("wsgi", (*GUNICORN, "--reload", "--reload-engine", "poll")),
    "flask run": ("wsgi", ("flask", "--app", "app", "run", "--port", "{port}", "--debug")),
}


@pytest.mark.parametrize(("kind", "command"), RELOADERS.values(), ids=RELOADERS.keys())
def test_a_reloader_keeps_what_was_counted(
    serving: Callable[..., Running], kind: str, command: tuple[str, ...]
) -> None:
    """The process that serves is another, and the page goes on where it was."""
    workers = 2 if command[0] == "gunicorn" else 1
    service = serving(kind, *command).instrumented(workers)
    service.send(10)
    service.counts()
    before = service.pids.copy()

    while not service.pids - before:
        changed(service)  # again, if need be: uvicorn's reloader may look for the first time only after the change
        for _ in range(1000):
            service.send(1)
            if service.pids - before:
                break
    service.ready(workers)

    service.counts()
    service.end()
    assert service.left() == []


def test_djangos_reloader_keeps_what_was_counted(serving: Callable[..., Running]) -> None:
    """Its server is a child of a process that only watches, and serves in a thread: the page goes on where it was.

    Nothing is sent meanwhile: the old server answers until Python has ended, which no page has seen.
    """
    service = serving("wsgi", "python", "serve.py", "{port}")
    reloading = SCRIPTS["Django"].replace(', "--noreload"', "")
    (service.folder / "serve.py").write_text(PYTHON + reloading)
    service.instrumented(1).send(10)
    service.wait_for(lambda: on_page(service) == 10.0, "the requests on the page")
    before, changes = service.pids.copy(), [0.0]

    def restarted() -> bool:
        if time.monotonic() > changes[-1] + 5:  # it may look for the first time only after the first change
            changed(service)
            changes.append(time.monotonic())
        return service.log.count("Quit the server") == 2

    service.wait_for(restarted, "the new server")
    service.send(10)

    assert not service.pids <= before
    service.wait_for(lambda: on_page(service) == 20.0, "all requests on the page")


def on_page(service: Running) -> float | None:
    """Return how many requests of any route are on the page; None while nobody serves it."""
    page = service.page()
    return sum(sample.value for sample in page.find(COUNT)) if page is not None else None


def test_an_application_of_rsgi_is_not_measured(serving: Callable[..., Running]) -> None:
    """It is granian's own interface: it serves as it would, its workers are on the page, and end as others do."""
    service = serving("asgi", "granian", "app:app", "--port", "{port}", "--workers", "2", "--interface", "rsgi")
    service.source.write_text(
        "import os\n\n"
        "async def app(scope, protocol):\n"
        "    protocol.response_str(200, [('content-type', 'text/plain')], str(os.getpid()))\n"
    )
    service.instrumented(2).send(10)

    page = service.page()
    assert page is not None
    assert page.find(COUNT) == []
    assert page.value("quarterdeck_workers") == 2.0
    assert service.end() == 0
    assert service.left() == []


def test_gunicorn_reloaded_and_scaled(serving: Callable[..., Running], collector: Collector) -> None:
    """HUP, TTIN, TTOU: workers come and go, and every request stays on the page; every span is sent."""
    service = serving("wsgi", *GUNICORN).instrumented(
        2, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}"
    )
    for number, workers in ((signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGHUP, 2)):
        service.send(10)
        before = service.pids.copy()
        service.process.send_signal(number)
        if number == signal.SIGHUP:
            service.none_left_of(before)
        service.ready(workers)
        service.counts()

    assert service.end() == 0
    assert collector.names().count(f"GET {service.route}") == service.answered
    assert service.left() == []


def test_gunicorn_upgraded_while_it_runs(serving: Callable[..., Running]) -> None:
    """USR2, then QUIT to the old one: workers of both share the page, and the old one's end takes nothing back."""
    service = serving("wsgi", *GUNICORN).instrumented(2)
    service.send(10)
    service.process.send_signal(signal.SIGUSR2)
    service.ready(4).all_answer(4)

    service.end(signal.SIGQUIT)
    service.send(10)

    service.counts()
    page = service.page()
    assert page is not None
    assert page.value("quarterdeck_workers") == 2.0


@pytest.mark.parametrize(
    ("worker", "number"),
    [("sync", signal.SIGINT), *((worker, signal.SIGQUIT) for worker in ("sync", "gthread", "gevent", "asgi"))],
)
def test_gunicorn_told_to_be_quick(
    serving: Callable[..., Running], collector: Collector, worker: str, number: int
) -> None:
    """It does not wait for requests, and we not for more than the spans that are there.

    Not uvicorn's worker: that one does not hear it, with us or without, and is killed after gunicorn's patience.
    """
    kind = "asgi" if worker == "asgi" else "wsgi"
    service = serving(kind, *GUNICORN, "-k", worker)
    service.instrumented(2, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}").send(20)

    assert service.end(number) == 0
    assert collector.names().count(f"GET {service.route}") == service.answered, service.log
    assert service.left() == []


def test_uwsgi_reloads_by_executing_itself(serving: Callable[..., Running]) -> None:
    """SIGHUP: the master is another program with the same process id, and goes on with the same folder."""
    service = serving("wsgi", *UWSGI_WORKERS).instrumented(2)
    service.send(10)
    before = service.pids.copy()
    service.process.send_signal(signal.SIGHUP)
    service.none_left_of(before)
    service.ready(2).send(10)

    service.counts()
    assert service.end() == 0
    assert service.swept().left() == []


def test_uwsgis_workers_draw_span_ids_of_their_own(serving: Callable[..., Running], collector: Collector) -> None:
    """It forks behind Python's back: what one worker draws, another must not repeat."""
    service = serving("wsgi", *UWSGI_WORKERS)
    service.source.write_text("import random\nrandom.random()\n" + service.source.read_text())
    service.instrumented(2, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")
    service.all_answer(2)
    service.end()

    assert len(traces(collector)) == service.answered


PORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gunicorn": ("wsgi", GUNICORN),
    "hypercorn": ("asgi", (*HYPERCORN, "app:app")),
    "granian": ("asgi", ("granian", "app:app", "--port", "{port}", "--workers", "2", "--interface", "asgi")),
    "uwsgi": ("wsgi", UWSGI_WORKERS),
}


@pytest.mark.parametrize(("kind", "command"), PORTS.values(), ids=PORTS.keys())
def test_two_services_with_one_page_port(serving: Callable[..., Running], kind: str, command: tuple[str, ...]) -> None:
    """The second serves its requests, says once what it misses, and has the page when the first is gone."""
    first = serving("asgi", *UVICORN).instrumented(1)
    second = serving(kind, *command)
    second.page_port = first.page_port
    second.start("quarterdeck-instrument")
    second.wait_for(second.listens, "the service")
    second.send(20)
    second.wait_for(lambda: "cannot listen on" in second.log, "the message")
    assert first.workers() == 1.0

    first.end()
    second.ready(2).counts()

    assert second.log.count("cannot listen on") == 1
    assert second.end() == 0


def traces(collector: Any) -> set[bytes]:
    """Return the ids of the traces that *collector* has got."""
    return {
        span.trace_id
        for post in collector.posts
        for resource in post.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
