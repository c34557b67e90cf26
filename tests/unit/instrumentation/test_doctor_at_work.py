"""The doctor on a real machine: real ports, servers, packages' metadata and commands; and nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import until

from quarterdeck_instrumentation.doctor import machine, packages
from quarterdeck_instrumentation.doctor.facts import Holder, Need, Stage
from quarterdeck_instrumentation.doctor.reach import reach
from quarterdeck_instrumentation.doctor.variables import ignored, unknown
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.spans.target import Target
from quarterdeck_instrumentation.testing import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Collector

CHOSEN = {"OTEL_PYTHON_DISTRO": "quarterdeck", "OTEL_PYTHON_CONFIGURATOR": "quarterdeck"}
LAUNCHER = Path(sys.executable).parent / "quarterdeck-instrument"


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[int]:
    """Answer every request on the port that is given, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 -- the name that the class above calls

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name in the class above
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def runs(pid: int) -> bool:
    """Say whether a process runs; one that has ended and is not yet forgotten does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_over(pid: str) -> None:
    """Require that a process that was killed does not run: not at once, since a busy machine may end it later."""
    until(lambda: not runs(int(pid)), f"the end of the process {pid}", 30.0)


class Doctor:
    """Runs the doctor as a user does, in an environment of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        (folder / "metrics").mkdir()
        (folder / "tmp").mkdir()
        self.environ = {
            "PATH": f"{LAUNCHER.parent}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(folder / "tmp"),
            "QUARTERDECK_METRICS_DIR": str(folder / "metrics"),
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        }

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run it, and see that nothing is left of it; a command that ends by itself has the time it needs."""
        patient = () if "--for" in arguments or "--help" in arguments else ("--for", "600")
        done = subprocess.run(
            [LAUNCHER, "doctor", *patient, *arguments],
            env={**self.environ, **environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert list((self.folder / "metrics").iterdir()) == []
        assert list((self.folder / "tmp").iterdir()) == []
        return done

    def findings(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """Return what it found, by name, with its exit status as `status`."""
        done = self.run("--json", *arguments, **environ)
        whole = json.loads(done.stdout)
        assert whole["exit_code"] == done.returncode
        return {each["name"]: each for each in whole["findings"]} | {"status": done.returncode, "facts": whole["facts"]}


@pytest.fixture
def doctor(tmp_path: Path, free_port: int) -> Doctor:
    """Return a doctor whose page's port is free."""
    return Doctor(tmp_path, free_port)


