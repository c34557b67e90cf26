"""What a Prometheus scrapes beside the services: the cluster's own programs, each as a job. Pure.

Jobs, the alerts that have data, and who must be let through to whom, all follow from one `Targets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract import kubernetes as names
from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import BUNDLED, Exporter
from quarterdeck_dashboards.series import INSTANCE, external

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KUBE_STATE_METRICS, NODE_EXPORTER, BLACKBOX_EXPORTER = "kube-state-metrics", "node-exporter", "blackbox-exporter"
"""Names of the exporters' pods, Services and jobs."""
KUBE_STATE_METRICS_PORT = 8080
KUBE_STATE_METRICS_OWN_PORT = 8081
"""Where it tells of itself."""
NODE_EXPORTER_PORT = 9100
BLACKBOX_EXPORTER_PORT = 9115
KUBELET_PORT = 10250

MODULE = "http_2xx"
"""The blackbox exporter's module: a GET that is answered 2xx, over TLS where the URL says so."""
_ACCOUNT = "../../var/run/secrets/kubernetes.io/serviceaccount"
"""The service account's token and the cluster's certificate authority, relative to where prometheus.yml is."""
_NODE = "__meta_kubernetes_node_name"

Job = dict[str, Any]
"""One entry of `scrape_configs`."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A URL that is asked from inside the cluster."""

    url: str
    namespace: str = ""
    """Of the service it belongs to; empty for any other."""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Targets:
    """What there is to scrape."""

    kubelets: bool = False
    """The kubelets and cAdvisor, for which Prometheus may list nodes and read their metrics."""
    verify_kubelets: bool = False
    """Whether a kubelet's certificate is checked against the cluster's authority: only where that has signed it."""
    kube_state_metrics: bool = False
    node_exporter: bool = False
    probes: Sequence[Probe] = ()
    collector: bool = False
    remote_write: bool = False

    @property
    def exporters(self) -> frozenset[Exporter]:
        """Whose series there are: alerts on any other are left out."""
        there = {
            Exporter.KUBELET: self.kubelets,
            Exporter.KUBE_STATE_METRICS: self.kube_state_metrics,
            Exporter.NODE_EXPORTER: self.node_exporter,
            Exporter.BLACKBOX_EXPORTER: bool(self.probes),
            Exporter.COLLECTOR: self.collector,
            Exporter.REMOTE_WRITE: self.remote_write,
        }
        return BUNDLED | {exporter for exporter, is_there in there.items() if is_there}

    def jobs(self, cluster: str) -> list[Job]:
        """Return the jobs, their series labelled with *cluster*."""
        jobs: list[Job] = []
        if self.kubelets:
            jobs += [
                self._kubelet(cluster, "kubelet", "/metrics"),
                self._kubelet(cluster, "cadvisor", "/metrics/cadvisor"),
            ]
        if self.kube_state_metrics:
            jobs.append(_kube_state_metrics(cluster))
        if self.node_exporter:
            jobs.append(_node_exporter(cluster))
        if self.probes:
            jobs.append(_probes(cluster, self.probes))
        return jobs

    def _kubelet(self, cluster: str, page: str, path: str) -> Job:
        trust: dict[str, Any] = {"ca_file": f"{_ACCOUNT}/ca.crt"}
        if not self.verify_kubelets:
            trust = {"insecure_skip_verify": True}
        return {
            "job_name": page,
            "scheme": "https",
            "metrics_path": path,
            # Its namespace, pod and container are those it speaks of.
            "honor_labels": True,
            "authorization": {"credentials_file": f"{_ACCOUNT}/token"},
            "tls_config": trust,
            "kubernetes_sd_configs": [{"role": "node"}],
            "relabel_configs": [
                {"replacement": cluster, "target_label": l_.CLUSTER.prometheus},
                {"source_labels": [_NODE], "target_label": "node"},
                {"source_labels": [_NODE], "target_label": INSTANCE.prometheus},
            ],
            # Some thousands of series a node, of which the dashboards and alerts ask for few.
            "metric_relabel_configs": [_keep_known("kubelet", "cadvisor")],
        }


def _kube_state_metrics(cluster: str) -> Job:
    return {
        "job_name": KUBE_STATE_METRICS,
        # Its namespace and pod are those it speaks of; with target labels of its own, a Deployment would be in its pod.
        "honor_labels": True,
        "kubernetes_sd_configs": [_pods(names.SYSTEM_NAMESPACE)],
        "relabel_configs": [
            *_only(KUBE_STATE_METRICS, KUBE_STATE_METRICS_PORT),
            {"replacement": cluster, "target_label": l_.CLUSTER.prometheus},
        ],
    }


def _node_exporter(cluster: str) -> Job:
    node = "__meta_kubernetes_pod_node_name"
    return {
        "job_name": NODE_EXPORTER,
        "kubernetes_sd_configs": [_pods(names.NODE_NAMESPACE)],
        "relabel_configs": [
            *_only(NODE_EXPORTER, NODE_EXPORTER_PORT),
            {"replacement": cluster, "target_label": l_.CLUSTER.prometheus},
            {"source_labels": [node], "target_label": "node"},
            # A node keeps its series when its pod is another.
            {"source_labels": [node], "target_label": INSTANCE.prometheus},
        ],
    }


def _probes(cluster: str, probes: Iterable[Probe]) -> Job:
    return {
        "job_name": "probes",
        "metrics_path": "/probe",
        "params": {"module": [MODULE]},
        "static_configs": [
            {
                "targets": [probe.url],
                "labels": {
                    l_.CLUSTER.prometheus: cluster,
                    **({l_.NAMESPACE.prometheus: probe.namespace} if probe.namespace else {}),
                    **({l_.SERVICE.prometheus: probe.service} if probe.service else {}),
                },
            }
            for probe in probes
        ],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": INSTANCE.prometheus},
            {
                "replacement": f"{BLACKBOX_EXPORTER}.{names.SYSTEM_NAMESPACE}.svc:{BLACKBOX_EXPORTER_PORT}",
                "target_label": "__address__",
            },
        ],
    }


def _pods(namespace: str) -> dict[str, Any]:
    return {"role": "pod", "namespaces": {"names": [namespace]}}


def _only(app: str, port: int) -> list[dict[str, Any]]:
    """Keep the pods of *app*, each once, by the one *port*."""
    return [
        {
            "source_labels": [
                "__meta_kubernetes_pod_label_app_kubernetes_io_name",
                "__meta_kubernetes_pod_container_port_number",
            ],
            "regex": f"{app};{port}",
            "action": "keep",
        },
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"},
    ]


def _keep_known(*pages: str) -> dict[str, Any]:
    known = sorted({name for page in pages for name in external(page)})
    return {"source_labels": ["__name__"], "regex": "|".join(known), "action": "keep"}
