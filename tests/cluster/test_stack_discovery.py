"""What an environment's Prometheus finds and may read of a cluster, with the roles that the stack gives it alone."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

NODE = "discovery-node"
ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
PLURALS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
KUBELET_PAGE = """\
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="app",namespace="shop",pod="checkout-a"} 7
# TYPE container_tasks_state gauge
container_tasks_state{container="app",namespace="shop",pod="checkout-a"} 1
"""
SERVICE_PAGE = "# TYPE asked_total counter\nasked_total 3\n"
STATE_PAGE = '# TYPE kube_pod_info gauge\nkube_pod_info{namespace="shop",pod="checkout-a"} 1\n'


@dataclass(frozen=True)
class Found:
    """One environment's Prometheus."""

    env: str
    url: str
    shown: list[str | None]
    """What it showed to the kubelet."""


@pytest.fixture(scope="module", params=["prod", "dev"])
def prometheus(
    request: pytest.FixtureRequest,
    tool: Callable[[str], Path],
    root: Path,
    api_server: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Found]:
    """Run the Prometheus of an environment on a cluster with one node, and with a change's pod beside it."""
    env, folder = request.param, tmp_path_factory.mktemp("discovery")
    project = load_project(root)
    config = load_stack(project, env, ["scrapeInterval=1s"])
    objects = [clean(each) for each in render(project, env, config).objects]
    change = [clean(each) for each in render(project, "pr-42", load_stack(project, "dev")).objects]
    cluster = connect(api_server)
    for each in [*objects, *change]:
        if each["kind"] in PLURALS:
            _apply(cluster, each)
    token = _token(cluster)
    written = _written(objects, folder, api_server, token)
    shown: list[str | None] = []
    kubelet, state, exporter, service, own = _addresses((10250, 8080, 9100, 9464, 9090))
    with ExitStack() as stack:
        stack.callback(cluster.request, "DELETE", _node(cluster, kubelet))
        for program, where, address in (
            ("kube-state-metrics", objects, state),
            ("node-exporter", objects, exporter),
            ("checkout", change, service),
        ):
            pod = _pod(cluster, where, program, address)
            stack.callback(cluster.request, "DELETE", pod, query={"gracePeriodSeconds": "0"})
        stack.enter_context(_serving(kubelet, 10250, KUBELET_PAGE, shown, _certificate(folder)))
        stack.enter_context(_serving(state, 8080, STATE_PAGE, []))
        stack.enter_context(_serving(exporter, 9100, "# TYPE node_load1 gauge\nnode_load1 1\n", []))
        stack.enter_context(_serving(service, 9464, SERVICE_PAGE, []))
        arguments = [f"--config.file={written}", f"--storage.tsdb.path={folder / 'data'}"]
        listen = f"--web.listen-address={own}:9090"
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(
            [tool("prometheus"), *arguments, listen],
            stdout=log,
            stderr=log,
            env=os.environ | {"POD_NAME": "prometheus-0"},
        )
        stack.callback(process.wait, timeout=120)
        stack.callback(process.terminate)
        yield Found(env, f"http://{own}:9090", shown)


def test_it_reads_the_kubelets_page_as_its_own_account(prometheus: Found) -> None:
    """It finds the node by its role, shows its token, and keeps what is asked for, with the pods' own names on it."""
    url = prometheus.url
    of_cadvisor = 'container_memory_working_set_bytes{job="cadvisor"}'

    found = [each["metric"] for each in until(lambda: _query(url, of_cadvisor), "the kubelet's page")]
    assert found == [
        {
            "__name__": "container_memory_working_set_bytes",
            "cluster": prometheus.env,
            "container": "app",
            "instance": NODE,
            "job": "cadvisor",
            "namespace": "shop",
            "node": NODE,
            "pod": "checkout-a",
        }
    ]
    assert _query(url, "container_tasks_state") == []
    assert all(each is not None and each.startswith("Bearer ") for each in prometheus.shown)


def test_what_kube_state_metrics_says_of_pods_is_of_those_pods(prometheus: Found) -> None:
    """Not of its own."""
    (found,) = (each["metric"] for each in until(lambda: _query(prometheus.url, "kube_pod_info"), "its page"))
    assert (found["cluster"], found["namespace"], found["pod"]) == (prometheus.env, "shop", "checkout-a")


def test_a_nodes_exporter_is_called_by_its_node(prometheus: Found) -> None:
    """Its series go on when its pod is another."""
    (found,) = (each["metric"] for each in until(lambda: _query(prometheus.url, "node_load1"), "its page"))
    assert (found["cluster"], found["instance"], found["node"]) == (prometheus.env, NODE, NODE)


