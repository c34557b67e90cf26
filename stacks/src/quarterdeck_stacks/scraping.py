"""Prometheus' configuration: what is found, under which target labels, and who is alerted. Pure text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract import kubernetes as names
from quarterdeck_contract import labels as l_
from quarterdeck_contract.environment import CHANGE
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_stacks.settings.keys import gibibytes
from quarterdeck_stacks.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIG_DIRECTORY = "/etc/prometheus"
"""Where the configuration is mounted."""
RULES_DIRECTORY = "/etc/prometheus-rules"
"""Where the rules are: beside the configuration, because a volume cannot be mounted inside a read-only one."""
LOOPBACK_KUBECONFIG = "../../var/run/secrets/kubernetes.io/serviceaccount/kubeconfig"
"""Relative to CONFIG_DIRECTORY: where the pod runner writes a kubeconfig of the pod's service account, since a process
on loopback has no in-cluster address of the API server."""

REMOTE_WRITE_DIRECTORY = "/etc/prometheus-remote-write"
"""Where the Secrets of remote write are, each in a folder of its receiver's name."""
REPLICA = "replica"
"""External label that tells the servers of a pair apart: by it Thanos and receivers of remote write know duplicates."""
REPLICA_VARIABLE = "POD_NAME"
"""Environment variable that Prometheus puts in its place."""

_SHARE_OF_VOLUME = 0.85
"""Of a volume that blocks may fill before the oldest are deleted: the rest is for the log of what is written and for
the block that is being made. Source: https://prometheus.io/docs/prometheus/latest/storage/, "Right-Sizing"."""
_LATE = timedelta(minutes=10)
"""How late a sample that was sent, not scraped, may be: a collector tries again for so long."""
_EXEMPLARS = 100_000
"""Exemplars kept in memory, about 100 bytes each."""
_LONGEST_TIMEOUT = timedelta(seconds=10)
"""Prometheus' own default; a scrape may not take longer than the interval."""


@dataclass(frozen=True, slots=True)
class Scraping:
    """What Prometheus' configuration depends on."""

    cluster: str
    """Value of the target label `cluster`."""
    interval: timedelta
    """Between scrapes, and between evaluations of rules."""
    retention: timedelta
    namespaces: Sequence[str]
    """Where pods are looked for: no wider than the roles of Prometheus' service account."""
    kubeconfig: str | None = None
    """Path relative to CONFIG_DIRECTORY; None is the in-cluster configuration."""
    targets: Targets = field(default_factory=Targets)
    """What is scraped beside the services."""
    is_one_of_many: bool = False
    """Whether others scrape the same, so that each says which it is."""
    storage: str = ""
    """Size of its volume, which it must not fill; empty where it has none."""
    remote_write: Mapping[str, str] = field(default_factory=dict)
    """Name to URL of what every sample is also sent to. With https, a token from a Secret is sent; with http never."""
    receives: bool = False
    """Whether it takes metrics by OTLP, which may come late."""
    changes: bool = False
    """Whether it finds the pods of each `pr-N`, too, whatever namespaces those have: then it may list all pods."""

    def to_yaml(self) -> str:
        """Return prometheus.yml."""
        return yaml.safe_dump(self._document(), sort_keys=False)

    def _document(self) -> dict[str, Any]:
        interval = format_duration(self.interval)
        which = {REPLICA: f"${{{REPLICA_VARIABLE}}}"} if self.is_one_of_many else {}
        document = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": format_duration(min(self.interval, _LONGEST_TIMEOUT)),
                "evaluation_interval": interval,
                # Alerts from rules that have aggregated the target label away still say where they come from.
                "external_labels": {l_.CLUSTER.prometheus: self.cluster, **which},
            },
            "storage": self._storage(),
            # Relative, so that the same text is right wherever the two volumes are mounted side by side.
            "rule_files": [f"../{RULES_DIRECTORY.rpartition('/')[2]}/*.yaml"],
            "alerting": self._alerting(),
            "scrape_configs": [
                self._pods(),
                *([self._changes()] if self.changes else []),
                *self.targets.jobs(self.cluster),
            ],
        }
        if self.remote_write:
            document["remote_write"] = [_sent(name, url) for name, url in sorted(self.remote_write.items())]
        return document

    def _storage(self) -> dict[str, Any]:
        retention = {"time": format_duration(self.retention)}
        if self.storage:
            retention["size"] = f"{int(gibibytes(self.storage) * 1024 * _SHARE_OF_VOLUME)}MB"
        tsdb: dict[str, Any] = {"retention": retention}
        if self.receives:
            tsdb["out_of_order_time_window"] = format_duration(_LATE)
        return {"tsdb": tsdb, "exemplars": {"max_exemplars": _EXEMPLARS}}

    def _alerting(self) -> dict[str, Any]:
        alerting: dict[str, Any] = {"alertmanagers": [self._alertmanagers()]}
        if self.is_one_of_many:
            # Else Alertmanager would hold the same alert of each for another.
            alerting = {"alert_relabel_configs": [{"regex": REPLICA, "action": "labeldrop"}], **alerting}
        return alerting

    def _pods(self) -> dict[str, Any]:
        return {
            "job_name": "pods",
            "kubernetes_sd_configs": [self._discovery(sorted({*self.namespaces, names.SYSTEM_NAMESPACE}))],
            "relabel_configs": _targets(self.cluster),
        }

    def _changes(self) -> dict[str, Any]:
        """Return the job of each `pr-N`: its target label `cluster` is its own name, so none is taken for another."""
        namespace = "__meta_kubernetes_namespace"
        return {
            "job_name": "changes",
            # Services' pods alone, which have a track.
            "kubernetes_sd_configs": [{"role": "pod", "selectors": [{"role": "pod", "label": names.TRACK}]}],
            "relabel_configs": [
                {"source_labels": [namespace], "regex": f"({CHANGE})-.+", "action": "keep"},
                *_targets(self.cluster),
                {"source_labels": [namespace], "regex": f"({CHANGE})-.+", "target_label": l_.CLUSTER.prometheus},
            ],
        }

    def _alertmanagers(self) -> dict[str, Any]:
        return {
            "kubernetes_sd_configs": [self._discovery([names.SYSTEM_NAMESPACE])],
            "relabel_configs": [
                # A pod is a target for each port it declares: of Alertmanager's, `http` is its API's.
                {
                    "source_labels": [_label(names.APP_NAME), "__meta_kubernetes_pod_container_port_name"],
                    "regex": "alertmanager;http",
                    "action": "keep",
                },
                _only_unfinished(),
            ],
        }

    def _discovery(self, namespaces: list[str]) -> dict[str, Any]:
        # Pods, not EndpointSlices: a canary that is not Ready yet must be seen, and slices refuse loopback addresses.
        discovery: dict[str, Any] = {"role": "pod", "namespaces": {"names": namespaces}}
        if self.kubeconfig is not None:
            discovery["kubeconfig_file"] = self.kubeconfig
        return discovery


