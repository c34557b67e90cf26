"""Real servers, and services that use them: everything in an environment of its own, with `[contrib]` as published."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import tomllib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import free_port, until

from quarterdeck_instrumentation.testing import Page, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Collector


DEADLINE = 120.0
"""Seconds until a condition that never comes true fails its test."""
LIBRARIES = (
    *("aio-pika==10.2.1", "aiohttp==3.14.5", "asyncpg==0.32.0", "botocore==1.44.5", "celery==5.7.0"),
    *("confluent-kafka==2.16.1", "fastapi==0.165.0", "flask==3.1.3", "grpcio==1.85.1", "gunicorn==27.0.1"),
    *(
        "httpx==0.28.1",
        "pika==1.4.4",
        "psycopg[binary]==3.3.9",
        "psycopg2-binary==2.9.13",
        "pymongo==4.20.0",
        "pymysql==1.2.4",
    ),
    *("redis==8.1.0", "requests==2.34.2", "sqlalchemy==2.0.58", "urllib3==2.8.0", "uvicorn==0.54.0"),
)
"""What the services use, besides the standard library."""


@pytest.fixture(scope="session", name="until")
def _until() -> Callable[[Callable[[], Any], Callable[[], str]], Any]:
    """Return the function that waits for a condition."""
    return until


@pytest.fixture(scope="session")
def contrib(root: Path, environment: Callable[..., Path]) -> Path:
    """Return the folder of the commands of an environment with `[contrib]`, the libraries, and this checkout."""
    project = tomllib.loads((root / "instrumentation" / "pyproject.toml").read_text())["project"]
    pins = project["optional-dependencies"]["contrib"]
    return environment("contrib", *pins, *LIBRARIES, constraints=root / "instrumentation" / "constraints.txt").parent


@pytest.fixture(scope="session")
def servers(root: Path) -> Iterator[Servers]:
    """Return the servers, each started when it is first asked for and stopped with the session."""
    with ExitStack() as stack:
        yield Servers(root, stack)


class Servers:
    """Redis, RabbitMQ and PostgreSQL of this session."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self._root = root
        self._stack = stack
        self._urls: dict[str, str] = {}

    def url(self, name: str) -> str:
        """Return the URL of `redis`, `rabbitmq` or `postgres`, as its clients take it."""
        if name not in self._urls:
            start = {"redis": _redis, "rabbitmq": _rabbitmq, "postgres": _postgres}[name]
            self._urls[name] = self._stack.enter_context(start(self._unpacked()))
        return self._urls[name]

    def _unpacked(self) -> Path:
        done = subprocess.run(
            [self._root / "tools" / "servers.sh"], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip()) / "root"


def _binary(unpacked: Path, name: str, *where: str) -> Path:
    """Return a server's program: below one of the patterns *where* of what was unpacked or of `/`, else on PATH."""
    for base in (unpacked, Path("/")):
        for pattern in where:
            found = sorted(base.glob(pattern))
            if found:
                return found[-1]
    on_path = shutil.which(name)
    assert on_path is not None, f"no {name}, although tools/servers.sh did not complain"
    return Path(on_path)


