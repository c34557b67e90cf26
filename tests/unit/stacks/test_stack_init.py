"""`quarterdeck init`: a project of one's own, outside this repository."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_stacks.init.starter import COPIED, project, write
from quarterdeck_stacks.manifests import to_files
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render
from quarterdeck_stacks.settings import ENVIRONMENTS

if TYPE_CHECKING:
    from pathlib import Path


def _quarterdeck(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a folder with a new project called `shop`."""
    write(project("shop"), tmp_path)
    return tmp_path


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_renders(made: Path, env: str) -> None:
    """With the service that the first catalogue has, under the project's own name."""
    new = load_project(made)

    files = to_files(render(new, env, load_stack(new, env)).objects)

    assert new.name == "shop"
    assert [name for name in files if name.endswith("-deployment_web_web.yaml")]


def test_what_comes_from_the_catalogue_is_generated_and_checked(tmp_path: Path) -> None:
    """By the commands that the last line names."""
    begun = _quarterdeck(tmp_path, "init", "mine")
    checked = _quarterdeck(tmp_path / "mine", "contract", "check")
    generated = _quarterdeck(tmp_path / "mine", "rules", "generate")

    assert begun.returncode == 0
    assert begun.stdout.splitlines() == [f"mine/{path}" for path in project("quarterdeck")]
    assert "`quarterdeck contract check`, `quarterdeck rules generate`" in begun.stderr
    assert (checked.returncode, generated.returncode) == (0, 0)
    assert "0 findings" in checked.stderr


def test_pulumi_finds_what_it_installs(root: Path, made: Path) -> None:
    """Requirements beside each project file, of the release that began it; the program and the pack are as here."""
    with (root / "pyproject.toml").open("rb") as file:
        release = tomllib.load(file)["project"]["version"]

    assert f"quarterdeck=={release}\n" in (made / "requirements.txt").read_text()
    assert f"quarterdeck=={release}\n" in (made / "policy" / "requirements.txt").read_text()
    assert yaml.safe_load((made / "Pulumi.yaml").read_text())["main"] == "stacks"
    assert (made / "stacks" / "__main__.py").read_bytes() == (root / "stacks" / "__main__.py").read_bytes()


def test_nothing_is_overwritten_and_then_nothing_is_made(tmp_path: Path) -> None:
    """One file of somebody's is enough; it is named."""
    (tmp_path / "services.yaml").write_text("mine\n")

    with pytest.raises(RefusedError, match=r"services\.yaml") as caught:
        write(project("shop"), tmp_path)

    assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["services.yaml"]
    assert (tmp_path / "services.yaml").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["", "a b", "1st", "a:b", "../a"])
def test_a_name_that_pulumi_would_not_take_is_refused(name: str) -> None:
    """It is part of every key of the configuration."""
    with pytest.raises(UsageError, match="choose another --name"):
        project(name)


def test_the_wheel_has_every_file_that_is_copied(root: Path) -> None:
    """The build says each by itself: one that is forgotten is missed only outside this repository."""
    with (root / "pyproject.toml").open("rb") as file:
        included = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    assert {k: v for k, v in included.items() if "/init/template/" in v} == {
        path: f"quarterdeck_stacks/init/template/{path}" for path in COPIED
    }
