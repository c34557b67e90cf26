"""What is wrong with the catalogue or the stack is said before anything is started, and in one error."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.cli import run
from quarterdeck_scripts.local.deploy import check

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with this repository's project and a catalogue of its own; return it."""
    for name in ("Pulumi.yaml", "services.yaml"):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(root / "stacks", tmp_path / "stacks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["local up", "demo"])
@pytest.mark.parametrize(
    ("mistake", "found"),
    [
        (("health: /healthz", "healht: /healthz"), "did you mean health?"),
        (("objective: 99.5", "objective: 100"), "it leaves no error budget"),
        (("version: 1", "version: 1\nversion: 1"), "expected each key once"),
    ],
)
def test_a_wrong_catalogue_starts_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], command: str, mistake: tuple[str, str], found: str
) -> None:
    """Exit code 2, the program's own error and no other around it; once a control plane was left running."""
    catalogue = project / "services.yaml"
    catalogue.write_text(catalogue.read_text().replace(*mistake))

    assert run(command.split()) == 2

    said = capsys.readouterr().err.partition("Error: ")[2]
    assert found in said
    assert said.startswith(f"Expected {catalogue} to be a catalogue of services.\n")
    assert said.count("Next: ") == 1
    assert not (project / ".quarterdeck").exists()


def test_a_program_that_fails_in_its_own_way_is_quoted(project: Path) -> None:
    """Its exit code and the end of what it wrote."""
    (project / "stacks" / "__main__.py").write_text("raise SystemExit('no such thing')")

    with pytest.raises(QuarterdeckError) as failure:
        check("local")

    assert "no such thing" in str(failure.value)