def test_all_is_well(doctor: Doctor, collector: Collector) -> None:
    """A collector that answers, a free port, packages that fit: status 0, and nobody's secret in it."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:s3cret@127.0.0.1:{collector.port}"}

    done = doctor.run(**endpoint, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20s3cret")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"http://127.0.0.1:{collector.port}/v1/traces took an empty batch (200 OK)" in done.stdout
    assert "spans go to otlp; the lean path makes them" in done.stdout
    assert "traces_exporters = otlp  from OTEL_EXPORTER_OTLP_ENDPOINT" in done.stdout
    assert collector.headers[0]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in done.stdout + doctor.run("--json", **endpoint).stdout


def test_a_collector_that_speaks_grpc_is_connected_to(doctor: Doctor, collector: Collector) -> None:
    """Its endpoint needs no scheme; nothing is posted, because nobody here speaks gRPC."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"127.0.0.1:{collector.port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    found = doctor.findings(**endpoint)

    assert found["status"] == 0
    assert f"http://127.0.0.1:{collector.port} accepts connections" in found["collector"]["found"]
    assert found["spans"]["found"].endswith("because the exporter otlp_proto_grpc is the SDK's")
    assert collector.posts == []


def test_what_is_broken_is_told(doctor: Doctor) -> None:
    """A port that is taken, by whom; a collector that is not there; a setting that cannot be read: status 1."""
    with socket.create_server(("127.0.0.1", int(doctor.environ["OTEL_EXPORTER_PROMETHEUS_PORT"]))) as taken:
        taken.listen()
        found = doctor.findings(
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:1/v1/traces",
            OTEL_TRACES_SAMPLER="no_such",
            OTEL_PROPAGATORS="tracecontext,no_such",
            OTEL_SPAN_EVENT_COUNT_LIMIT="many",
            OTEL_TRACE_SAMPLER="always_on",
        )

    assert found["status"] == 1
    assert f"(process {os.getpid()}, " in found["page-port"]["found"]
    assert "TCP: ConnectionRefusedError" in found["collector-tcp"]["found"]
    assert found["unknown-variable"]["found"] == "OTEL_TRACE_SAMPLER is set, and nobody reads it"
    assert found["facts"]["why_sdk"] == ["the sampler no_such is another package's"]
    said = [text.partition(":")[0] for _, text in found["facts"]["said"]]
    assert said == ["OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_PROPAGATORS", "OTEL_TRACES_SAMPLER"]


def test_packages_that_do_not_fit_are_named(doctor: Doctor) -> None:
    """A distribution beside ours, of another release than what it needs, with an entry point that may be loaded."""
    info = doctor.folder / "site" / "opentelemetry_distro-0.66b2.dist-info"
    info.mkdir(parents=True)
    requires = "Requires-Dist: opentelemetry-instrumentation==0.66b2\nRequires-Dist: pytest==0; extra == 'x'\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: opentelemetry-distro\nVersion: 0.66b2\n{requires}")
    (info / "entry_points.txt").write_text("[opentelemetry_distro]\ndistro = opentelemetry.distro:Distro\n")
    twice = doctor.folder / "site" / "opentelemetry_api-1.40.0.dist-info"
    twice.mkdir()
    (twice / "METADATA").write_text("Metadata-Version: 2.1\nName: opentelemetry-api\nVersion: 1.40.0\n")

    found = doctor.findings(PYTHONPATH=str(info.parent))

    assert found["status"] == 1
    misfit = "opentelemetry-distro 0.66b2 needs opentelemetry-instrumentation==0.66b2, and 0.66b1 is installed"
    assert misfit in {
        f"{each['distribution']} {each['version']} needs {each['requirement']}, and {each['found']} is installed"
        for each in found["facts"]["needs"]
    }
    assert "distro (opentelemetry-distro) beside ours" in found["duplicate-distro"]["found"]
    assert "opentelemetry-api (1.40.0, 1.45.1) is installed more than once" in found["duplicate-package"]["found"]
    chosen = doctor.findings(PYTHONPATH=str(info.parent), **CHOSEN)
    assert "duplicate-distro" not in chosen


