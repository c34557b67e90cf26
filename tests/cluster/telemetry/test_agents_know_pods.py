"""An agent before a real API server, with the rights that the stack gives it and no others."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from gateways import PORTS, running
from loopback import addresses, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import APPLY_PATCH, MERGE_PATCH
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render
from quarterdeck_stacks.telemetry.agent import Agent
from quarterdeck_stacks.telemetry.places import OTLP_HTTP_PORT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster

pytestmark = pytest.mark.tools

NAMESPACE, POD, NODE = "agent-shop", "checkout-7d9f5c-x2x4q", "node-1"
ROLE = "quarterdeck-otel-collector-agent"


def test_a_span_gets_the_names_of_the_pod_it_comes_from(
    tool: Callable[[str], Path], api_server: Path, collector: Any, root: Path, tmp_path: Path
) -> None:
    """Namespace, pod, Deployment, version and track, by the address that the span is sent from."""
    agent, pod = addresses(2, PORTS)
    cluster = connect(api_server)
    _grant(cluster, root)
    _run_pod(cluster, pod)
    kubeconfig = _kubeconfig(cluster, api_server, tmp_path)
    document = yaml.safe_load(Agent(256 * 1024**2, "unused", None).to_yaml())
    # Outside of a pod the same account is found by a kubeconfig; and one back end stands for the gateways.
    document["processors"]["k8s_attributes"]["auth_type"] = "kubeConfig"
    document["exporters"] = {"otlp_http": {"endpoint": f"http://127.0.0.1:{collector.port}"}}
    document["service"]["pipelines"] = {
        "traces": {**document["service"]["pipelines"]["traces"], "exporters": ["otlp_http"]}
    }
    attributes: dict[str, str] = {}
    environment = {"KUBECONFIG": str(kubeconfig), "KUBE_NODE_NAME": NODE}

    with running(tool("otelcol-contrib"), agent, yaml.safe_dump(document), tmp_path / "agent", environment=environment):

        def is_known() -> bool:
            _send(agent, pod)
            last = collector.posts[-1].resource_spans[0].resource.attributes if collector.posts else ()
            attributes.clear()
            attributes.update({each.key: each.value.string_value for each in last})
            return "k8s.pod.name" in attributes

        until(is_known, "the pod to be known")

    assert attributes | {"k8s.pod.uid": ""} == {
        "k8s.namespace.name": NAMESPACE,
        "k8s.pod.name": POD,
        "k8s.pod.uid": "",
        "k8s.node.name": NODE,
        "k8s.deployment.name": "checkout",
        "service.version": "1.4.2",
        "quarterdeck.track": "canary",
    }


def _grant(cluster: Cluster, root: Path) -> None:
    """Make the agent's account and role as the stack renders them."""
    project = load_project(root)
    objects = [clean(each) for each in render(project, "dev", load_stack(project, "dev")).objects]
    paths = {
        "Namespace": "/api/v1/namespaces",
        "ServiceAccount": "/api/v1/namespaces/quarterdeck/serviceaccounts",
        "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    }
    for each in objects:
        if each["metadata"]["name"] in {"quarterdeck", "otel-collector-agent", ROLE} and each["kind"] in paths:
            path = f"{paths[each['kind']]}/{each['metadata']['name']}"
            cluster.request(
                "PATCH", path, query={"fieldManager": "test", "force": "true"}, body=each, content_type=APPLY_PATCH
            )


def _run_pod(cluster: Cluster, address: str) -> None:
    """Make a pod of a Deployment that has *address*, as its kubelet would say."""
    cluster.request("POST", "/api/v1/namespaces", body={"metadata": {"name": NAMESPACE}})
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-7d9f5c", "uid": "1", "controller": True}
    labels = {"app.kubernetes.io/version": "1.4.2", "quarterdeck.dev/track": "canary", "pod-template-hash": "7d9f5c"}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    cluster.request(
        "POST",
        path,
        body={
            "metadata": {"name": POD, "labels": labels, "ownerReferences": [owner]},
            "spec": {"nodeName": NODE, "containers": [{"name": "checkout", "image": "checkout"}]},
        },
    )
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    cluster.request("PATCH", f"{path}/{POD}/status", body={"status": status}, content_type=MERGE_PATCH)


def _kubeconfig(cluster: Cluster, administrator: Path, folder: Path) -> Path:
    """Write a kubeconfig of the agent's own service account."""
    where = "/api/v1/namespaces/quarterdeck/serviceaccounts/otel-collector-agent/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.request("POST", where, body=request)["status"]["token"]
    config = yaml.safe_load(administrator.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    config["current-context"] = config["contexts"][0]["name"]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def _send(agent: str, source: str) -> None:
    """Post one span to *agent* from the address *source*."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"1" * 8, name="GET /")
    span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
    connection = http.client.HTTPConnection(agent, OTLP_HTTP_PORT, timeout=20, source_address=(source, 0))
    connection.request("POST", "/v1/traces", request.SerializeToString(), {"Content-Type": "application/x-protobuf"})
    assert connection.getresponse().status == http.client.OK
    connection.close()
