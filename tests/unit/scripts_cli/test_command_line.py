"""The command line: light, explained, with the right exit code for each ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest

from quarterdeck_contract import errors
from quarterdeck_scripts import cli

QUARTERDECK = Path(sys.executable).parent / "quarterdeck"

HEAVY = {"kubernetes", "pulumi", "pulumi_kubernetes", "pydantic", "rich", "yaml", "pooch", "cryptography", "requests"}
"""Packages that cost tens to hundreds of milliseconds to import."""


HANG = """
import os, signal, sys
import click
from quarterdeck_scripts import cli

@click.command()
def hang():
    try:
        os.kill(os.getpid(), int(number))
        signal.pause()
    finally:
        print("cleaned up", flush=True)

number = sys.argv[1]
cli.quarterdeck.get_command = lambda context, name: hang
sys.argv[1:] = ["hang"]
cli.main()
"""
"""A command that gets the signal named on its command line while it runs."""


def commands() -> list[tuple[str, click.Command]]:
    """Return every command with its full name."""
    found: list[tuple[str, click.Command]] = []

    def visit(name: str, command: click.Command) -> None:
        found.append((name, command))
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            for child in command.list_commands(context):
                loaded = command.get_command(context, child)
                assert loaded is not None
                visit(f"{name} {child}", loaded)

    visit("quarterdeck", cli.quarterdeck)
    return found


def test_help_imports_nothing_heavy() -> None:
    """`--help` of every group is printed without a client, a parser or an SDK."""
    code = (
        "import sys; from quarterdeck_scripts.cli import run; run(['--help']);"
        "print(','.join(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert HEAVY & set(done.stderr.strip().split(",")) == set()
    assert "rollout" in done.stdout


@pytest.mark.parametrize(("name", "command"), [pytest.param(*found, id=found[0]) for found in commands()])
def test_every_command_and_option_is_explained(name: str, command: click.Command) -> None:
    """A stranger finds a sentence for each command and each option."""
    assert command.help, f"{name} has no help"
    assert "cannot be loaded" not in command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.QuarterdeckError, 1),
        (errors.UsageError, 2),
        (errors.InconclusiveError, 3),
        (errors.RefusedError, 4),
    ],
)
def test_an_error_is_explained_on_stderr(
    error: type[errors.QuarterdeckError], code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected, found, next step; nothing on stdout; the exit code of its kind."""

    def fail(**_: object) -> None:
        raise error("one thing", "another", "do this")

    monkeypatch.setattr(cli.quarterdeck, "main", fail)

    assert cli.run(["anything"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Error: Expected one thing.\nFound another.\nNext: do this.\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit code 2, and the word is named."""
    done = subprocess.run([QUARTERDECK, "rolout"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "rolout" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("line", "expected", "found", "step"),
    [
        ("rolout", "a command of `quarterdeck`", "'rolout'", "write rollout, or see `quarterdeck --help`"),
        (
            "rollout strat",
            "a command of `quarterdeck rollout`",
            "'strat'",
            "write start or status, or see `quarterdeck rollout --help`",
        ),
        (
            "rollout status --outptu json",
            "an option of `quarterdeck rollout status`",
            "'--outptu'",
            "write --output, or see `quarterdeck rollout status --help`",
        ),
        (
            "rollout status --output yaml",
            "--output to be text or json",
            "'yaml'",
            "see `quarterdeck rollout status --help`",
        ),
        ("rollout status --output", "a value for --output", "none", "see `quarterdeck --help`"),
        ("rollout start checkout", "a value for --image", "none", "see `quarterdeck rollout start --help`"),
        ("rollout start", "a value for SERVICE…", "none", "see `quarterdeck rollout start --help`"),
        ("local up --nodes 99", "--nodes to be in the range 1<=x<=50", "99", "see `quarterdeck local up --help`"),
        ("local up --nodes x", "--nodes to be a valid integer", "'x'", "see `quarterdeck local up --help`"),
        (
            "local image add checkout:v1 /absent.json",
            "a value that FILE can have",
            "'/absent.json': No such file or directory",
            "see `quarterdeck local image add --help`",
        ),
        (
            "rollout status a b c",
            "a command line as `quarterdeck rollout status --help` explains it",
            "unexpected extra arguments (b c)",
            "see `quarterdeck rollout status --help`",
        ),
        (
            "rules generate --scrape-interval soon",
            "--scrape-interval to be a duration such as 250ms, 30s, 5m, 1h30m or 30d",
            "'soon'",
            "see `quarterdeck rules generate --help`",
        ),
    ],
)
def test_what_click_refuses_is_explained_as_every_other_error(
    line: str, expected: str, found: str, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected, found, next step on stderr, and exit code 2: Click's own texts were of another form."""
    assert cli.run(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"Error: Expected {expected}.\nFound {found}.\nNext: {step}.\n"


def test_a_group_alone_shows_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Its help, with the exit code of a command line that is not complete."""
    assert cli.run(["rollout"]) == 2
    assert capsys.readouterr().err.startswith("Usage: quarterdeck rollout")


def test_a_command_that_cannot_be_loaded_breaks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays listed with its reason, and running it explains what is missing."""
    entry = EntryPoint("broken", "nowhere_to_be_found:command", cli.COMMANDS)
    monkeypatch.setattr(cli, "_registered", lambda: {"broken": entry})

    assert cli.run(["--help"]) == 0
    assert cli.run(["broken"]) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_says_so(number: signal.Signals, code: int) -> None:
    """Ctrl-C ends with 130, SIGTERM with 143, after the clean-up of whatever ran."""
    done = subprocess.run([sys.executable, "-c", HANG, str(int(number))], capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert done.stdout == "cleaned up\n"


def test_a_reader_that_leaves_early_is_no_crash() -> None:
    """`quarterdeck --help | head -0` prints no traceback."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([QUARTERDECK, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)

    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "command"), [pytest.param(*found, id=found[0]) for found in commands()])
def test_help_shows_no_markup(name: str, command: click.Command) -> None:
    r"""What is printed is for people: no literal backslash escapes (a raw docstring once showed its `\b`)."""
    context = click.Context(command, info_name=name, max_content_width=100)

    assert "\\b" not in command.get_help(context)
