"""The files of a new project: this repository's own, with the project's name in them."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_stacks.settings import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_NAME = "quarterdeck"
"""The project's name in this repository: prefix of its configuration's keys."""

COPIED = (
    "Pulumi.yaml",
    "stacks/__main__.py",
    *(f"stacks/Pulumi.{environment}.yaml" for environment in ENVIRONMENTS),
    "policy/PulumiPolicy.yaml",
    "policy/__main__.py",
)
"""What a new project has as this repository has it."""

_HEAD = "# The Pulumi project: one program, one stack an environment. `pulumi install` makes the virtual environment.\n"
"""First line of a new Pulumi.yaml: this repository's speaks of `make`."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
"""What Pulumi takes for a project's name, and what can begin a key."""


def template_folder() -> Path:
    """Return the folder with COPIED.

    In an installed wheel it is beside this file (the build copies it there); in a checkout it is the repository, their
    one home.
    """
    here = Path(__file__).resolve()
    packaged = here.parent / "template"
    return packaged if packaged.is_dir() else here.parents[4]


def project(name: str) -> dict[str, str]:
    """Return the files of a project called *name* by path.

    Raises:
        UsageError: the name cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("a name of letters, digits, dots, underscores and dashes", repr(name), "choose another --name")
    template = template_folder()
    made = {path: (template / path).read_text(encoding="utf-8") for path in COPIED}
    made["Pulumi.yaml"] = _HEAD + re.sub(r"(?m)^name: .*$", f"name: {name}", made["Pulumi.yaml"].split("\n", 1)[1])
    for path in COPIED:
        if path.startswith("stacks/Pulumi."):
            made[path] = re.sub(rf"(?m)^(\s+){DEFAULT_NAME}:", rf"\g<1>{name}:", made[path])
    made["services.yaml"] = (files("quarterdeck_stacks.init") / "services.yaml").read_text(encoding="utf-8")
    release = version("quarterdeck")
    made["requirements.txt"] = (
        "# Of .venv, in which Pulumi runs the program; [aws], [gcp] or [azure] where the stack makes the cluster.\n"
        f"quarterdeck=={release}\n"
    )
    made["policy/requirements.txt"] = (
        "# Of an environment of the pack's own: pulumi-policy asks for an older protobuf than others may.\n"
        f"quarterdeck=={release}\npulumi-policy>=1.21,<2\n"
    )
    return made


def write(tree: Mapping[str, str], folder: Path) -> None:
    """Write *tree* into *folder*: all of it, or where a file of one of its names is there already, nothing.

    Raises:
        RefusedError: something would be overwritten.
        UsageError: the folder cannot be written to.
    """
    taken = sorted(path for path in tree if (folder / path).exists())
    if taken:
        raise RefusedError(
            f"none of the files to be made in {folder}", ", ".join(taken), "choose an empty folder, or move these away"
        )
    try:
        for path, text in tree.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"a folder {folder} that can be written to", str(error), "choose another") from error
