"""What is generated from the catalogue, as text; the one place that writes or compares generated files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards import alertmanager, disk, proof
from quarterdeck_dashboards.alerts import (
    EVERY,
    MIN_SCRAPES,
    AlertSettings,
    Exporter,
    burn_alerts,
    cluster_alerts,
    groups,
    service_alerts,
)
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.rulefile import HEADER, Group, render_groups
from quarterdeck_dashboards.slo.calendar import start_rules
from quarterdeck_dashboards.slo.rules import recording_rules
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue, Service

RULES = "rules"
"""Folder of rule files in a generated tree."""
PROOFS = "proofs"
"""Folder of promtool unit tests in a generated tree, one for each rule file and severity."""
ALERTMANAGER = "alertmanager.yaml"
"""Alertmanager's configuration in a generated tree."""
MONITORING = "monitoring"
"""Rule file of the alerts on what watches, and of the calendars' beginnings, without its suffix."""


def rule_files(
    catalogue: Catalogue, *, scrape_interval: timedelta, exporters: Collection[Exporter] = EVERY
) -> dict[str, str]:
    """Return Prometheus rule files: file name to YAML text.

    Args:
        catalogue: the services and what they promise.
        scrape_interval: between two scrapes of a pod, which every rate must span MIN_SCRAPES times.
        exporters: what an environment's Prometheus scrapes beside services; alerts on anything else are left out.

    Raises:
        UsageError: the interval is too long for the rates.
    """
    settings = _settings(catalogue, scrape_interval)
    files = {file_of(service): _groups(settings, service) for service in catalogue.services}
    for group in groups(exporters):
        files.setdefault(f"{group.file}.yaml", []).append(Group(group.name, cluster_alerts(settings, group)))
    calendars = {slo.calendar for service in catalogue.services for slo in service.slos if slo.calendar}
    if calendars:
        files.setdefault(f"{MONITORING}.yaml", []).append(Group("calendar", start_rules(calendars)))
    return {name: render_groups(each) for name, each in files.items()}


def alertmanager_config(catalogue: Catalogue) -> str:
    """Return Alertmanager's configuration as YAML."""
    return alertmanager.config(catalogue)


def file_of(service: Service) -> str:
    """Return the name of *service*'s rule file."""
    return f"service-{service.name}.yaml"


def generated(catalogue: Catalogue, *, scrape_interval: timedelta) -> dict[str, str]:
    """Return the whole generated tree, for review: relative path to text, with the alerts of every exporter.

    Raises:
        UsageError: the scrape interval is too long for the rates.
    """
    settings = _settings(catalogue, scrape_interval)
    rules = rule_files(catalogue, scrape_interval=scrape_interval)
    tree = {f"{RULES}/{name}": text for name, text in rules.items()}
    for service in catalogue.services:
        name = file_of(service)
        for severity, text in proof.of_service(settings, service, f"../{RULES}/{name}").items():
            tree[f"{PROOFS}/{severity}-of-{name}"] = text
    for file in {group.file: None for group in groups()}:
        tree[f"{PROOFS}/{file}.yaml"] = proof.of_cluster(settings, file, f"../{RULES}/{file}.yaml")
    return tree | {ALERTMANAGER: alertmanager_config(catalogue)}


def write(tree: Mapping[str, str], folder: Path) -> list[str]:
    """Write a generated *tree* into *folder* and remove what an earlier one left; return the changed paths."""
    return disk.write(tree, folder, _present(folder))


def differences(tree: Mapping[str, str], folder: Path) -> str:
    """Return the unified diff from what is in *folder* to *tree*; empty when they are the same."""
    return disk.differences(tree, folder, _present(folder))


def _present(folder: Path) -> set[str]:
    """Return the generated files in *folder*, known by their first line; anything else there is not ours."""
    patterns = (f"{RULES}/*.yaml", f"{PROOFS}/*.yaml", ALERTMANAGER)
    return {
        str(path.relative_to(folder))
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.read_text(encoding="utf-8").startswith(HEADER)
    }


def _settings(catalogue: Catalogue, scrape_interval: timedelta) -> AlertSettings:
    if MIN_SCRAPES * scrape_interval > RATE_WINDOW:
        raise UsageError(
            f"a scrape interval of at most {format_duration(RATE_WINDOW / MIN_SCRAPES)}, so that a rate over "
            f"{format_duration(RATE_WINDOW)} spans {MIN_SCRAPES} scrapes",
            format_duration(scrape_interval),
            "scrape more often",
        )
    return AlertSettings(catalogue.runbook_base_url, scrape_interval, catalogue.dashboard_base_url)


def _groups(settings: AlertSettings, service: Service) -> list[Group]:
    objectives = [
        Group(
            f"{service.name}-{slo.name}",
            (*recording_rules(service, slo, settings.scrape_interval), *burn_alerts(settings, service, slo)),
        )
        for slo in service.slos
    ]
    return [Group(service.name, service_alerts(settings, service)), *objectives]
