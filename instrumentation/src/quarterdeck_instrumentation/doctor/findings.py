"""Decides from facts what is broken, what a person should look at, and what is good to know. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, EXIT_INCONCLUSIVE
from quarterdeck_instrumentation.doctor.command_findings import run
from quarterdeck_instrumentation.doctor.facts import Holder, Stage
from quarterdeck_instrumentation.doctor.finding import Finding, Level
from quarterdeck_instrumentation.doctor.packages import LAUNCHER, OURS, is_telemetry
from quarterdeck_instrumentation.doctor.versions import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from quarterdeck_instrumentation.doctor.facts import Facts, Reach

PYTHON = (3, 11)
"""The oldest Python this runs on."""
OPENTELEMETRY = ">=1.39,<2"
"""Versions of OpenTelemetry's API and SDK that are tested, and required."""
_TOP = 5
"""Metric families that are named as the largest."""


def examine(facts: Facts) -> list[Finding]:
    """Return all findings, what matters most first."""
    found = [finding for check in CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: -finding.level)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 when all is well, 1 when something is broken, 3 when a person should look."""
    worst = max((finding.level for finding in findings), default=Level.NOTE)
    return {Level.NOTE: EXIT_DONE, Level.WARNING: EXIT_INCONCLUSIVE, Level.BROKEN: EXIT_FAILED}[worst]


def versions(facts: Facts) -> Iterator[Finding]:
    """Look at Python, and at OpenTelemetry's packages and what they need of each other."""
    if facts.python < PYTHON:
        found = f"Python {'.'.join(map(str, facts.python))}"
        yield Finding("python", Level.BROKEN, found, "3.11 is the oldest that is tested", "use a newer Python")
    for name in ("opentelemetry-api", "opentelemetry-sdk"):
        version = facts.packages.get(name, "")
        if not version:
            yield Finding(
                "version", Level.BROKEN, f"{name} is not installed", "nothing runs without it", f"install {name}"
            )
        elif not fits(version, OPENTELEMETRY):
            yield Finding(
                "version",
                Level.BROKEN,
                f"{name} {version}",
                f"{OURS} is tested with {OPENTELEMETRY}",
                f"install {name}{OPENTELEMETRY}",
            )
    for need in facts.needs:
        have = f"{need.found} is installed" if need.found else "it is not installed"
        yield Finding(
            "version-misfit",
            Level.BROKEN,
            f"{need.distribution} {need.version} needs {need.requirement}, and {have}",
            "OpenTelemetry's packages are released in sets, some of them incomplete, and fail when they are mixed",
            f"install {OURS}[contrib], whose set fits together, or pin what you have to one release",
        )
    for name in facts.duplicates:
        yield Finding(
            "duplicate-package",
            Level.WARNING,
            f"{name} is installed more than once",
            "which one is imported depends on the order of the path",
            "remove all but one, or take a copied folder off PYTHONPATH",
        )
    hooked = [f"{name} {version}" for name, version in facts.packages.items() if not is_telemetry(name)]
    if hooked:
        yield Finding(
            "hooks", Level.NOTE, f"there are hooks for {', '.join(hooked)}", "what is not ours needs [contrib]"
        )
    set_of = ", ".join(
        f"{name} {facts.packages[name]}" for name in (OURS, "opentelemetry-api") if name in facts.packages
    )
    yield Finding("versions", Level.NOTE, set_of or "a copied folder", "these are at work")


def distros(facts: Facts) -> Iterator[Finding]:
    """Look for other distributions, which `opentelemetry-instrument` may load in our place."""
    others = [each for each in facts.distros if OURS not in each]
    if others and not (facts.distro_chosen == facts.configurator_chosen == "quarterdeck"):
        chosen = (
            f"OTEL_PYTHON_DISTRO is {facts.distro_chosen or 'not set'}, "
            f"OTEL_PYTHON_CONFIGURATOR {facts.configurator_chosen or 'not'}"
        )
        yield Finding(
            "duplicate-distro",
            Level.WARNING,
            f"{', '.join(others)} beside ours, and {chosen}",
            "under opentelemetry-instrument the first that is found is loaded, and that may be another",
            "set OTEL_PYTHON_DISTRO and OTEL_PYTHON_CONFIGURATOR to quarterdeck, or start by quarterdeck-instrument",
        )


