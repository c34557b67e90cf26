"""What the clouds are asked for is compared with their SDKs' types, all of it."""

from __future__ import annotations

import ast
import configparser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _imported(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "") in {
                "pulumi_aws",
                "pulumi_gcp",
                "pulumi_azure_native",
            }:
                yield from (f"{node.module}.{each.name}.*" for each in node.names)


def test_every_module_of_a_cloud_that_is_used_is_followed(root: Path) -> None:
    """One that is not would be Any to mypy, and any argument right."""
    settings = configparser.ConfigParser()
    settings.read(root / "tools" / "cloud-types.ini")
    followed = {
        module
        for section in settings.sections()
        if settings[section].get("follow_imports") == "silent" and section != "mypy"
        for module in section.removeprefix("mypy-").split(",")
    }

    used = set(_imported(root / "stacks" / "src" / "quarterdeck_stacks" / "clusters"))
    assert used
    assert used <= followed
