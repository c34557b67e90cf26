"""What instrumentation costs a process: `python tests/bench/process_cost.py [start] [memory] [black-hole]`.

start: processor time, user and system, from the launcher to the first response and the end, .pyc files compiled;
median of the differences to the bare application in the same environment, taken in turns.
memory: resident bytes after 10,000 requests, over the bare application.
lasting: with `--long`, how ours grows from then up to a million.
black-hole: a collector that takes connections and never answers: growth over 20,000 requests after the first 10,000,
how often the serving thread waited, its processor time, and for ours a request's instructions, compared with a
collector that answers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import results
from cases import CASES, DRIVE, OURS, SITES, Variant, database, environment, python_of
from counting import count
from sink import Answers, Sink

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 11
REQUESTS = 10_000
LONG = 1_000_000
SWALLOWED = 30_000
_LAUNCH = "from quarterdeck_instrumentation.launcher import main; main()"
"""What the script `quarterdeck-instrument` says."""
STARTED = (
    ("fastapi", "metrics"),
    ("fastapi", "span"),
    ("fastapi", "distro"),
    ("fastapi", "native"),
    ("fastapi", "ddtrace"),
    ("flask", "span"),
    ("flask", "distro"),
    ("flask", "ddtrace"),
    ("django", "span"),
    ("django", "distro"),
    ("django", "ddtrace"),
)
REMEMBERED = (("fastapi", "span"), ("fastapi", "distro"), ("fastapi", "native"), ("fastapi", "ddtrace"))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="start, memory, black-hole; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"starts of each case ({ROUNDS})")
    parser.add_argument("--long", action="store_true", help="send a million requests to ours as well")
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    parts = {
        "start": lambda: [start(*case, options.rounds) for case in STARTED],
        "memory": lambda: [memory(*case) for case in REMEMBERED],
        **({"lasting": lambda: [lasting()]} if options.long else {}),
        "black-hole": lambda: [swallowed(variant) for variant in ("span", "distro")],
    }
    for part in options.parts or parts:
        rows = parts[part]()
        if options.write:
            results.write(part, rows, key=("application", "variant"))


def start(application: str, name: str, rounds: int) -> dict[str, Any]:
    """Return the processor seconds that *name* adds to the start of *application*."""
    variant = CASES[application][name]
    bare = Variant("not instrumented", variant.venv)
    with database() as file, Sink() as sink:
        _cpu(application, bare, file, sink.url)
        _cpu(application, variant, file, sink.url)  # .pyc files are there from now on
        pairs = [
            (_cpu(application, bare, file, sink.url), _cpu(application, variant, file, sink.url)) for _ in range(rounds)
        ]
    added = statistics.median(instrumented - without for without, instrumented in pairs)
    without = statistics.median(each for each, _ in pairs)
    return _row(application, name, {"bare": round(without, 3), "added": round(added, 3)})


def memory(application: str, name: str) -> dict[str, Any]:
    """Return the resident bytes that *name* adds to *application* after some requests."""
    variant = CASES[application][name]
    with database() as file, Sink() as sink:
        bare = _reported(application, Variant("", variant.venv), file, sink.url, requests=REQUESTS, each=REQUESTS)[-1]
        with_it = _reported(application, variant, file, sink.url, requests=REQUESTS, each=REQUESTS)[-1]
    figures = {"bare": bare["resident"], "added": with_it["resident"] - bare["resident"]}
    return _row(application, name, figures)


def lasting() -> dict[str, Any]:
    """Return how ours grows between ten thousand and a million requests."""
    with database() as file, Sink() as sink:
        lines = _reported("fastapi", CASES["fastapi"]["span"], file, sink.url, requests=LONG, each=REQUESTS)
    growth = lines[-1]["resident"] - lines[1]["resident"]
    return _row("fastapi", "span", {"before": lines[1]["resident"], "growth": growth})


def swallowed(name: str) -> dict[str, Any]:
    """Return what becomes of *name* when its collector takes everything and answers nothing."""
    found: dict[str, Any] = {}
    variant = CASES["fastapi"][name]
    for answers in Answers:
        with database() as file, Sink(answers) as sink:
            lines = _reported("fastapi", variant, file, sink.url, requests=SWALLOWED, each=SWALLOWED // 3)
        found[f"growth, {answers.value}"] = lines[-1]["resident"] - lines[1]["resident"]
        found[f"waits, {answers.value}"] = lines[-1]["waits"] - lines[1]["waits"]
        found[f"microseconds, {answers.value}"] = round(
            (lines[-1]["cpu"] - lines[1]["cpu"]) / (SWALLOWED * 2 / 3) * 1e6
        )
        if not variant.peer:  # others' flush waits for minutes
            counted = count("fastapi", name, answers=answers)
            found[f"instructions, {answers.value}"] = round(counted.instructions)
    return _row("fastapi", name, found)


def _cpu(application: str, variant: Variant, file: Path, sink: str) -> float:
    command, environ = launched(variant, file, sink, [str(DRIVE), application])
    process = subprocess.Popen(command, env=environ, cwd=file.parent, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{application} with {variant.what} failed")
    return usage.ru_utime + usage.ru_stime


def launched(variant: Variant, file: Path, sink: str, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs Python with *arguments* under the variant's own launcher, and its environment."""
    python = python_of(variant)
    environ = environment(variant, file, sink, python)
    command = [str(python), *arguments]
    if variant.bootstrap and not variant.peer:
        environ["PYTHONPATH"] = os.pathsep.join((str(OURS), str(SITES)))
        return [str(python), "-c", _LAUNCH, *command], environ
    if variant.bootstrap:
        launcher = {"opentelemetry": "opentelemetry-instrument", "ddtrace": "ddtrace-run"}[variant.venv]
        environ["PYTHONPATH"] = str(SITES)
        return [str(python.with_name(launcher)), *command], environ
    return command, environ


def _reported(
    application: str,
    variant: Variant,
    file: Path,
    sink: str,
    *,
    requests: int,
    each: int,
) -> list[dict[str, float]]:
    """Return what a process said of itself, which sends by time and in batches, as a service does by default."""
    python = python_of(variant)
    environ = environment(variant, file, sink, python)
    environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = "9465"  # beside whatever is on this machine's default
    for name in ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
        environ.pop(name, None)
    command = [python, DRIVE, application, "--requests", str(requests), "--report", str(each)]
    with subprocess.Popen(command, env=environ, cwd=file.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [json.loads(line) for line in process.stdout if line.startswith("{")]
        process.kill()  # an exporter that waits for its collector would
    return lines


def _row(application: str, variant: str, figures: dict[str, Any]) -> dict[str, Any]:
    row = {"application": application, "variant": variant, **figures}
    print(json.dumps(row), flush=True)  # noqa: T201 -- a script's output
    return row


if __name__ == "__main__":
    sys.exit(main())
