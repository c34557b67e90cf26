"""The command line of the doctor."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from quarterdeck_instrumentation.doctor.findings import examine, exit_code
from quarterdeck_instrumentation.doctor.gather import gather
from quarterdeck_instrumentation.doctor.report import as_json, text
from quarterdeck_instrumentation.doctor.run import GRACE, StoppedError, run
from quarterdeck_instrumentation.exposition import session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SECONDS = 5.0
"""Seconds a command runs, unless --for says otherwise: enough for most services to load."""
_BY_A_SIGNAL = 128
"""Added to a signal's number, it is the exit status of whoever it ended, as shells have it."""
_DESCRIPTION = """\
Says what keeps this environment's telemetry from working, or will: versions, other
agents, settings, ports, folders, the collector. Nothing is changed. One empty batch is
posted to the collector, one page is asked of the metrics port, one unnamed file is written.
"""
_EPILOGUE = f"""\
With COMMAND, it is run under the instrumentation for real: it opens its ports and talks
to its databases as always. When it has run long enough it gets SIGTERM, and {GRACE:g} s later
SIGKILL, with all it started. What it prints goes to standard error.

Exit status: 0 all is well, 1 something is broken, 2 wrong usage, 3 a person should look.

  quarterdeck-instrument doctor
  quarterdeck-instrument doctor --for 10 gunicorn app:app
"""


def main(arguments: Sequence[str], prepare: Callable[[dict[str, str]], dict[str, str]]) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: what follows `doctor`.
        prepare: returns the environment that a command is run in, as `quarterdeck-instrument` runs it.
    """
    asked = _parser().parse_args(arguments)
    logging.disable()  # what is said while looking is in the findings
    facts = gather(dict(os.environ))
    if asked.command:
        environ = prepare(dict(os.environ))
        try:
            facts = replace(facts, run=run(asked.command, asked.seconds, environ))
        except StoppedError as stopped:
            return _BY_A_SIGNAL + stopped.number
        finally:
            session.remove(environ.get(session.VARIABLE, ""))
    findings = examine(facts)
    sys.stdout.write(as_json(facts, findings) if asked.json else text(facts, findings))
    return exit_code(findings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quarterdeck-instrument doctor",
        description=_DESCRIPTION,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="tell it to a machine; the form is stable")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        default=_SECONDS,
        metavar="SECONDS",
        help=f"how long COMMAND runs at most (default {_SECONDS:g})",
    )
    what = "run this, and say what is instrumented in it"
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help=what)
    return parser


def _seconds(given: str) -> float:
    seconds = float(given)
    if not 0 < seconds <= 3600:  # noqa: PLR2004 -- nobody waits longer for a diagnosis
        raise argparse.ArgumentTypeError("expected a number of seconds above 0, at most 3600")
    return seconds
