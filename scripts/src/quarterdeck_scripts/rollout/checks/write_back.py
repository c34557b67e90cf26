"""The change that makes the stack's own files say what a rollout made true: printed, for somebody to review and commit.

Until then `pulumi up` has the old image. Two files may say it: the catalogue, or the stack's configuration, whose
`images` go before the catalogue's. Pure; `read` apart.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CATALOGUE = "services.yaml"
PROJECT = "Pulumi.yaml"
IMAGES = "quarterdeck:images"
"""The stack's key; each item is `service=image`."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that say which image a service has."""

    catalogue_name: str
    catalogue: str
    """Text of the catalogue."""
    stack_name: str = ""
    stack: str = ""
    """Text of the stack's configuration; empty where there is none."""


def read(folder: Path, environment: str, deployed: str) -> Sources:
    """Return the files of the checkout in *folder*; where it is none, the catalogue as *deployed*.

    Args:
        folder: where the command runs.
        environment: name of the environment, which is its stack's.
        deployed: text of the catalogue that the cluster has.
    """
    project = folder / PROJECT
    if not project.is_file():
        return Sources(CATALOGUE, deployed)
    settings = yaml.safe_load(project.read_text(encoding="utf-8")) or {}
    stack = Path(settings.get("stackConfigDir") or ".") / f"Pulumi.{environment}.yaml"
    text = (folder / stack).read_text(encoding="utf-8") if (folder / stack).is_file() else ""
    named = (yaml.safe_load(text) or {}).get("config", {}).get("quarterdeck:catalogue") if text else None
    catalogue = Path(named or CATALOGUE)
    if not (folder / catalogue).is_file():
        return Sources(str(catalogue), deployed, str(stack), text)
    return Sources(str(catalogue), (folder / catalogue).read_text(encoding="utf-8"), str(stack), text)


def change(sources: Sources, service: str, image: str) -> str:
    """Return the change that gives *service* the *image*, as a unified diff; empty when the files say so already.

    Only the one value is changed: comments and layout stay.
    """
    overriding = _override(sources.stack, service) if sources.stack else None
    if overriding is not None:
        return _difference(sources.stack_name, sources.stack, overriding, f"{service}={image}")
    found = _image(sources.catalogue, service)
    return "" if found is None else _difference(sources.catalogue_name, sources.catalogue, found, image)


def _difference(name: str, text: str, node: yaml.ScalarNode, value: str) -> str:
    if node.value == value:
        return ""
    quote = node.style if node.style in {"'", '"'} else ""
    changed = f"{text[: node.start_mark.index]}{quote}{value}{quote}{text[node.end_mark.index :]}"
    lines = difflib.unified_diff(text.splitlines(True), changed.splitlines(True), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _image(text: str, service: str) -> yaml.ScalarNode | None:
    for each in _items(_value(yaml.compose(text), "services")):
        name = _value(each, "name")
        if isinstance(name, yaml.ScalarNode) and name.value == service:
            image = _value(each, "image")
            return image if isinstance(image, yaml.ScalarNode) else None
    return None


def _override(text: str, service: str) -> yaml.ScalarNode | None:
    for each in _items(_value(_value(yaml.compose(text), "config"), IMAGES)):
        if isinstance(each, yaml.ScalarNode) and each.value.partition("=")[0] == service:
            return each
    return None


def _value(node: Any, key: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _items(node: Any) -> list[Any]:
    return node.value if isinstance(node, yaml.SequenceNode) else []
