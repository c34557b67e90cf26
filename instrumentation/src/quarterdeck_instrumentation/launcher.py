"""`quarterdeck-instrument CMD…`: prepares the environment, then becomes the command.

It becomes it, by `exec`: process id, signals, standard streams and exit status are the command's own.
"""

from __future__ import annotations

import os
import sys

from quarterdeck_contract.errors import EXIT_DONE, EXIT_USAGE
from quarterdeck_instrumentation.exposition import session

_USAGE = """\
Usage: quarterdeck-instrument COMMAND [ARGUMENT…]
       quarterdeck-instrument doctor [--json] [--for SECONDS] [COMMAND [ARGUMENT…]]
       quarterdeck-instrument --version

Runs COMMAND with its Python services instrumented: /metrics for all their workers on
OTEL_EXPORTER_PROMETHEUS_HOST:PORT (default localhost:9464), and spans where OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_TRACES_EXPORTER says.

  quarterdeck-instrument uvicorn app:app --workers 4

`doctor` says what keeps telemetry from working; see `quarterdeck-instrument doctor --help`.
"""
_DISTRIBUTION = "quarterdeck-instrumentation"
"""Whose version is the launcher's."""
_NOT_FOUND = 127
"""Exit status of shells for a command there is none of."""
_NOT_EXECUTABLE = 126
"""Exit status of shells for a command that cannot be executed."""


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        asked = bool(arguments)
        (sys.stdout if asked else sys.stderr).write(_USAGE)
        sys.exit(EXIT_DONE if asked else EXIT_USAGE)
    if arguments[0] == "--version":
        from importlib.metadata import version  # noqa: PLC0415 -- few starts are for it

        from quarterdeck_contract import VERSION  # noqa: PLC0415 -- likewise

        sys.stdout.write(f"quarterdeck-instrument {version(_DISTRIBUTION)}, contract {VERSION}\n")
        sys.exit(EXIT_DONE)
    if arguments[0] == "doctor":
        from quarterdeck_instrumentation.doctor.command import main as doctor  # noqa: PLC0415 -- few starts are for it

        sys.exit(doctor(arguments[1:], prepare))
    if arguments[0].startswith("-"):
        sys.stderr.write(f"Error: Expected a command.\nFound the option {arguments[0]}.\nNext: see --help.\n")
        sys.exit(EXIT_USAGE)
    environ = prepare(dict(os.environ))
    try:
        os.execvpe(arguments[0], arguments, environ)  # noqa: S606 -- becoming the command is the purpose
    except OSError as error:
        session.remove(environ.get(session.VARIABLE, ""))
        sys.stderr.write(
            f"Error: Expected a command that can be executed.\nFound {arguments[0]}: {error.strerror}.\n"
            "Next: check its name and PATH.\n"
        )
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)


def prepare(environ: dict[str, str]) -> dict[str, str]:
    """Return *environ* with what children need to find the instrumentation and one another.

    Without a folder to share the command runs all the same; each worker then says what it misses.
    """
    bootstrap = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")
    inherited = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != bootstrap]
    prepared = {**environ, "PYTHONPATH": os.pathsep.join([bootstrap, *inherited])}
    prepared.pop(session.VARIABLE, None)  # a command started by an instrumented service is a service of its own
    try:
        prepared[session.VARIABLE] = session.create(prepared)
    except OSError as error:
        sys.stderr.write(f"quarterdeck-instrument: no folder for metrics ({error}); workers are not added up\n")
    return prepared
