"""`quarterdeck-instrument CMD…` becomes the command, and its Python children are instrumented."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

LAUNCHER = Path(sys.executable).parent / "quarterdeck-instrument"
ACTIVE = "any(type(f).__name__ == '_PostImport' for f in __import__('sys').meta_path)"
"""An expression: whether this process is instrumented."""


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command under the launcher, with an environment of its own."""

    def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        whole = {"PATH": os.environ["PATH"], "QUARTERDECK_METRICS_DIR": str(tmp_path / "metrics"), **environ}
        return subprocess.run([LAUNCHER, *arguments], env=whole, capture_output=True, text=True, check=False)

    return run


def test_python_children_are_instrumented(launch: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Without a word in their code; and nothing is written where they write."""
    done = launch(sys.executable, "-c", f"print({ACTIVE})")

    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


@pytest.mark.parametrize("environ", [{"QUARTERDECK_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}])
def test_instrumentation_can_be_switched_off(
    launch: Callable[..., subprocess.CompletedProcess[str]], environ: dict[str, str]
) -> None:
    """By our variable or by OpenTelemetry's; the command runs as it would."""
    assert launch(sys.executable, "-c", f"print({ACTIVE})", **environ).stdout == "False\n"


def test_the_command_keeps_its_status_and_its_signal(
    launch: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """It is the command: nobody stands between it and its parent."""
    assert launch("sh", "-c", "exit 7").returncode == 7
    assert launch("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_the_command_has_the_launchers_process_id(tmp_path: Path) -> None:
    """What its parent started is what runs."""
    environ = {"PATH": os.environ["PATH"], "QUARTERDECK_METRICS_DIR": str(tmp_path)}
    started = subprocess.Popen([LAUNCHER, "sh", "-c", "echo $$"], env=environ, stdout=subprocess.PIPE, text=True)

    assert started.communicate()[0] == f"{started.pid}\n"


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ([], 2, "Usage: quarterdeck-instrument"),
        (["--workers"], 2, "Found the option --workers."),
        (["no-such-command"], 127, "Found no-such-command: No such file or directory."),
        (["/"], 126, "Found /: "),
    ],
)
def test_what_cannot_be_run_says_why(
    launch: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    command: list[str],
    status: int,
    message: str,
) -> None:
    """With the exit status of shells, and nothing left behind."""
    done = launch(*command)

    assert done.returncode == status
    assert message in done.stderr
    assert list((tmp_path / "metrics").glob("*")) == []


def test_help_is_on_stdout(launch: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """And has an example."""
    done = launch("--help")

    assert done.returncode == 0
    assert "quarterdeck-instrument uvicorn app:app --workers 4" in done.stdout
    assert "spans where OTEL_EXPORTER_OTLP_ENDPOINT or\nOTEL_TRACES_EXPORTER says" in done.stdout


def test_the_version_is_said(launch: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """On stdout, that of the package and that of the contract it keeps."""
    done = launch("--version")

    told = f"quarterdeck-instrument {version('quarterdeck-instrumentation')}, contract {VERSION}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


def test_the_sitecustomize_that_ours_hides_still_runs(
    launch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Whoever put one on PYTHONPATH relies on it; its module is the one others import."""
    (tmp_path / "sitecustomize.py").write_text("MINE = True\nprint('mine ran')\n")

    done = launch(sys.executable, "-c", "import sitecustomize; print(sitecustomize.MINE)", PYTHONPATH=str(tmp_path))

    assert (done.stdout, done.stderr) == ("mine ran\nTrue\n", "")


def test_what_the_hidden_sitecustomize_adds_to_the_path_stays(
    launch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """To add folders is what most are for; ours is on the path of the children, not on the service's own."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.path.append('/added')\n")
    show = (
        "import os, subprocess, sys; "
        "print(sys.path[-1], [each for each in sys.path if 'bootstrap' in each]); "
        "print('quarterdeck_instrumentation.activation' in sys.modules, flush=True); "
        "os.environ.pop('AGAIN', '') or (os.environ.update(AGAIN='1'), subprocess.run(sys.orig_argv))"
    )

    done = launch(sys.executable, "-c", show, PYTHONPATH=str(tmp_path), AGAIN="")

    assert (done.stdout, done.stderr) == ("/added []\nTrue\n" * 2, "")


def test_a_folder_that_cannot_be_made_stops_nothing(
    launch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The command runs, and what is missing is said."""
    (tmp_path / "metrics").write_text("a file")

    done = launch("echo", "ran")

    assert done.stdout == "ran\n"
    assert "no folder for metrics" in done.stderr


def test_a_command_of_an_instrumented_service_is_a_service_of_its_own(
    launch: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """It does not write into its starter's page; the folder on PYTHONPATH is there once."""
    show = "import os; print(os.environ['QUARTERDECK_SESSION_DIR'], os.environ['PYTHONPATH'].count('bootstrap'))"

    done = launch("sh", "-c", f'echo $QUARTERDECK_SESSION_DIR 1; exec {LAUNCHER} {sys.executable} -c "{show}"')

    (outer, once), (inner, still_once) = (line.split() for line in done.stdout.splitlines())
    assert outer != inner
    assert once == still_once == "1"
