"""What Prometheus scrapes beside services, and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from quarterdeck_dashboards.alerts import BUNDLED, Exporter
from quarterdeck_stacks.scraping import Scraping
from quarterdeck_stacks.targets import Probe, Targets

ALL = Targets(
    kubelets=True,
    kube_state_metrics=True,
    node_exporter=True,
    probes=(Probe("https://shop.example.com/"), Probe("http://checkout.shop.svc:8000/health", "shop", "checkout")),
    collector=True,
    remote_write=True,
)


def _config(**changes: Any) -> Any:
    return yaml.safe_load(
        Scraping("prod", timedelta(seconds=15), timedelta(days=40), namespaces=["shop"], **changes).to_yaml()
    )


def _job(name: str, targets: Targets = ALL) -> dict[str, Any]:
    (found,) = [job for job in _config(targets=targets)["scrape_configs"] if job["job_name"] == name]
    return found  # type: ignore[no-any-return]  # of a YAML document


def _labels(job: dict[str, Any]) -> set[str]:
    return {rule["target_label"] for rule in job["relabel_configs"] if "target_label" in rule} - {
        "__address__",
        "__param_target",
    }


@pytest.mark.parametrize("name", ["kubelet", "cadvisor", "kube-state-metrics"])
def test_what_speaks_of_other_pods_keeps_their_labels(name: str) -> None:
    """Its own namespace and pod would stand in their place, or move theirs to `exported_…`, which nothing asks for."""
    job = _job(name)

    assert job["honor_labels"] is True
    assert not {"namespace", "pod", "service"} & _labels(job)


@pytest.mark.parametrize("name", ["kubelet", "cadvisor", "kube-state-metrics", "node-exporter"])
def test_every_job_says_which_cluster(name: str) -> None:
    """Every dashboard selects by it."""
    assert {"target_label": "cluster", "replacement": "prod"} in _job(name)["relabel_configs"]


def test_a_node_keeps_its_series_when_its_exporters_pod_is_another() -> None:
    """The instance is the node's name, which alerts on disks show."""
    assert _labels(_job("node-exporter")) == {"cluster", "node", "instance"}


def test_the_kubelets_pages_are_kept_as_far_as_somebody_asks() -> None:
    """They have thousands of series a node; the recorded pages say which are asked for."""
    (keep,) = _job("cadvisor")["metric_relabel_configs"]

    assert keep["action"] == "keep"
    assert set(keep["regex"].split("|")) == {
        "container_cpu_cfs_periods_total",
        "container_cpu_cfs_throttled_periods_total",
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "kubelet_volume_stats_available_bytes",
        "kubelet_volume_stats_capacity_bytes",
    }


@pytest.mark.parametrize(
    ("targets", "trust"),
    [
        (
            Targets(kubelets=True, verify_kubelets=True),
            {"ca_file": "../../var/run/secrets/kubernetes.io/serviceaccount/ca.crt"},
        ),
        (Targets(kubelets=True), {"insecure_skip_verify": True}),
    ],
)
def test_a_kubelets_certificate_is_checked_where_the_cluster_has_signed_it(
    targets: Targets, trust: dict[str, Any]
) -> None:
    """Elsewhere it has signed it itself."""
    assert _job("kubelet", targets)["tls_config"] == trust


def test_a_probe_goes_through_the_exporter_and_keeps_the_url_as_its_instance() -> None:
    """A service's own probe says whose it is."""
    job = _job("probes")

    assert job["static_configs"] == [
        {"targets": ["https://shop.example.com/"], "labels": {"cluster": "prod"}},
        {
            "targets": ["http://checkout.shop.svc:8000/health"],
            "labels": {"cluster": "prod", "namespace": "shop", "service": "checkout"},
        },
    ]
    assert job["relabel_configs"][-1] == {
        "target_label": "__address__",
        "replacement": "blackbox-exporter.quarterdeck.svc:9115",
    }


def test_alerts_are_those_of_what_is_scraped() -> None:
    """A rule without data clutters."""
    assert Targets().exporters == BUNDLED
    assert ALL.exporters == BUNDLED | {
        Exporter.KUBELET,
        Exporter.KUBE_STATE_METRICS,
        Exporter.NODE_EXPORTER,
        Exporter.BLACKBOX_EXPORTER,
        Exporter.COLLECTOR,
        Exporter.REMOTE_WRITE,
    }


def test_one_of_a_pair_says_which_it_is_and_alerts_as_one() -> None:
    """By a label of what it sends; without it on alerts, Alertmanager sees that both have the same."""
    config = _config(is_one_of_many=True)

    assert config["global"]["external_labels"] == {"cluster": "prod", "replica": "${POD_NAME}"}
    assert config["alerting"]["alert_relabel_configs"] == [{"regex": "replica", "action": "labeldrop"}]


def test_one_alone_has_no_such_label() -> None:
    """It would only make every series of a receiver another when a second one comes."""
    config = _config()

    assert config["global"]["external_labels"] == {"cluster": "prod"}
    assert "alert_relabel_configs" not in config["alerting"]


def test_a_volume_is_not_filled() -> None:
    """The oldest blocks are deleted by size, too, before the disk is full."""
    assert _config(storage="200Gi")["storage"]["tsdb"]["retention"] == {"time": "40d", "size": "174080MB"}


def test_what_is_sent_may_be_late() -> None:
    """A collector that waited in a queue brings samples older than the newest."""
    assert _config(receives=True)["storage"]["tsdb"]["out_of_order_time_window"] == "10m"


def test_a_token_is_sent_over_tls_alone() -> None:
    """It is in a file that the pod mounts from a Secret."""
    sent = _config(remote_write={"near": "http://store.other.svc/write", "vendor": "https://m.example.com/write"})

    assert sent["remote_write"] == [
        {"name": "near", "url": "http://store.other.svc/write", "send_exemplars": True},
        {
            "name": "vendor",
            "url": "https://m.example.com/write",
            "send_exemplars": True,
            "authorization": {"credentials_file": "../prometheus-remote-write/vendor/token"},
        },
    ]
