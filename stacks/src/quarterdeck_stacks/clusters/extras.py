"""Clouds' SDKs are hundreds of megabytes: each is an extra, imported by a stack that makes such a cluster alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.settings import ClusterKind

if TYPE_CHECKING:
    from types import ModuleType

EXTRAS = {
    ClusterKind.EKS: ("aws", "pulumi_aws"),
    ClusterKind.GKE: ("gcp", "pulumi_gcp"),
    ClusterKind.AKS: ("azure", "pulumi_azure_native"),
}
"""Kind to the extra's name in pyproject.toml, and to the package that it brings."""


def load(kind: ClusterKind) -> ModuleType:
    """Import the module that makes clusters of this *kind*.

    Raises:
        UsageError: the extra that it needs is not installed.
    """
    extra, package = EXTRAS[kind]
    try:
        return importlib.import_module(f"quarterdeck_stacks.clusters.{kind}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise UsageError(
            f"the extra `{extra}`, which a cluster of kind {kind} is made with",
            f"no package {package}",
            f"`pip install 'quarterdeck[{extra}]'` into the program's virtual environment",
        ) from error
