"""Both distributions, built and installed as users get them: alone, in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)  # seconds: an empty environment with Pulumi's packages, over the network


def run(*command: str | Path, cwd: Path) -> str:
    """Run *command* away from the checkout and return its stdout; its stderr explains a failure."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (root / "instrumentation", root):
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder, project, cwd=folder)
    return folder


def install(wheels: Path, folder: Path, root: Path, name: str) -> Path:
    """Install the distribution *name* into a new environment in *folder* and return the folder of its commands."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    common = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--constraint", root / "constraints.txt")
    run(python, *common, "--find-links", wheels, name, cwd=folder)
    return python.parent


def test_both_wheels_carry_the_licence_and_no_tests(root: Path, wheels: Path) -> None:
    """The licence asks that whoever gets the work gets its text too."""
    for wheel in wheels.glob("quarterdeck*.whl"):
        with ZipFile(wheel) as archive:
            (licence,) = [name for name in archive.namelist() if name.endswith("/LICENSE")]
            assert archive.read(licence) == (root / "LICENSE").read_bytes()
            assert not [name for name in archive.namelist() if "/test_" in name or "/tests/" in name]


def test_the_small_wheel_brings_nothing_of_the_operators(root: Path, wheels: Path, tmp_path: Path) -> None:
    """A service gets the OpenTelemetry API and SDK and what these need, and the command works."""
    commands = install(wheels, tmp_path, root, "quarterdeck-instrumentation")

    listed = run(commands / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    installed = {line.partition("==")[0] for line in listed.splitlines()} - {"pip", "setuptools"}
    assert installed == {
        "opentelemetry-api",
        "opentelemetry-sdk",
        "opentelemetry-semantic-conventions",
        "quarterdeck-instrumentation",
        "typing_extensions",
    }
    code = "import quarterdeck_contract, sys; print(quarterdeck_contract.VERSION, 'click' in sys.modules)"
    assert run(commands / "quarterdeck-instrument", commands / "python", "-c", code, cwd=tmp_path) == "1 False\n"


@pytest.fixture(scope="module")
def operators(root: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the operator's commands, in an environment with nothing else."""
    return install(wheels, tmp_path_factory.mktemp("operators"), root, "quarterdeck")


def test_the_operators_wheel_runs_away_from_its_checkout(operators: Path, tmp_path: Path) -> None:
    """Every group of commands is there, and the tools' pins are inside."""
    shown = run(operators / "quarterdeck", "--help", cwd=tmp_path)
    assert "cannot be loaded" not in shown
    for group in ("contract", "demo", "init", "local", "rollout", "rules", "runbook", "stack", "tools"):
        assert f"\n  {group} " in shown
        run(operators / "quarterdeck", group, "--help", cwd=tmp_path)
    assert "kube-apiserver" in run(operators / "quarterdeck", "tools", "list", cwd=tmp_path)


def test_a_project_begins_with_the_wheel_alone(operators: Path, tmp_path: Path) -> None:
    """Its rules are generated, every query is answered by its services, and it renders."""
    quarterdeck = operators / "quarterdeck"
    run(quarterdeck, "init", "--name", "shop", cwd=tmp_path)

    run(quarterdeck, "contract", "check", cwd=tmp_path)
    run(quarterdeck, "rules", "generate", cwd=tmp_path)
    rendered = run(quarterdeck, "stack", "render", "--env", "prod", cwd=tmp_path)

    assert "\nkind: Deployment\n" in rendered


@pytest.mark.tools
def test_the_published_constraints_name_all_that_contrib_brings(root: Path) -> None:
    """Resolved anew for an empty environment: the exact set, no more and no less, and it fits together."""
    run(sys.executable, root / "tools" / "constraints.py", "--check", cwd=root)
