"""Decides what is to be said of the command that was run. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_instrumentation.doctor.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_instrumentation.doctor.facts import Facts, Process


def run(facts: Facts) -> Iterator[Finding]:
    """Look at what the command's processes said of themselves."""
    ran = facts.run
    if ran is None:
        return
    command = " ".join(ran.command)
    if ran.error or ran.status:
        how = ran.error or f"it ended with status {ran.status} after {ran.seconds:g} s"
        yield Finding("command", Level.BROKEN, f"{command}: {how}", "nothing more can be said of it", "see its output")
    elif not ran.processes:
        yield Finding(
            "command",
            Level.WARNING,
            f"{command}: no Python process with anything to instrument was seen in {ran.seconds:g} s",
            "it may not be Python, have an environment of its own, or need longer",
            "give it longer by --for, or start its Python by quarterdeck-instrument inside it",
        )
    for process in ran.processes:
        yield from _of(process)


def _of(process: Process) -> Iterator[Finding]:
    who = f"process {process.pid}"
    patched = [hook.module for hook in process.hooks if not hook.failure]
    loaded = f", and instrumentors for {', '.join(process.instrumentors)}" if process.instrumentors else ""
    yield Finding(
        "instrumented",
        Level.NOTE if patched else Level.WARNING,
        f"{who} ({process.arguments}): {', '.join(patched) or 'nothing'} patched{loaded}",
        "requests through these are measured",
    )
    for component, text in process.failures:
        yield Finding("failure", Level.BROKEN, f"{who}, {component}: {text}", "that part is missing", "see its cause")
    early = [hook.module for hook in process.hooks if hook.early]
    if early:
        yield Finding(
            "import-order",
            Level.NOTE,
            f"{who}: {', '.join(early)} imported before the instrumentation",
            "classes are changed in place, so they are measured; a function that was copied out of a module is not",
        )
    if process.provider and not process.provider.startswith("quarterdeck_instrumentation."):
        yield Finding(
            "provider",
            Level.NOTE,
            f"{who}: the service's own {process.provider} makes the spans",
            "its exporters and its sampler are in force, and ours are not",
        )
    for name, why in process.off_the_page.items():
        yield Finding(
            "off-the-page",
            Level.WARNING,
            f"{who}: the service's metric {name} is not on the page: {why}",
            "nobody can query it",
            "call it otherwise",
        )
    if process.why_sdk:
        yield Finding("provider", Level.NOTE, f"{who}: the SDK makes the spans: {process.why_sdk}", "they cost more")
    if process.native_fastapi.startswith("on "):
        yield Finding(
            "fastapi",
            Level.WARNING,
            f"{who}: FastAPI's own telemetry is {process.native_fastapi}",
            "a request may have two spans",
            "import the instrumentation before FastAPI, or switch FastAPI's off",
        )
    elif process.native_fastapi:
        yield Finding(
            "fastapi", Level.NOTE, f"{who}: FastAPI's own telemetry is {process.native_fastapi}", "one span each"
        )
