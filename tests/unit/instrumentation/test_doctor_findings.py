"""What the doctor makes of what it has seen: pure decisions, one row for each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from quarterdeck_instrumentation.doctor.facts import Facts, Holder, Hook, Need, Page, Port, Process, Reach, Run, Stage
from quarterdeck_instrumentation.doctor.finding import Level
from quarterdeck_instrumentation.doctor.findings import examine, exit_code
from quarterdeck_instrumentation.doctor.report import as_json, text
from quarterdeck_instrumentation.doctor.versions import fits, requirement

WELL = Facts(
    python=(3, 11, 7),
    packages={
        "quarterdeck-instrumentation": "0.1.0",
        "opentelemetry-api": "1.45.1",
        "opentelemetry-sdk": "1.45.1",
    },
    settings={"metrics_port": ("9464", "default")},
    port=Port("localhost", 9464, Holder.NOBODY),
    folder="/dev/shm",  # noqa: S108 -- nothing is written
)
"""A machine on which all is well."""
PROCESS = Process(
    7, "uvicorn app:app", hooks=(Hook("fastapi.applications", "fastapi:patch_applications", early=False),)
)
RUN = Run(("uvicorn", "app:app"), 5.0, None, processes=(PROCESS,))


def test_all_is_well() -> None:
    """Nothing but notes, and a status of 0."""
    findings = examine(WELL)

    assert {finding.level for finding in findings} == {Level.NOTE}
    assert [finding.name for finding in findings] == ["versions", "page-port", "no-spans"]
    assert exit_code(findings) == 0
    assert text(WELL, findings).endswith("Settings that are not the defaults:\n  none\n\nAll is well.\n")


@pytest.mark.parametrize(
    ("change", "name", "level", "words"),
    [
        ({"python": (3, 10, 2)}, "python", Level.BROKEN, "Python 3.10.2"),
        ({"packages": {"opentelemetry-api": "1.45.1"}}, "version", Level.BROKEN, "opentelemetry-sdk is not installed"),
        (
            {"packages": {**WELL.packages, "opentelemetry-sdk": "1.38.0"}},
            "version",
            Level.BROKEN,
            "opentelemetry-sdk 1.38.0",
        ),
        (
            {
                "needs": (
                    Need("opentelemetry-instrumentation-flask", "0.66b1", "opentelemetry-util-http==0.66b1", "0.66b2"),
                )
            },
            "version-misfit",
            Level.BROKEN,
            "opentelemetry-instrumentation-flask 0.66b1 needs opentelemetry-util-http==0.66b1, and 0.66b2 is installed",
        ),
        (
            {"needs": (Need("opentelemetry-sdk", "1.45.1", "opentelemetry-semantic-conventions==0.66b1", ""),)},
            "version-misfit",
            Level.BROKEN,
            "it is not installed",
        ),
        (
            {"packages": {**WELL.packages, "fastapi": "0.165.0", "flask": "3.1.3"}},
            "hooks",
            Level.NOTE,
            "there are hooks for fastapi 0.165.0, flask 3.1.3",
        ),
        (
            {"duplicates": ("opentelemetry-api (1.45.1, 1.39.0)",)},
            "duplicate-package",
            Level.WARNING,
            "opentelemetry-api (1.45.1, 1.39.0) is installed more than once",
        ),
        (
            {"distros": ("distro (opentelemetry-distro)", "quarterdeck (quarterdeck-instrumentation)")},
            "duplicate-distro",
            Level.WARNING,
            "distro (opentelemetry-distro) beside ours, and OTEL_PYTHON_DISTRO is not set, OTEL_PYTHON_CONFIGURATOR",
        ),
        ({"agents": ("Datadog",)}, "other-agent", Level.WARNING, "Datadog is at work as well"),
        (
            {"ignored_variables": (("OTEL_LOGS_EXPORTER", "logs are sent nowhere"),)},
            "ignored-variable",
            Level.WARNING,
            "OTEL_LOGS_EXPORTER is set, and not heeded: logs are sent nowhere",
        ),
        ({"enabled": False}, "disabled", Level.WARNING, "switches everything off"),
        ({"said": (("settings", "X: expected a port"),)}, "setting", Level.WARNING, "X: expected a port"),
        (
            {"unknown_variables": ("OTEL_TRACE_SAMPLER",)},
            "unknown-variable",
            Level.WARNING,
            "OTEL_TRACE_SAMPLER is set, and nobody reads it",
        ),
        (
            {"config_file": "o.yaml", "config_file_used": True},
            "config-file",
            Level.NOTE,
            "OTEL_CONFIG_FILE=o.yaml is used",
        ),
        (
            {
                "config_file": "o.yaml",
                "config_file_used": True,
                "variables": frozenset({"OTEL_CONFIG_FILE", "OTEL_SERVICE_NAME", "QUARTERDECK_LABEL_SETS"}),
            },
            "config-file",
            Level.WARNING,
            "OTEL_CONFIG_FILE=o.yaml is used, and OTEL_SERVICE_NAME not",
        ),
        ({"port": None}, "page-off", Level.NOTE, "there is no page"),
        (
            {"port": Port("localhost", 9464, Holder.OTHER, "process 12, nginx")},
            "page-port",
            Level.BROKEN,
            "localhost:9464 is taken by another program (process 12, nginx)",
        ),
        (
            {"port": Port("h", 80, Holder.IMPOSSIBLE, "why")},
            "page-port",
            Level.BROKEN,
            "nobody can listen on h:80 (why)",
        ),
        ({"port": Port("h", 1, Holder.OURS)}, "page-port", Level.NOTE, "h:1 is the page of a running service"),
        (
            {"page": Page({"a_seconds": 40, "b": 2}, ())},
            "cardinality",
            Level.NOTE,
            "42 series, most of a_seconds 40, b 2",
        ),
        (
            {"page": Page({"a": 1}, ("a",), {"a": (("user", 30), ("shop", 2))})},
            "cardinality-overflow",
            Level.WARNING,
            "a has more label sets than it may have: user has 30 values",
        ),
        (
            {"folder": "/x", "folder_error": "OSError: full"},
            "session-folder",
            Level.BROKEN,
            "nothing can be written in /x (OSError: full)",
        ),
        (
            {"multiproc_dir": "/p", "multiproc_dir_error": "OSError: full"},
            "multiprocess-folder",
            Level.BROKEN,
            "PROMETHEUS_MULTIPROC_DIR=/p cannot be written to",
        ),
        ({"multiproc_dir": "/p"}, "multiprocess-folder", Level.NOTE, "PROMETHEUS_MULTIPROC_DIR=/p"),
        ({"exporters": ("otlp",), "lean": True}, "spans", Level.NOTE, "spans go to otlp; the lean path makes them"),
        (
            {"exporters": ("console",), "why_sdk": ("the exporter console is the SDK's",)},
            "spans",
            Level.NOTE,
            "the SDK makes them, because the exporter console is the SDK's",
        ),
        (
            {"exporters": ("otlp",), "sampler": "traceidratio 0.1"},
            "sampler",
            Level.NOTE,
            "the sampler is traceidratio 0.1",
        ),
        ({"exporters": ("otlp",), "proxy": "HTTPS_PROXY"}, "proxy", Level.WARNING, "HTTPS_PROXY is set"),
        (
            {"exporters": ("otlp",), "reach": Reach("http://c:4318/v1/traces", Stage.DONE, "200 OK")},
            "collector",
            Level.NOTE,
            "http://c:4318/v1/traces took an empty batch (200 OK)",
        ),
        (
            {"exporters": ("otlp",), "reach": Reach("http://c:4317", Stage.DONE, "connected", posted=False)},
            "collector",
            Level.NOTE,
            "http://c:4317 accepts connections; gRPC itself was not tried",
        ),
        *[
            (
                {"exporters": ("otlp",), "reach": Reach("http://c:4318/v1/traces", stage, "why")},
                f"collector-{stage.name.lower()}",
                Level.BROKEN,
                f"http://c:4318/v1/traces: {stage.value} ({stage.name}: why)",
            )
            for stage in (Stage.DNS, Stage.TCP, Stage.TLS, Stage.HTTP)
        ],
        (
            {"reach_metrics": Reach("http://c:4318/v1/metrics", Stage.TCP, "why")},
            "collector-tcp",
            Level.BROKEN,
            "http://c:4318/v1/metrics: no connection can be made (TCP: why)",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, off_the_page={"a": "the contract has one"}),))},
            "off-the-page",
            Level.WARNING,
            "the service's metric a is not on the page: the contract has one",
        ),
        ({"run": RUN}, "instrumented", Level.NOTE, "process 7 (uvicorn app:app): fastapi.applications patched"),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, instrumentors=("redis",)),))},
            "instrumented",
            Level.NOTE,
            "fastapi.applications patched, and instrumentors for redis",
        ),
        ({"run": replace(RUN, status=3)}, "command", Level.BROKEN, "it ended with status 3 after 5 s"),
        ({"run": replace(RUN, error="no such file")}, "command", Level.BROKEN, "uvicorn app:app: no such file"),
        (
            {"run": replace(RUN, processes=())},
            "command",
            Level.WARNING,
            "no Python process with anything to instrument was seen in 5 s",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, failures=(("hooks", "flask.app could not be"),)),))},
            "failure",
            Level.BROKEN,
            "process 7, hooks: flask.app could not be",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, hooks=(Hook("flask.app", "f", early=True),)),))},
            "import-order",
            Level.NOTE,
            "flask.app imported before the instrumentation",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, provider="opentelemetry.sdk.trace.TracerProvider"),))},
            "provider",
            Level.NOTE,
            "the service's own opentelemetry.sdk.trace.TracerProvider makes the spans",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, why_sdk="Mine reads the SDK's spans"),))},
            "provider",
            Level.NOTE,
            "the SDK makes the spans: Mine reads the SDK's spans",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, native_fastapi="on as soon as"),))},
            "fastapi",
            Level.WARNING,
            "FastAPI's own telemetry is on as soon as",
        ),
        (
            {"run": replace(RUN, processes=(replace(PROCESS, agents=("ddtrace",)),))},
            "other-agent",
            Level.WARNING,
            "ddtrace is at work as well",
        ),
    ],
)
def test_each_fact_has_its_finding(change: dict[str, object], name: str, level: Level, words: str) -> None:
    """What was found, how much it matters, and what to do where something is to be done."""
    facts = replace(WELL, **change)  # type: ignore[arg-type]  # the table's values are objects
    findings = examine(facts)

    (finding,) = [each for each in findings if each.name == name and words in each.found]
    assert finding.level is level
    assert finding.why
    assert bool(finding.next_step) is (level is not Level.NOTE)
    assert exit_code(findings) == {Level.NOTE: 0, Level.WARNING: 3, Level.BROKEN: 1}[level]
    assert words in text(facts, findings)


def test_a_distro_that_is_chosen_is_no_riddle() -> None:
    """Others may be installed: ours is the one that is loaded, if its configurator is chosen too."""
    half = replace(WELL, distros=("distro (opentelemetry-distro)",), distro_chosen="quarterdeck")

    assert "duplicate-distro" in {finding.name for finding in examine(half)}
    whole = replace(half, configurator_chosen="quarterdeck")
    assert "duplicate-distro" not in {finding.name for finding in examine(whole)}


def test_the_launcher_that_starts_ours_is_no_other_agent() -> None:
    """`opentelemetry-instrument` is told which distribution to start."""
    facts = replace(WELL, agents=("opentelemetry-instrument",))

    assert "other-agent" in {finding.name for finding in examine(facts)}
    assert "other-agent" not in {finding.name for finding in examine(replace(facts, distro_chosen="quarterdeck"))}


def test_what_matters_most_comes_first() -> None:
    """A person reads from the top."""
    facts = replace(WELL, python=(3, 9, 0), agents=("Datadog",))

    levels = [finding.level for finding in examine(facts)]

    assert levels == sorted(levels, reverse=True)


def test_the_form_for_machines_is_stable() -> None:
    """These keys, and no others without a new version; facts are all there."""
    facts = replace(WELL, run=RUN, page=Page({"a": 1}, ()), reach=Reach("u", Stage.DONE, "200"), exporters=("otlp",))

    whole = json.loads(as_json(facts, examine(facts)))

    assert list(whole) == ["schema", "exit_code", "findings", "facts"]
    assert (whole["schema"], whole["exit_code"]) == (1, 0)
    assert {tuple(finding) for finding in whole["findings"]} == {("name", "level", "found", "why", "next")}
    assert {finding["level"] for finding in whole["findings"]} == {"note"}
    assert list(whole["facts"]) == list(Facts.__dataclass_fields__)
    assert whole["facts"]["port"] == {"host": "localhost", "number": 9464, "holder": "nobody", "by": ""}
    assert whole["facts"]["run"]["processes"][0]["hooks"] == [
        {"module": "fastapi.applications", "patch": "fastapi:patch_applications", "early": False, "failure": ""}
    ]


@pytest.mark.parametrize(
    ("version", "clauses", "fit"),
    [
        ("1.45.1", ">=1.39,<2", True),
        ("1.38.9", ">=1.39,<2", False),
        ("2.0", ">=1.39,<2", False),
        ("1.45", "==1.45.0", True),
        ("0.66b1", "==0.66b1", True),
        ("0.66b2", "==0.66b1", False),
        ("0.66b2", ">=0.66b1", True),
        ("0.66", ">0.66b2", True),
        ("1.0rc1", "<1.0", True),
        ("1.46.1", "~=1.12", True),
        ("2.0", "~=1.12", False),
        ("1.12.4", "~=1.12.3", True),
        ("1.13", "~=1.12.3", False),
        ("1.45.1", "==1.45.*", True),
        ("1.46", "!=1.45.*", True),
        ("1.45.1", "!=1.45.1", False),
        ("strange", ">=1", True),
        ("1.0", "whatever", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_pip_compares_them(version: str, clauses: str, fit: bool) -> None:  # noqa: FBT001 -- a parameter
    """What is in no form known here is taken to fit: the doctor never cries wolf."""
    assert fits(version, clauses) is fit


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        ("opentelemetry-api==1.45.1", ("opentelemetry-api", "==1.45.1", "")),
        ("opentelemetry-api (>=1.39,<2)", ("opentelemetry-api", ">=1.39,<2", "")),
        ("redis[hiredis] >=5 ; extra == 'instruments'", ("redis", ">=5", "extra == 'instruments'")),
        ("flask", ("flask", "", "")),
        ("@ strange", ("@ strange", "", "")),
    ],
)
def test_requirements_are_read(stated: str, read: tuple[str, str, str]) -> None:
    """Name, clauses and marker, whatever the spelling."""
    assert requirement(stated) == read