SERVICE = """
import sys
print("said by the service")
import flask, sqlite3
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
if "own" in sys.argv:
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
import quarterdeck_instrumentation
quarterdeck_instrumentation.configure(label_sets=77)
if "stay" in sys.argv:
    import time
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""


def test_a_command_says_what_is_instrumented_in_it(doctor: Doctor) -> None:
    """Hooks, instrumentors, provider, settings from its code; what it prints is not in what the doctor prints."""
    (doctor.folder / "service.py").write_text(SERVICE)

    done = doctor.run("--json", "python", "service.py", "0", "own", OTEL_TRACES_EXPORTER="console")

    assert done.stderr == "said by the service\n"
    whole = json.loads(done.stdout)
    (process,) = whole["facts"]["run"]["processes"]
    hooks = {hook["module"]: hook for hook in process["hooks"]}
    assert hooks["flask.app"] == {
        "module": "flask.app",
        "patch": "quarterdeck_instrumentation.frameworks.flask:patch_application",
        "early": False,
        "failure": "",
    }
    assert "sqlite3" not in hooks
    assert process["instrumentors"] == ["sqlite3"]
    assert process["provider"] == "opentelemetry.sdk.trace.TracerProvider"
    assert process["settings"]["label_sets"] == ["77", "code"]
    assert done.returncode == 0


def test_a_command_in_which_all_is_switched_off(doctor: Doctor) -> None:
    """Nothing is patched in it, and why is told."""
    found = doctor.findings("python", "-c", "import flask", QUARTERDECK_ENABLED="false")

    assert found["status"] == 3
    assert found["facts"]["run"]["processes"] == []
    assert "QUARTERDECK_ENABLED switches everything off" in found["disabled"]["found"]


def test_a_command_that_fails_is_broken(doctor: Doctor) -> None:
    """Its status is told, and what was seen of it until then."""
    (doctor.folder / "service.py").write_text(SERVICE)

    found = doctor.findings("python", "service.py", "3")

    assert found["status"] == 1
    assert "python service.py 3: it ended with status 3 after " in found["command"]["found"]
    assert "flask.app" in found["instrumented"]["found"]


def test_a_command_that_stays_is_ended(doctor: Doctor) -> None:
    """With all that it has started."""
    (doctor.folder / "service.py").write_text(SERVICE)
    (doctor.folder / "start.sh").write_text("python service.py 0 stay & echo $! > pid; wait")

    # Longer and longer, since nobody knows how long a busy machine takes to import Flask.
    for seconds in ("2", "8", "32", "128"):
        found = doctor.findings("--for", seconds, "sh", "start.sh")
        if "flask.app" in found.get("instrumented", {}).get("found", ""):
            break

    assert found["status"] == 0
    assert "flask.app" in found["instrumented"]["found"]
    is_over((doctor.folder / "pid").read_text())


def test_a_hook_that_fails_is_told_with_its_cause(doctor: Doctor) -> None:
    """A release of a framework that is not understood, for one."""
    (doctor.folder / "falcon").mkdir()
    (doctor.folder / "falcon" / "__init__.py").touch()
    (doctor.folder / "falcon" / "app.py").touch()

    found = doctor.findings("python", "-c", "import falcon.app")

    assert found["status"] == 1
    assert "hooks: falcon.app could not be instrumented (AttributeError: " in found["failure"]["found"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--for", "never"), 2, "argument --for"),
        (("--for", "0"), 2, "expected a number of seconds above 0"),
        (("--no-such",), 2, "Found"),
        (("no-such-command",), 1, "no-such-command: FileNotFoundError"),
        (("true",), 3, "no Python process with anything to instrument was seen"),
        (("--help",), 0, "SIGTERM"),
    ],
)
def test_the_exit_status_says_what_to_do(doctor: Doctor, arguments: tuple[str, ...], status: int, words: str) -> None:
    """0 all is well, 1 broken, 2 usage, 3 a person should look."""
    done = doctor.run(*arguments)

    assert done.returncode == status
    assert words in done.stdout + done.stderr or status == 2


def test_a_page_of_ours_is_counted() -> None:
    """The largest metrics of a running service, and those that overflow."""
    with recording(Settings(label_sets=30)) as recorded:
        for path in range(50):
            recorded.runtime.http.active("GET", f"scheme {path}").add(1)
        with answering(200, recorded.text().encode()) as port:
            found, page = machine.port("127.0.0.1", port)

    assert (found.holder, found.number) == (Holder.OURS, port)
    assert f"process {os.getpid()}, " in found.by
    assert page is not None
    assert page.series["http_server_active_requests"] == 31
    assert page.overflowing == ("http_server_active_requests",)
    assert page.labels["http_server_active_requests"] == (("url_scheme", 30), ("http_request_method", 1))


def test_whoever_else_holds_the_port_is_not_us() -> None:
    """A page without our mark, and an address that is not of this machine."""
    with answering(200, b"up 1\n") as port:
        assert machine.port("127.0.0.1", port)[0].holder is Holder.OTHER
    assert machine.port("127.0.0.1", port)[0].holder is Holder.NOBODY
    assert machine.port("192.0.2.1", 9464)[0].holder is Holder.IMPOSSIBLE


@pytest.mark.parametrize(
    ("status", "stage"), [(200, Stage.DONE), (202, Stage.DONE), (401, Stage.HTTP), (404, Stage.HTTP), (503, Stage.HTTP)]
)
def test_the_collectors_answer_decides(status: int, stage: Stage) -> None:
    """As it would decide for spans."""
    with answering(status) as port:
        found = reach(Target(host="127.0.0.1", port=port), post=True)

    assert found.stage is stage
    assert found.detail.startswith(str(status))


def test_each_stage_fails_by_its_name(free_port: int) -> None:
    """The name, the connection, the trust, the answer."""
    assert reach(Target(host="collector.invalid"), post=True).stage is Stage.DNS
    assert reach(Target(host="127.0.0.1", port=free_port), post=True).stage is Stage.TCP
    with answering(200) as port:
        assert reach(Target(scheme="https", host="127.0.0.1", port=port), post=True).stage is Stage.TLS
        assert reach(Target(host="127.0.0.1", port=port), post=False).stage is Stage.DONE
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1 << 16)
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=hang_up)
        thread.start()
        found = reach(Target(host="127.0.0.1", port=listener.getsockname()[1]), post=True)
        thread.join()
    assert found.stage is Stage.HTTP
    assert "BadStatusLine" in found.detail


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_command_too(doctor: Doctor, number: signal.Signals, status: int) -> None:
    """Nobody is left running, even if it comes while the command is being started."""
    (doctor.folder / "start.sh").write_text("echo $$ > pid; exec sleep 600")
    command = [LAUNCHER, "doctor", "--for", "60", "sh", "start.sh"]
    asked = subprocess.Popen(command, env=doctor.environ, cwd=doctor.folder, stdout=subprocess.PIPE, text=True)
    until(lambda: (doctor.folder / "pid").exists() and (doctor.folder / "pid").read_text(), "the command")

    asked.send_signal(number)
    said, _ = asked.communicate()

    assert (asked.returncode, said) == (status, "")
    is_over((doctor.folder / "pid").read_text())
    assert list((doctor.folder / "tmp").iterdir()) == []


def test_a_distribution_that_is_half_removed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without metadata stops nobody."""
    (tmp_path / "opentelemetry_api-9.9.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    versions, _, duplicates = packages.installed()

    assert versions["opentelemetry-api"] != "9.9"
    assert duplicates == ()


@pytest.mark.parametrize("chosen", [False, True], ids=["not chosen", "chosen"])
def test_another_distribution_that_is_really_installed(
    doctor: Doctor,
    environment: Callable[..., Path],
    chosen: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """In an environment of its own: it is named, unless ours is chosen; and all requirements are met."""
    python = environment("doctor", "opentelemetry-distro==0.66b1", "flask>=3")
    done = subprocess.run(
        [python.parent / "quarterdeck-instrument", "doctor", "--for", "600", "--json", python, "-c", "import flask"],
        env={**doctor.environ, **(CHOSEN if chosen else {})},
        capture_output=True,
        text=True,
        check=False,
    )

    whole = json.loads(done.stdout)
    found = {each["name"]: each["found"] for each in whole["findings"]}
    assert done.returncode == (0 if chosen else 3), done.stdout
    assert whole["facts"]["needs"] == []
    named = "distro (opentelemetry-distro), configurator (opentelemetry-distro) beside ours"
    assert (named in found.get("duplicate-distro", "")) is not chosen
    assert "flask.app" in found["instrumented"]


def test_a_configuration_file_is_looked_at(doctor: Doctor) -> None:
    """What it says comes before the variables, which are named as not asked."""
    file = 'file_format: "1.0"\ntracer_provider: {processors: [{simple: {exporter: {console: {}}}}]}\n'
    port = doctor.environ["OTEL_EXPORTER_PROMETHEUS_PORT"]
    file += f"meter_provider: {{readers: [{{pull: {{exporter: {{prometheus/development: {{port: {port}}}}}}}}}]}}\n"
    (doctor.folder / "otel.yaml").write_text(file + "distribution: {quarterdeck: {label_sets: 5}}\n")

    found = doctor.findings(OTEL_CONFIG_FILE="otel.yaml", OTEL_TRACES_SAMPLER="xray", OTEL_EXPORTER_PROMETHEUS_PORT="")

    assert found["status"] == 3
    assert found["config-file"]["found"].startswith("OTEL_CONFIG_FILE=otel.yaml is used, and OTEL_EXPORTER_PROMETHEUS_")
    assert "OTEL_TRACES_SAMPLER not" in found["config-file"]["found"]
    assert found["spans"]["found"].endswith("because OTEL_CONFIG_FILE describes the SDK's provider")
    assert found["facts"]["settings"]["label_sets"] == ["5", "file"]
    assert found["facts"]["settings"]["metrics_port"] == [port, "file"]
    assert found["facts"]["said"] == []


def test_what_is_asked_for_by_an_extra_is_optional() -> None:
    """And what is not OpenTelemetry's is not looked at."""
    requires = ["opentelemetry-api==1.45.1", "opentelemetry-sdk>=1; extra == 'sdk'", "flask>=9", "protobuf<5"]

    needs = list(packages.unmet("opentelemetry-x", "1", requires, {"opentelemetry-api": "1.45.2", "protobuf": "7.1"}))

    assert needs == [
        Need("opentelemetry-x", "1", "opentelemetry-api==1.45.1", "1.45.2"),
        Need("opentelemetry-x", "1", "protobuf<5", "7.1"),
    ]


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/venv/lib/python3.11/site-packages/ddtrace/bootstrap:/srv", ("Datadog",)),
        ("/opt/opentelemetry/instrumentation/auto_instrumentation", ("opentelemetry-instrument",)),
        ("/srv/app", ()),
        ("", ()),
    ],
)
def test_agents_that_start_from_the_path_are_known(path: str, whose: tuple[str, ...]) -> None:
    """By the folder that their launcher put there."""
    assert packages.started_by_path(path) == whose


