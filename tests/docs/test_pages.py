"""What the pages say is there: links lead somewhere, commands and targets exist, indexes are whole."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from quarterdeck_scripts.cli import quarterdeck

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "instrumentation/*.md")
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)


def pages(*, without: str = "") -> list[object]:
    """Return the pages as parameters."""
    found = [(str(page.relative_to(ROOT)), page) for page in PAGES]
    return [pytest.param(page, id=name) for name, page in found if not without or without not in name]


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in targets if "://" not in link and not (page.parent / link).exists()] == []


def test_the_page_of_the_small_wheel_stands_alone() -> None:
    """A package index shows it without the repository: it links to nothing, and names every variable that is ours."""
    page = (ROOT / "instrumentation/README.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs/reference/instrumentation.md").read_text(encoding="utf-8")

    assert re.findall(r"\]\((?!\w+://)[^)]*\)", page) == []
    assert set(re.findall(r"QUARTERDECK_[A-Z_]+\b", page)) == set(re.findall(r"QUARTERDECK_[A-Z_]+\b", reference))


@pytest.mark.parametrize("page", pages(without="reference"))
def test_commands_exist(page: Path) -> None:
    """Every `quarterdeck …` line names a command that is there, with options that it has."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"`(?:\.venv/bin/)?quarterdeck ([a-z][^`\n]*)`", text)
    lines += re.findall(r"^\$ (?:\.venv/bin/)?quarterdeck ([a-z][^#\n]*)", text, re.MULTILINE)

    for line in lines:
        words = shlex.split(line.replace("…", ""))
        command: click.Command = quarterdeck
        while words and isinstance(command, click.Group) and not words[0].startswith(("-", "[")):
            names = words.pop(0).split("|")
            found = [command.get_command(click.Context(command), name) for name in names]
            assert None not in found, f"{page.name}: quarterdeck {line}"
            command = found[0] or command
            if len(names) > 1:
                break
        options = {name for parameter in command.params for name in parameter.opts}
        unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - options
        assert not unknown or isinstance(command, click.Group), f"{page.name}: quarterdeck {line}"


def test_make_targets_exist() -> None:
    """Every `make …` that a page names is a target."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text(encoding="utf-8"))}

    assert named <= targets


def test_the_index_of_decisions_is_whole() -> None:
    """Each ADR is listed, by its own title, in order."""
    listed = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \|$", (ROOT / "docs/adr/README.md").read_text(), re.MULTILINE)
    written = [
        (str(int(page.name[:4])), page.name, page.read_text().splitlines()[0].removeprefix(f"# {int(page.name[:4])}. "))
        for page in sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    ]

    assert listed == written


def test_the_reference_is_what_the_code_says() -> None:
    """Commands, contract and settings are rebuilt and compared."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/reference.py"), "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
