"""Dashboards as files: `grafana/<uid>.json` and `datadog/<uid>.json`, made, compared and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards import dashboards, disk
from quarterdeck_dashboards.dashboards import datadog, grafana
from quarterdeck_dashboards.uid import TAG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

GRAFANA, DATADOG = "grafana", "datadog"
"""Folders in a generated tree."""
DATASOURCES = f"{GRAFANA}/datasources.yaml"
"""For Grafana's provisioning: what the dashboards ask, and where their exemplars lead."""


def generated(catalogue: Catalogue) -> dict[str, str]:
    """Return every file: relative path to text."""
    tree = {DATASOURCES: grafana.datasources()}
    for dashboard in dashboards.of(catalogue):
        tree[f"{GRAFANA}/{dashboard.uid}.json"] = grafana.text(dashboard)
        tree[f"{DATADOG}/{dashboard.uid}.json"] = datadog.text(dashboard)
    return tree


def of_grafana(catalogue: Catalogue) -> dict[str, str]:
    """Return the dashboards that a Grafana is provisioned with: file name to text."""
    return {f"{dashboard.uid}.json": grafana.provisioned(dashboard) for dashboard in dashboards.of(catalogue)}


def write(tree: Mapping[str, str], folder: Path) -> list[str]:
    """Write a generated *tree* into *folder* and remove what an earlier one left; return the changed paths."""
    return disk.write(tree, folder, _present(folder))


def differences(tree: Mapping[str, str], folder: Path) -> str:
    """Return the unified diff from what is in *folder* to *tree*; empty when they are the same."""
    return disk.differences(tree, folder, _present(folder))


def _present(folder: Path) -> set[str]:
    """Return the dashboards in *folder* that have names of ours; anything else there is somebody's own."""
    return {
        str(path.relative_to(folder)) for kind in (GRAFANA, DATADOG) for path in folder.glob(f"{kind}/{TAG}-*.json")
    }