def test_variables_that_somebody_reads_are_known(install: Callable[..., None]) -> None:
    """Ours, the API's and the SDK's, those of instrumentors, and what a package says it reads."""
    install("reads", "OTEL_OTHER = 'OTEL_OTHER'", opentelemetry_environment_variables={"reads": "reads"})
    known = (
        *(
            "OTEL_SERVICE_NAME",
            "OTEL_TRACES_SAMPLER_ARG",
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        ),
        *("QUARTERDECK_HEALTH_PATHS", "QUARTERDECK_METRICS_DIR", "QUARTERDECK_SESSION_DIR", "OTEL_CONFIG_FILE"),
        *("OTEL_PYTHON_FLASK_EXCLUDED_URLS", "OTEL_LOGS_EXPORTER", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_OTHER", "PATH"),
    )

    assert unknown(dict.fromkeys(known, "x")) == ()
    assert unknown({"OTEL_SERVICENAME": "x", "QUARTERDECK_LABELS": "1"}) == ("OTEL_SERVICENAME", "QUARTERDECK_LABELS")


def test_variables_that_are_not_heeded_are_known() -> None:
    """Those that say nothing, and those of instrumentors that are still OpenTelemetry's, are left out."""
    environ = dict.fromkeys(
        ("OTEL_PYTHON_FLASK_EXCLUDED_URLS", "OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "OTEL_LOGS_EXPORTER"), "x"
    )

    assert [name for name, _ in ignored(environ)] == ["OTEL_LOGS_EXPORTER", "OTEL_PYTHON_FLASK_EXCLUDED_URLS"]
    assert ignored({"OTEL_LOGS_EXPORTER": "none", "OTEL_PYTHON_LOG_CORRELATION": "false"}) == ()


@pytest.mark.parametrize(("rate", "agents"), [("None", ["Datadog"]), ("0.1", ["Datadog", "Sentry's tracing"])])
def test_other_agents_in_the_command_are_told(doctor: Doctor, rate: str, agents: list[str]) -> None:
    """Sentry only if it traces: most have it for errors alone."""
    (doctor.folder / "ddtrace.py").touch()
    client = f"get_client = lambda: type('Client', (), {{'options': {{'traces_sample_rate': {rate}}}}})"
    (doctor.folder / "sentry_sdk.py").write_text(client)

    found = doctor.findings("python", "-c", "import ddtrace, sentry_sdk, flask")

    assert found["status"] == 3
    assert found["facts"]["run"]["processes"][0]["agents"] == agents


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """One that is not there yet is made when it is needed."""
    (tmp_path / "file").touch()

    assert machine.writable(str(tmp_path)) == ""
    assert machine.writable(str(tmp_path / "later" / "on")) == ""
    assert machine.writable(str(tmp_path / "file")).startswith("NotADirectoryError: ")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