@contextmanager
def _running(command: list[str | Path], port: int, log: Path, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        until(lambda: _answers(process, port), log.read_text)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def _folder() -> Iterator[Path]:
    # Not pytest's: PostgreSQL, which refuses to run as root, has to reach it as somebody else.
    with tempfile.TemporaryDirectory(prefix="quarterdeck-server-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def _redis(unpacked: Path) -> Iterator[str]:
    port = free_port()
    with _folder() as folder:
        program = _binary(unpacked, "redis-server", "usr/bin/redis-server")
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        libraries = os.pathsep.join(map(str, sorted(unpacked.glob("usr/lib/*-linux-gnu*"))))
        with _running([program, *options], port, folder / "log", env={**os.environ, "LD_LIBRARY_PATH": libraries}):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _rabbitmq(unpacked: Path) -> Iterator[str]:
    port, between_nodes, names = free_port(), free_port(), free_port()
    program = _binary(unpacked, "rabbitmq-server", "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
    with _folder() as folder:
        (folder / "plugins").write_text("[].")
        commands = [unpacked / "usr" / "bin", *map(Path, os.environ["PATH"].split(os.pathsep))]
        environ = {
            "PATH": os.pathsep.join(map(str, commands)),
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.env"),
            "RABBITMQ_DIST_PORT": str(between_nodes),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_NODENAME": "quarterdeck@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            # It would spin on processors that other tests need.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        # Erlang's names server would be started as a daemon, and stay.
        names_server = ["epmd", "-port", str(names), "-address", "127.0.0.1"]
        epmd = shutil.which("epmd", path=environ["PATH"])
        assert epmd is not None, "Erlang's epmd is not beside RabbitMQ's Erlang"
        with (
            _running([epmd, *names_server[1:]], names, folder / "epmd", env=environ),
            _running([program], port, folder / "server", env=environ),
        ):
            yield f"amqp://guest:guest@127.0.0.1:{port}/%2F"


@contextmanager
def _postgres(unpacked: Path) -> Iterator[str]:
    port = free_port()
    program = _binary(unpacked, "postgres", "usr/lib/postgresql/*/bin/postgres")
    with _folder() as folder:
        as_whom: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            if program.is_relative_to(unpacked):  # below root's home, where nobody else may look
                version = program.parent.parent.name
                for part in (f"usr/lib/postgresql/{version}", f"usr/share/postgresql/{version}"):
                    shutil.copytree(unpacked / part, folder / part)
                for library in unpacked.glob("usr/lib/*-linux-gnu*"):
                    shutil.copytree(library, folder / "usr" / "lib" / library.name, symlinks=True)
                program = folder / "usr" / "lib" / "postgresql" / version / "bin" / "postgres"
        data = folder / "data"
        data.mkdir()
        if as_whom:
            shutil.chown(data, as_whom["user"], as_whom["group"])
        libraries = os.pathsep.join(map(str, sorted((folder if as_whom else unpacked).glob("usr/lib/*-linux-gnu*"))))
        options = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries}, **as_whom}
        initdb = program.resolve().with_name("initdb")
        arguments = ["--pgdata", data, "--username", "quarterdeck", "--auth", "trust", "--no-sync"]
        subprocess.run([initdb, *arguments], check=True, capture_output=True, **options)
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={data}", "fsync=off"]
        flags = [word for setting in settings for word in ("-c", setting)]
        with _running([program.resolve(), "-D", data, "-p", str(port), *flags], port, folder / "log", **options):
            yield f"postgresql://quarterdeck@127.0.0.1:{port}/postgres"


@dataclass(frozen=True)
class Span:
    """One span, as it reached the collector."""

    service: str
    scope: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]


def spans(collector: Collector) -> list[Span]:
    """Return the spans in all posts so far."""
    return [
        Span(
            service=_attributes(resource.resource.attributes)["service.name"],
            scope=scope.scope.name,
            name=span.name,
            kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            attributes=_attributes(span.attributes),
        )
        for post in list(collector.posts)
        for resource in post.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


@pytest.fixture(scope="session", name="spans")
def _spans() -> Callable[[Collector], list[Span]]:
    """Return the function that reads a collector's spans."""
    return spans


class Program:
    """A process of the environment `contrib`, or of another, instrumented."""

    def __init__(
        self, commands: Path, folder: Path, *command: str, launcher: str = "quarterdeck-instrument", **environ: str
    ) -> None:
        """Start *command*, one of *commands*, under *launcher*, if any, in *folder* with *environ* added."""
        self.log = folder / f"{environ.get('OTEL_SERVICE_NAME', 'program')}.log"
        self.metrics_port = free_port()
        inherited = {name: each for name, each in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*([commands / launcher] if launcher else []), commands / command[0], *command[1:]],
                cwd=folder,
                env={
                    **inherited,
                    "OTEL_BSP_SCHEDULE_DELAY": "50",
                    "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
                    "OTEL_EXPORTER_PROMETHEUS_PORT": str(self.metrics_port),
                    "QUARTERDECK_METRICS_DIR": str(folder / "metrics"),
                    "QUARTERDECK_FLUSH_TIMEOUT": "10",  # a collector that answers does so late on a busy machine
                    **environ,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def scrape(self) -> Page | None:
        """Return the page; None while nobody serves it."""
        try:
            return parse(get(self.metrics_port, "/metrics")[1])
        except (OSError, HTTPException):
            return None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """End it and what it started, without a word."""
        if self.process.poll() is None:
            for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            self.process.kill()
        self.process.wait(DEADLINE)


def get(port: int, path: str) -> tuple[int, str]:
    """Send one request on a connection of its own, and return status and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="session", name="get")
def _get() -> Callable[[int, str], tuple[int, str]]:
    """Return the function that sends a request."""
    return get


@pytest.fixture(scope="session")
def a_port() -> Callable[[], int]:
    """Return a function that finds a free port."""
    return free_port


@pytest.fixture(scope="module")
def program(contrib: Path) -> Iterator[Callable[..., Program]]:
    """Return a function that starts an instrumented process, which is ended with the last test of the module."""
    with ExitStack() as stack:

        def start(folder: Path, *command: str, commands: Path = contrib, **options: str) -> Program:
            started = Program(commands, folder, *command, **options)
            stack.callback(started.kill)
            return started

        yield start
