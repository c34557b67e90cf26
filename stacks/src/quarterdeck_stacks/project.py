"""The Pulumi project and a stack's configuration, read as the Pulumi CLI reads them, without it.

Source: `sdk/go/common/workspace/{project,config}.go` and `sdk/go/common/resource/config/value.go` of pulumi/pulumi.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PROJECT_FILE = "Pulumi.yaml"
"""Marks the project's root; every path in the configuration is relative to its folder."""


@dataclass(frozen=True, slots=True)
class StackConfig:
    """A stack's configuration after the project's defaults: full keys (`quarterdeck:context`) to strings.

    Lists and maps are JSON, which is how a Pulumi program gets them.
    """

    values: dict[str, str]
    secrets: frozenset[str]
    """Keys whose values are encrypted; their `values` are SECRET, because only the Pulumi CLI has the key."""

    def of_project(self, name: str) -> dict[str, str]:
        """Return the keys of the project *name*, without its name: as `settings` reads them."""
        prefix = f"{name}:"
        return {key.removeprefix(prefix): value for key, value in self.values.items() if key.startswith(prefix)}


SECRET = "[secret]"  # noqa: S105 -- what stands in a secret's place, not a secret
"""Stands for an encrypted value. An object of a rendering that contains it is refused."""


@dataclass(frozen=True, slots=True)
class Project:
    """`Pulumi.yaml`."""

    root: Path
    """Its folder."""
    name: str
    """Prefix of its configuration's keys."""
    program: Path
    """Folder of the program's `__main__.py`."""
    stacks: Path
    """Folder of the stacks' files."""
    schema: dict[str, Any]
    """The `config` section: each key's type and default."""


def find_root(start: Path) -> Path:
    """Return the nearest folder that has a Pulumi.yaml, from *start* upwards.

    Raises:
        UsageError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise UsageError(
        f"a {PROJECT_FILE} in {start} or in a folder above it",
        "none",
        "run this in a project's folder, or begin one with `quarterdeck init`",
    )


def load_project(start: Path) -> Project:
    """Read the project that *start* is in.

    Raises:
        UsageError: there is none, or its Pulumi.yaml is not one.
    """
    root = find_root(start)
    document = _mapping(root / PROJECT_FILE)
    if not isinstance(document.get("name"), str):
        raise UsageError(f"a `name` in {root / PROJECT_FILE}", "none", "add it")
    return Project(
        root=root,
        name=document["name"],
        program=root / document.get("main", "."),
        stacks=root / document.get("stackConfigDir", "."),
        schema=document.get("config") or {},
    )


def load_stack(project: Project, stack: str, overrides: Iterable[str] = ()) -> StackConfig:
    """Return *stack*'s configuration: its file, over the project's defaults, under *overrides* (`key=value`).

    Raises:
        UsageError: there is no such stack, a required key has no value, or an override is not `key=value`.
    """
    path = project.stacks / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(file.name[len("Pulumi.") : -len(".yaml")] for file in project.stacks.glob("Pulumi.*.yaml"))
        raise UsageError(
            f"a stack of this project: {', '.join(known)}", repr(stack), f"name one of these, or write {path}"
        )
    values, secrets = _stack_values(path)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise UsageError("--config key=value", f"--config {override}", "write the key, `=` and the value")
        full = _full(project, key)
        values[full] = value
        secrets.discard(full)
    return StackConfig({**_defaults(project, path, values), **values}, frozenset(secrets))


def _stack_values(path: Path) -> tuple[dict[str, str], set[str]]:
    # A scalar reaches the program as it is written (`1e3`, `007`, `yes`), so it is read without YAML's types.
    written = _mapping(path, yaml.BaseLoader).get("config") or {}
    typed = _mapping(path).get("config") or {}
    values: dict[str, str] = {}
    secrets: set[str] = set()
    for key, text in written.items():
        if ":" not in key:
            raise UsageError(
                f"configuration keys of {path} to be `<project>:<key>`", repr(key), f"write quarterdeck:{key}"
            )
        value = typed.get(key)
        if isinstance(value, dict) and set(value) == {"secure"}:
            values[key] = SECRET
            secrets.add(key)
        else:
            values[key] = json.dumps(value) if isinstance(value, dict | list) else text
    return values, secrets


def _defaults(project: Project, path: Path, present: dict[str, str]) -> dict[str, str]:
    defaults: dict[str, str] = {}
    for key, declared in project.schema.items():
        full = _full(project, key)
        if full in present:
            continue
        if not isinstance(declared, dict):
            defaults[full] = _text(declared)
        elif "value" in declared or "default" in declared:
            defaults[full] = _text(declared.get("default", declared.get("value")))
        else:
            raise UsageError(f"a value for {full} in {path}", "none", "set it there, or pass --config")
    return defaults


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _full(project: Project, key: str) -> str:
    return key if ":" in key else f"{project.name}:{key}"


def _mapping(path: Path, loader: Any = yaml.SafeLoader) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 -- a safe or a plainer loader
    except yaml.YAMLError as error:
        raise UsageError(f"{path} to be YAML", " ".join(str(error).split()), "correct that line of it") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} to be a mapping", type(document).__name__, "write `key: value` lines")
    return document
