"""A Pulumi project inside the state folder, so that `pulumi up` leaves nothing outside it.

The CLI writes into the project it runs in (a stack's encryption salt, for one). So it runs in a copy of
Pulumi.yaml and of the stack's file, whose program is still the checkout's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_SALT = "encryptionsalt"


def pulumi_environment(folder: Path) -> dict[str, str]:
    """Return the variables that keep Pulumi's state in *folder*."""
    return {
        "PULUMI_BACKEND_URL": f"file://{folder}",
        "PULUMI_CONFIG_PASSPHRASE": "local",  # nothing secret is in this stack, and `down` removes it
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def prepare(folder: Path, start: Path, *, stack: str, kubeconfig: Path, prefix: str) -> bool:
    """Write project and stack file into *folder*; return whether the stack still has to be made.

    Args:
        folder: where Pulumi runs.
        start: a folder in the checkout of the project.
        stack: name of the stack.
        kubeconfig: of the environment.
        prefix: the pods' loopback prefix.

    Raises:
        UsageError: *start* is in no Pulumi project, or it has no such stack.
    """
    root = next((one for one in (start, *start.parents) if (one / "Pulumi.yaml").is_file()), None)
    if root is None:
        raise UsageError(
            f"a Pulumi.yaml in {start} or above it",
            "none",
            "run this in a project's folder, begin one with `quarterdeck init`, or add --no-deploy",
        )
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    source = root / project.get("stackConfigDir", ".") / f"Pulumi.{stack}.yaml"
    if not source.is_file():
        raise UsageError(f"the stack's file {source}", "none", "name another environment with --env, or write it")
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"Pulumi.{stack}.yaml"
    before = yaml.safe_load(target.read_text(encoding="utf-8")) if target.exists() else {}
    config = stack_file(yaml.safe_load(source.read_text(encoding="utf-8")), project["name"], kubeconfig, prefix)
    _write(folder / "Pulumi.yaml", project_file(project, root))
    _write(target, {**config, **({_SALT: before[_SALT]} if _SALT in before else {})})
    return not (folder / ".pulumi" / "stacks" / project["name"] / f"{stack}.json").exists()


def project_file(project: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return the project with absolute paths, so that it can stand elsewhere than in *root*."""
    moved = {key: value for key, value in project.items() if key != "stackConfigDir"}
    options = {"virtualenv": sys.prefix} if sys.prefix != sys.base_prefix else {}
    moved["main"] = str(root / project.get("main", "."))
    moved["runtime"] = {"name": "python", "options": {"toolchain": "pip", **options}}
    return moved


def stack_file(stack: dict[str, Any] | None, project: str, kubeconfig: Path, prefix: str) -> dict[str, Any]:
    """Return the stack's file for one environment on this machine."""
    given = stack or {}
    here = {f"{project}:kubeconfig": str(kubeconfig), f"{project}:loopbackPrefix": prefix}
    return {**given, "config": {**given.get("config", {}), **here}}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