def agents(facts: Facts) -> Iterator[Finding]:
    """Look for agents that patch what is patched here."""
    processes = facts.run.processes if facts.run is not None else ()
    started = {agent for agent in facts.agents if not (agent == LAUNCHER and facts.distro_chosen == "quarterdeck")}
    imported = {agent for process in processes for agent in process.agents}
    for agent in sorted(started | imported):
        yield Finding(
            "other-agent",
            Level.WARNING,
            f"{agent} is at work as well",
            "two agents mean two spans for a request, and twice the cost",
            "start the service with one of them, or switch the other's tracing off",
        )


def settings(facts: Facts) -> Iterator[Finding]:
    """Look at what was asked for and cannot be done, or by a name that nobody knows."""
    if not facts.enabled:
        yield Finding(
            "disabled",
            Level.WARNING,
            "OTEL_SDK_DISABLED or QUARTERDECK_ENABLED switches everything off",
            "there are neither metrics nor spans",
            "unset it, if that is not meant",
        )
    for component, text in facts.said:
        where = "setting" if component == "settings" else component
        mend = "give what it names a value of docs/reference/instrumentation.md, or unset it, and start anew"
        yield Finding(where, Level.WARNING, text, "what was asked for is not what happens", mend)
    for name, instead in facts.ignored_variables:
        yield Finding(
            "ignored-variable",
            Level.WARNING,
            f"{name} is set, and not heeded: {instead}",
            "what it asks for does not happen",
            "unset it",
        )
    for name in facts.unknown_variables:
        yield Finding(
            "unknown-variable",
            Level.WARNING,
            f"{name} is set, and nobody reads it",
            "it may be misspelt",
            "compare it with the table of settings, or unset it",
        )
    if facts.config_file_used:
        ignored = sorted(name for name in facts.variables if name.startswith("OTEL_") and name not in _WITH_A_FILE)
        yield Finding(
            "config-file",
            Level.WARNING if ignored else Level.NOTE,
            f"OTEL_CONFIG_FILE={facts.config_file} is used" + (f", and {', '.join(ignored)} not" if ignored else ""),
            "where there is a file, OpenTelemetry's variables are not asked",
            "say in the file what they say, or unset them" if ignored else "",
        )


_WITH_A_FILE = frozenset({"OTEL_CONFIG_FILE", "OTEL_SDK_DISABLED", "OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"})


def page(facts: Facts) -> Iterator[Finding]:
    """Look at the page's port, and at what a running service shows on it."""
    port = facts.port
    if port is None:
        yield Finding("page-off", Level.NOTE, "there is no page", "OTEL_METRICS_EXPORTER=none or a file says so")
        return
    where = f"{port.host}:{port.number}"
    by = f" ({port.by})" if port.by else ""
    if port.holder is Holder.NOBODY:
        yield Finding("page-port", Level.NOTE, f"{where} is free", "the page will be there")
    elif port.holder is Holder.OURS:
        yield Finding("page-port", Level.NOTE, f"{where} is the page of a running service{by}", "it can be scraped")
    elif port.holder is Holder.IMPOSSIBLE:
        yield Finding(
            "page-port",
            Level.BROKEN,
            f"nobody can listen on {where}{by}",
            "there will be no page",
            "set OTEL_EXPORTER_PROMETHEUS_HOST to an address of this machine, and the port to 1024 or more",
        )
    else:
        yield Finding(
            "page-port",
            Level.BROKEN,
            f"{where} is taken by another program{by}",
            "the page will not be there until that ends",
            "end it, or set OTEL_EXPORTER_PROMETHEUS_PORT to a free port",
        )
    yield from _cardinality(facts)