def _targets(cluster: str) -> list[dict[str, Any]]:
    ip, port, address = "__meta_kubernetes_pod_ip", _annotation(names.SCRAPE_PORT), _annotation(names.SCRAPE_ADDRESS)
    return [
        {"source_labels": [port, address], "regex": ";", "action": "drop"},
        _only_unfinished(),
        {
            "source_labels": [ip, port],
            "separator": ";",
            "regex": r"([\d.]+);(\d+)",
            "replacement": "$1:$2",
            "target_label": "__address__",
        },
        {
            "source_labels": [ip, port],
            "separator": ";",
            "regex": r"(.*:.*);(\d+)",
            "replacement": "[$1]:$2",
            "target_label": "__address__",
        },
        {"source_labels": [address], "regex": "(.+)", "target_label": "__address__"},
        *target_labels(cluster),
    ]


def target_labels(cluster: str) -> list[dict[str, Any]]:
    """Return the rules that give a pod's series the target labels that dashboards, rules and gates select by."""
    return [
        {"replacement": cluster, "target_label": l_.CLUSTER.prometheus},
        *(
            {"source_labels": [source], "target_label": label.prometheus}
            for label, source in (
                (l_.NAMESPACE, "__meta_kubernetes_namespace"),
                (l_.SERVICE, _label(names.APP_NAME)),
                (l_.POD, "__meta_kubernetes_pod_name"),
                (l_.VERSION, _label(names.APP_VERSION)),
                (l_.TRACK, _label(names.TRACK)),
            )
        ),
    ]


def _sent(name: str, url: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "url": url, "send_exemplars": True}
    if url.startswith("https://"):
        folder = REMOTE_WRITE_DIRECTORY.rpartition("/")[2]
        entry["authorization"] = {"credentials_file": f"../{folder}/{name}/token"}
    return entry


def _only_unfinished() -> dict[str, Any]:
    return {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"}


def _label(name: str) -> str:
    return f"__meta_kubernetes_pod_label_{_sanitise(name)}"


def _annotation(name: str) -> str:
    return f"__meta_kubernetes_pod_annotation_{_sanitise(name)}"


def _sanitise(name: str) -> str:
    """Spell a Kubernetes name as Prometheus' service discovery does in its meta labels."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