def test_devs_finds_the_pods_of_a_change_and_no_other_does(prometheus: Found) -> None:
    """Under the change's own name, so that none of its series is taken for dev's."""
    url = prometheus.url
    until(lambda: bool(_query(url, "kube_pod_info")), "another page")
    of_the_change = until(lambda: _query(url, "asked_total"), "its page") if prometheus.env == "dev" else []

    found = [each["metric"] for each in of_the_change or _query(url, "asked_total")]
    labels = {"cluster": "pr-42", "namespace": "pr-42-shop", "service": "checkout", "track": "stable"}
    assert [{name: each[name] for name in labels} for each in found] == ([labels] if prometheus.env == "dev" else [])


def test_it_may_discover_all_that_it_is_told_to(prometheus: Found) -> None:
    """No list or watch of any job is forbidden."""
    url = prometheus.url
    until(lambda: httpx.get(f"{url}/-/ready", timeout=5).status_code == 200, "Prometheus to be ready")

    page = httpx.get(f"{url}/metrics", timeout=10).text
    failures = [line for line in page.splitlines() if line.startswith("prometheus_sd_kubernetes_failures_total")]
    assert [float(line.rpartition(" ")[2]) for line in failures] == [0.0]


def _query(url: str, expression: str) -> list[Any]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=10).raise_for_status().json()
    result: list[Any] = answer["data"]["result"]
    return result


def _written(objects: list[Json], folder: Path, api_server: Path, token: str) -> Path:
    """Write prometheus.yml with its account beside it; each discovery is told where the API server is."""
    (config,) = (e for e in objects if e["kind"] == "ConfigMap" and "prometheus.yml" in e["data"])
    document = yaml.safe_load(config["data"]["prometheus.yml"])
    account = folder / ACCOUNT
    account.mkdir(parents=True)
    (account / "token").write_text(token)
    kubeconfig = yaml.safe_load(api_server.read_text())
    kubeconfig["users"] = [{"name": each["name"], "user": {"token": token}} for each in kubeconfig["users"]]
    kubeconfig["current-context"] = kubeconfig["contexts"][0]["name"]
    (account / "kubeconfig").write_text(json.dumps(kubeconfig))
    for job in [*document["scrape_configs"], *document["alerting"]["alertmanagers"]]:
        for discovery in job.get("kubernetes_sd_configs", []):
            discovery["kubeconfig_file"] = str(account / "kubeconfig")
    path = folder / "etc" / "prometheus" / "prometheus.yml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(document))
    return path


def _apply(cluster: Cluster, each: Json) -> None:
    where = PLURALS[each["kind"]].format(each["metadata"].get("namespace"))
    cluster.request(
        "PATCH",
        f"{where}/{each['metadata']['name']}",
        query={"fieldManager": "test-stack", "force": "true"},
        body=each,
        content_type="application/apply-patch+yaml",
    )


def _token(cluster: Cluster) -> str:
    where = "/api/v1/namespaces/quarterdeck/serviceaccounts/prometheus/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token: str = cluster.request("POST", where, body=request)["status"]["token"]
    return token


def _node(cluster: Cluster, address: str) -> str:
    cluster.request("POST", "/api/v1/nodes", body={"metadata": {"name": NODE}})
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    }
    path = f"/api/v1/nodes/{NODE}"
    cluster.request("PATCH", f"{path}/status", body={"status": status}, content_type=MERGE_PATCH)
    return path


def _pod(cluster: Cluster, objects: list[Json], name: str, address: str) -> str:
    """Make a pod of the program *name* on the node, at *address*."""
    (found,) = (e for e in objects if e["kind"] in {"Deployment", "DaemonSet"} and e["metadata"]["name"] == name)
    template, where = found["spec"]["template"], f"/api/v1/namespaces/{found['metadata']['namespace']}/pods"
    metadata = {**template["metadata"], "name": f"{name}-discovery"}
    cluster.request("POST", where, body={"metadata": metadata, "spec": {**template["spec"], "nodeName": NODE}})
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    path = f"{where}/{metadata['name']}"
    cluster.request("PATCH", f"{path}/status", body={"status": status}, content_type=MERGE_PATCH)
    return path


def _certificate(folder: Path) -> Path:
    """Write a certificate that nobody has signed but itself, as kubelets of many clusters have, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NODE)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "kubelet.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def _serving(
    address: str, port: int, page: str, shown: list[str | None], certificate: Path | None = None
) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Serve the page, and note who asks."""
            shown.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer((address, port), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _addresses(ports: tuple[int, ...]) -> list[str]:
    """Return a loopback address for each of *ports* on which nobody listens there."""
    candidates = (f"127.103.{last}.1" for last in range(2, 250))
    return [next(each for each in candidates if _free(each, port)) for port in ports]


def _free(address: str, port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError:
            return False
        return True
