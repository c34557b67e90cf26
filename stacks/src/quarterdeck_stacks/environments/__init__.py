"""Which components an environment is made of: one module for each shape; the numbers are in Pulumi.<env>.yaml.

Belongs here: reading the stack's configuration once, the cluster's provider, and the choice of components.

Does not belong here: what a component is made of (`components`), what a setting means (`settings`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_dashboards.catalogue import parse as parse_catalogue
from quarterdeck_dashboards.catalogue import portable
from quarterdeck_stacks.environments import dev, local, preview, prod, staging
from quarterdeck_stacks.environments.shape import Environment
from quarterdeck_stacks.overrides import in_namespaces_of, override
from quarterdeck_stacks.project import find_root
from quarterdeck_stacks.settings import Settings, check_against, parse

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES: dict[str, Callable[[Environment], None]] = {
    "local": local.deploy,
    "dev": dev.deploy,
    "staging": staging.deploy,
    "prod": prod.deploy,
}
"""The environments of `settings.ENVIRONMENTS`."""


def deploy() -> None:
    """Read the stack's configuration and register what its environment is made of.

    Raises:
        pulumi.RunError: the configuration or the catalogue is wrong; Pulumi shows its text without a traceback.
    """
    try:
        settings = parse(pulumi.get_stack(), _config())
        environment = read(settings, find_root(Path.cwd()))
        (preview.deploy if settings.is_preview else SHAPES[settings.shape])(environment)
    except QuarterdeckError as error:
        raise pulumi.RunError(str(error)) from error


def read(settings: Settings, root: Path) -> Environment:
    """Return what *settings* describe, with the files below *root* read.

    Raises:
        UsageError: a file is not there, or says what cannot be.
    """
    path = root / settings.catalogue
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the catalogue {path}", str(error), "write it, or correct the key `catalogue`") from error
    text = override(text, images=settings.images, replicas=settings.replicas)
    if settings.is_preview:
        text = in_namespaces_of(settings.stack, text)
    catalogue = parse_catalogue(text, str(path), lambda name: (path.parent / name).read_text(encoding="utf-8"))
    check_against(settings, catalogue)
    return Environment(settings, catalogue, portable(text, catalogue), _kubeconfig(settings, root))


def _config() -> dict[str, str]:
    # pulumi.Config has no way to list its keys, without which a misspelt one would be ignored in silence.
    prefix = f"{pulumi.get_project()}:"
    values = {**get_config_env(), **CONFIG.get()}
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def _kubeconfig(settings: Settings, root: Path) -> str | None:
    """Return the kubeconfig's contents, so that the cluster's identity is in the stack's state and not a path's."""
    given = settings.cluster.kubeconfig
    if not given or "\n" in given:
        return given or None
    path = root / Path(given).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the kubeconfig {path}",
            error.strerror or str(error),
            "start the cluster (`quarterdeck local up`), or `pulumi config set kubeconfig …`",
        ) from error
