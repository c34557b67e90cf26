"""The project and a stack's configuration, as the Pulumi CLI reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.project import SECRET, StackConfig, load_project, load_stack

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
name: shop
main: program
stackConfigDir: stacks
runtime: python
config:
  plain: from the project
  typed: {type: string, default: ""}
  list: {type: array, items: {type: string}, default: []}
  number: {type: integer, default: 3}
  other:key: {value: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project's folder, with an empty stack `local`."""
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "stacks").mkdir()
    _stack(tmp_path, "config: {}\n")
    return tmp_path


def _stack(folder: Path, text: str) -> None:
    (folder / "stacks" / "Pulumi.local.yaml").write_text(text)


def _load(folder: Path, *overrides: str) -> StackConfig:
    return load_stack(load_project(folder), "local", overrides)


def test_the_project_is_found_from_any_folder_inside_it(folder: Path) -> None:
    """Pulumi runs the program in the program's folder."""
    (folder / "program" / "deep").mkdir(parents=True)

    project = load_project(folder / "program" / "deep")

    assert (project.root, project.name, project.program) == (folder, "shop", folder / "program")


def test_outside_a_project_the_folder_is_named(tmp_path: Path) -> None:
    """And what to do instead."""
    with pytest.raises(UsageError, match=r"a Pulumi\.yaml in .* or in a folder above it"):
        load_project(tmp_path)


def test_the_projects_defaults_are_strings_as_a_program_gets_them(folder: Path) -> None:
    """Lists and numbers are JSON, and a key without a namespace has the project's."""
    assert _load(folder).values == {
        "shop:plain": "from the project",
        "shop:typed": "",
        "shop:list": "[]",
        "shop:number": "3",
        "other:key": "true",
    }


def test_a_scalar_reaches_the_program_as_it_is_written(folder: Path) -> None:
    """Pulumi does not read YAML's numbers and booleans into its own."""
    _stack(folder, "config:\n  shop:plain: 1e3\n  shop:typed: 127.70\n  shop:number: 007\n  other:key: yes\n")

    values = _load(folder).values

    assert [values[f"shop:{key}"] for key in ("plain", "typed", "number")] == ["1e3", "127.70", "007"]
    assert values["other:key"] == "yes"


def test_a_list_reaches_the_program_as_json(folder: Path) -> None:
    """With its numbers as numbers."""
    _stack(folder, "config:\n  shop:list:\n  - a=1\n  - 2\n")

    assert _load(folder).values["shop:list"] == '["a=1", 2]'


def test_an_override_is_over_the_stack_and_the_project(folder: Path) -> None:
    """With or without the project's name; the value may have an equals sign."""
    _stack(folder, "config:\n  shop:plain: from the stack\n")

    values = _load(folder, "plain=a=b", "other:key=false").values

    assert (values["shop:plain"], values["other:key"]) == ("a=b", "false")


def test_an_encrypted_value_is_known_to_be_one_and_nothing_more(folder: Path) -> None:
    """Only the Pulumi CLI has the key; an override stands for it in a rendering."""
    _stack(folder, "config:\n  shop:plain:\n    secure: v1:abc\n")

    encrypted, overridden = _load(folder), _load(folder, "plain=x")

    assert (encrypted.values["shop:plain"], encrypted.secrets) == (SECRET, frozenset({"shop:plain"}))
    assert (overridden.values["shop:plain"], overridden.secrets) == ("x", frozenset())


def test_an_unknown_stack_is_refused_with_the_known_ones(folder: Path) -> None:
    """The file that would make it one is named."""
    with pytest.raises(UsageError) as refused:
        load_stack(load_project(folder), "prod")

    assert refused.value.expected == "a stack of this project: local"
    assert refused.value.found == "'prod'"


@pytest.mark.parametrize(
    ("stack", "overrides", "found"),
    [
        ("config: {plain: x}\n", (), "'plain'"),
        ("config: {}\n", ("plain",), "--config plain"),
        ("config: {}\n", ("=x",), "--config =x"),
        ("- config\n", (), "list"),
    ],
)
def test_what_pulumi_would_not_read_is_refused(
    folder: Path, stack: str, overrides: tuple[str, ...], found: str
) -> None:
    """What was found is quoted."""
    _stack(folder, stack)

    with pytest.raises(UsageError) as refused:
        _load(folder, *overrides)

    assert refused.value.found == found


def test_text_that_is_no_yaml_is_refused_with_its_place(folder: Path) -> None:
    """By file, line and column."""
    _stack(folder, "config: {\n")

    with pytest.raises(UsageError, match=r"Pulumi\.local\.yaml to be YAML") as refused:
        _load(folder)

    assert "line 2, column 1" in refused.value.found
    assert refused.value.next_step == "correct that line of it"


def test_a_required_key_without_a_value_is_named(folder: Path) -> None:
    """A type without a default is a key that each stack sets."""
    (folder / "Pulumi.yaml").write_text(PROJECT + "  must: {type: string}\n")

    with pytest.raises(UsageError) as refused:
        _load(folder)

    assert refused.value.expected == f"a value for shop:must in {folder / 'stacks' / 'Pulumi.local.yaml'}"


def test_a_folder_in_no_project_is_told_how_one_begins(tmp_path: Path) -> None:
    """Whoever installed the package has no checkout to go to."""
    with pytest.raises(UsageError) as refused:
        load_project(tmp_path)

    assert refused.value.next_step == "run this in a project's folder, or begin one with `quarterdeck init`"
