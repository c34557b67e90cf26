"""Prometheus' configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from quarterdeck_stacks.scraping import LOOPBACK_KUBECONFIG, Scraping


def _config(interval: float = 2, kubeconfig: str | None = None) -> Any:
    return yaml.safe_load(
        Scraping(
            "prod", timedelta(seconds=interval), timedelta(days=40), namespaces=["shop", "back"], kubeconfig=kubeconfig
        ).to_yaml()
    )


@pytest.mark.parametrize(("interval", "timeout"), [(2, "2s"), (10, "10s"), (60, "10s")])
def test_a_scrape_never_outlasts_its_interval(interval: float, timeout: str) -> None:
    """Nor ten seconds, which is what Prometheus itself allows."""
    assert _config(interval)["global"]["scrape_timeout"] == timeout


def test_rules_are_evaluated_as_often_as_pods_are_scraped() -> None:
    """An alert is no later than the measurement behind it."""
    settings = _config(interval=15)["global"]

    assert settings["scrape_interval"] == settings["evaluation_interval"] == "15s"


def test_samples_are_kept_as_long_as_the_settings_say() -> None:
    """In the configuration: the flag of the same meaning is deprecated."""
    assert _config()["storage"]["tsdb"] == {"retention": {"time": "40d"}}


def test_pods_are_looked_for_only_where_prometheus_may_see_them() -> None:
    """The services' namespaces and the monitoring's own."""
    (job,) = _config()["scrape_configs"]

    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["back", "quarterdeck", "shop"]}}]


def test_every_target_label_of_the_contract_is_set() -> None:
    """Dashboards, rules and gates select by exactly these."""
    (job,) = _config()["scrape_configs"]
    targets = {rule["target_label"] for rule in job["relabel_configs"] if "target_label" in rule}

    assert targets - {"__address__"} == {"cluster", "namespace", "service", "pod", "version", "track"}


def test_on_loopback_discovery_has_a_kubeconfig() -> None:
    """A process on loopback does not reach the API server's in-cluster address."""
    config = _config(kubeconfig=LOOPBACK_KUBECONFIG)
    (job,), (alertmanagers,) = config["scrape_configs"], config["alerting"]["alertmanagers"]

    for discovery in job["kubernetes_sd_configs"] + alertmanagers["kubernetes_sd_configs"]:
        assert discovery["kubeconfig_file"] == "../../var/run/secrets/kubernetes.io/serviceaccount/kubeconfig"