def _cardinality(facts: Facts) -> Iterator[Finding]:
    if facts.page is None:
        return
    largest = sorted(facts.page.series.items(), key=lambda pair: -pair[1])[:_TOP]
    shown = ", ".join(f"{family} {series}" for family, series in largest)
    yield Finding("cardinality", Level.NOTE, f"{sum(facts.page.series.values())} series, most of {shown}", "each costs")
    for family in facts.page.overflowing:
        fills = "".join(f": {label} has {values} values" for label, values in facts.page.labels.get(family, ())[:1])
        yield Finding(
            "cardinality-overflow",
            Level.WARNING,
            f"{family} has more label sets than it may have{fills}",
            "those beyond the limit share one series, so that they cannot be told apart",
            "find the label that grows with the traffic, or raise QUARTERDECK_LABEL_SETS",
        )


def folder(facts: Facts) -> Iterator[Finding]:
    """Look at the folders that workers share."""
    if facts.folder_error:
        yield Finding(
            "session-folder",
            Level.BROKEN,
            f"nothing can be written in {facts.folder} ({facts.folder_error})",
            "workers are not added up: the page shows one of them",
            "set QUARTERDECK_METRICS_DIR to a folder that the service may write to",
        )
    if facts.multiproc_dir_error:
        yield Finding(
            "multiprocess-folder",
            Level.BROKEN,
            f"PROMETHEUS_MULTIPROC_DIR={facts.multiproc_dir} cannot be written to ({facts.multiproc_dir_error})",
            "prometheus_client raises when the service's own metrics are made",
            "make the folder, or unset the variable",
        )
    elif facts.multiproc_dir:
        yield Finding(
            "multiprocess-folder",
            Level.NOTE,
            f"PROMETHEUS_MULTIPROC_DIR={facts.multiproc_dir}",
            "prometheus_client keeps its own values there too; our page needs no such folder",
        )


def tracing(facts: Facts) -> Iterator[Finding]:
    """Look at where spans go, who makes them, and which are kept."""
    if not facts.exporters:
        yield Finding(
            "no-spans",
            Level.NOTE,
            "spans go nowhere",
            "neither OTEL_TRACES_EXPORTER nor an endpoint of a collector is set",
        )
        return
    path = "the lean path makes them" if facts.lean else f"the SDK makes them, because {'; '.join(facts.why_sdk)}"
    yield Finding("spans", Level.NOTE, f"spans go to {', '.join(facts.exporters)}; {path}", "the SDK's cost a tenfold")
    if facts.sampler:
        yield Finding("sampler", Level.NOTE, f"the sampler is {facts.sampler}", "it decides which traces are kept")
    if facts.proxy:
        yield Finding(
            "proxy",
            Level.WARNING,
            f"{facts.proxy} is set, and spans are posted without a proxy",
            "a collector that is behind the proxy is not reached",
            "set OTEL_TRACES_EXPORTER=otlp_proto_http, whose exporter heeds it, or name the collector in NO_PROXY",
        )
    yield from _collector(facts.reach, "spans")


def pushing(facts: Facts) -> Iterator[Finding]:
    """Look at the collector that metrics are pushed to."""
    yield from _collector(facts.reach_metrics, "metrics")


_COLLECTOR = {
    Stage.DNS: "check the endpoint's name",
    Stage.TCP: "check that the collector runs and that its port (4318 for HTTP, 4317 for gRPC) is open to this machine",
    Stage.TLS: "check OTEL_EXPORTER_OTLP_CERTIFICATE, the collector's name in its certificate, and http against https",
    Stage.HTTP: "check the path, OTEL_EXPORTER_OTLP_HEADERS, and that the port takes OTLP over HTTP",
}


def _collector(reach: Reach | None, what: str) -> Iterator[Finding]:
    if reach is None:
        return
    if reach.stage is Stage.DONE:
        did = "took an empty batch" if reach.posted else "accepts connections; gRPC itself was not tried"
        yield Finding("collector", Level.NOTE, f"{reach.url} {did} ({reach.detail})", f"{what} can be sent")
        return
    stage = reach.stage.name.lower()
    yield Finding(
        f"collector-{stage}",
        Level.BROKEN,
        f"{reach.url}: {reach.stage.value} ({stage.upper()}: {reach.detail})",
        f"{what} are dropped, and that is counted",
        _COLLECTOR[reach.stage],
    )


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    versions,
    distros,
    agents,
    settings,
    page,
    folder,
    tracing,
    pushing,
    run,
)
"""All that is looked at, in the order it is told in."""
