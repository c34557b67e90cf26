"""The rendered configurations, read by the real programs; and what a Prometheus that runs on them sees."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.programs import started, until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH
from quarterdeck_scripts.local.pods.environment import expand
from quarterdeck_scripts.local.pods.paths import rewrite
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

NAMESPACES = ("discovery-shop", "quarterdeck")

PAGE = """\
# TYPE payments counter
payments_total 3.0 # {{trace_id="4bf92f3577b34da6a3ce929d0e0e4736"}} 1.0
payments_created {created}
# EOF
"""
"""A counter that is first seen at 3, and says that its process began a moment before."""


@dataclass(frozen=True)
class Rendered:
    """The stack, with its mounted ConfigMaps as files below `folder`."""

    objects: list[Json]
    folder: Path

    def one(self, kind: str, name: str) -> Json:
        """Return the object of *kind* called *name*."""
        (found,) = [each for each in self.objects if each["kind"] == kind and each["metadata"]["name"] == name]
        return found

    def mounts(self, deployment: str) -> dict[str, str]:
        """Return each mount path and its folder here."""
        (container,) = self.one("Deployment", deployment)["spec"]["template"]["spec"]["containers"]
        return {mount["mountPath"]: f"{self.folder}{mount['mountPath']}" for mount in container["volumeMounts"]}


@pytest.fixture(scope="module")
def rendered(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Render the stack `local` with its service in a namespace of this test."""
    folder = tmp_path_factory.mktemp("rendered")
    catalogue = folder / "services.yaml"
    catalogue.write_text((root / "services.yaml").read_text().replace("namespace: shop", f"namespace: {NAMESPACES[0]}"))
    project = load_project(root)
    config = load_stack(project, "local", [f"catalogue={catalogue}", "scrapeInterval=1s"])
    found = Rendered([clean(each) for each in render(project, "local", config).objects], folder)
    for server in ("prometheus", "alertmanager"):
        spec = found.one("Deployment", server)["spec"]["template"]["spec"]
        names = {each["name"]: each["configMap"]["name"] for each in spec["volumes"] if "configMap" in each}
        for mount in spec["containers"][0]["volumeMounts"]:
            place = folder / mount["mountPath"].lstrip("/")
            place.mkdir(parents=True)
            if mount["name"] in names:
                for key, text in found.one("ConfigMap", names[mount["name"]])["data"].items():
                    (place / key).write_text(text)
    return found


def test_prometheus_accepts_its_configuration_and_every_rule(tool: Callable[[str], Path], rendered: Rendered) -> None:
    """The rule files are found from where the configuration is mounted."""
    checked = subprocess.run(
        [tool("promtool"), "check", "config", "--lint=all", rendered.folder / "etc/prometheus/prometheus.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr
    assert "SUCCESS: 2 rule files found" in checked.stdout
    assert checked.stderr == ""


def test_alertmanager_accepts_its_configuration(tool: Callable[[str], Path], rendered: Rendered) -> None:
    """Routes, inhibitions and receivers."""
    checked = subprocess.run(
        [tool("amtool"), "check-config", rendered.folder / "etc/alertmanager/alertmanager.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


@dataclass(frozen=True)
class Running:
    """A Prometheus that runs as the stack describes it, and the pods it is to find."""

    url: str
    stable: str
    """Address of the stable pod."""
    canary: str
    """Address of the canary."""
    alertmanager: str
    """Address of Alertmanager's pod."""

    def query(self, expression: str) -> list[Any]:
        """Return the instant vector of *expression*: labels and value."""
        result = self.api("query", query=expression)["result"]
        return [(each["metric"], each["value"][1]) for each in result]

    def api(self, path: str, **query: str) -> Any:
        """Return the data of an API path."""
        return httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10).raise_for_status().json()["data"]


@pytest.fixture(scope="module")
def prometheus(tool: Callable[[str], Path], rendered: Rendered, api_server: Path) -> Iterator[Running]:
    """Run Prometheus with the rendered arguments, as the service account of the stack, on pods that serve a page."""
    cluster = connect(api_server)
    own, stable, canary, alertmanager = _addresses(4)
    with ExitStack() as stack:
        for address in (stable, canary):
            stack.enter_context(_serving(address))
        _apply(cluster, rendered)
        _pod(cluster, rendered, "checkout", stable, {})
        _pod(
            cluster,
            rendered,
            "checkout",
            canary,
            {"quarterdeck.dev/track": "canary", "app.kubernetes.io/version": "v2"},
        )
        _pod(cluster, rendered, "alertmanager", alertmanager, {})
        _write_kubeconfig(cluster, api_server, rendered.folder / "var/run/secrets/kubernetes.io/serviceaccount")
        arguments = rendered.one("Deployment", "prometheus")["spec"]["template"]["spec"]["containers"][0]["args"]
        mounts = rendered.mounts("prometheus")
        command = [rewrite(expand(each, {"POD_IP": own}), mounts) for each in arguments]
        stack.enter_context(started(rendered.folder / "prometheus.log", [tool("prometheus"), *command]))
        running = Running(f"http://{own}:9090", stable, canary, alertmanager)
        until(lambda: len(running.query('up{service="checkout"} == 1')) == 2, "two pods to be scraped")
        yield running


def test_every_series_has_the_target_labels_and_each_pod_is_scraped_once(prometheus: Running) -> None:
    """By pod, version and track, although each pod declares two ports; and with no more rights than the stack gives."""
    # A scrape that a busy machine did not answer in time has no sample.
    series = until(lambda: two if len(two := prometheus.query('payments_total{service="checkout"}')) == 2 else None)
    found = {labels["track"]: labels for labels, _ in series}

    assert found == {
        track: {
            "__name__": "payments_total",
            "cluster": "local",
            "namespace": "discovery-shop",
            "service": "checkout",
            "pod": f"checkout-{address}",
            "version": version,
            "track": track,
            "instance": f"{address}:9464",
            "job": "pods",
        }
        for track, version, address in (
            ("stable", "v1", prometheus.stable),
            ("canary", "v2", prometheus.canary),
        )
    }
    targets = prometheus.api("targets", state="active")["activeTargets"]
    assert sorted(each["labels"]["instance"] for each in targets if each["labels"]["service"] == "checkout") == sorted(
        [f"{prometheus.stable}:9464", f"{prometheus.canary}:9464"]
    )


def test_a_counter_that_is_born_at_three_counts_three(prometheus: Running) -> None:
    """Prometheus takes the start timestamp as a sample of 0, else a canary's first errors would be lost."""
    until(lambda: bool(prometheus.query("min_over_time(payments_total[5m]) == 0")), "a sample of 0")

    (value,) = {
        value for _, value in prometheus.query("max_over_time(payments_total[5m]) - min_over_time(payments_total[5m])")
    }

    assert value == "3"


def test_start_timestamps_are_no_series_of_their_own(prometheus: Running) -> None:
    """They would double the cost of every counter."""
    assert prometheus.query("payments_created") == []


def test_exemplars_are_kept(prometheus: Running) -> None:
    """They lead from a number to a trace."""
    now = time.time()  # they are as old as the first scrape, which may have been minutes ago

    found = prometheus.api("query_exemplars", query="payments_total", start=str(now - 3600), end=str(now + 60))

    assert {each["labels"]["trace_id"] for series in found for each in series["exemplars"]} == {
        "4bf92f3577b34da6a3ce929d0e0e4736"
    }


def test_alertmanager_is_found_by_its_pod(prometheus: Running) -> None:
    """On the port that it declares."""
    until(lambda: bool(prometheus.api("alertmanagers")["activeAlertmanagers"]), "Alertmanager")

    assert prometheus.api("alertmanagers")["activeAlertmanagers"] == [
        {"url": f"http://{prometheus.alertmanager}:9093/api/v2/alerts"}
    ]


def test_every_rule_is_loaded_and_evaluates(prometheus: Running) -> None:
    """Each group has been evaluated, and no rule has an error."""
    until(lambda: all(group["lastEvaluation"] > "2000" for group in prometheus.api("rules")["groups"]), "every rule")

    groups = prometheus.api("rules")["groups"]
    assert {group["file"].rpartition("/")[2] for group in groups} == {"monitoring.yaml", "service-checkout.yaml"}
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []


def _apply(cluster: Cluster, rendered: Rendered) -> None:
    """Make what Prometheus needs: namespaces, accounts, roles."""
    plurals = {
        "Namespace": "/api/v1/namespaces",
        "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
        "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
        "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    }
    for each in rendered.objects:
        if each["kind"] in plurals:
            where = plurals[each["kind"]].format(each["metadata"].get("namespace"))
            cluster.request(
                "PATCH",
                f"{where}/{each['metadata']['name']}",
                query={"fieldManager": "test-stack"},
                body=each,
                content_type="application/apply-patch+yaml",
            )


def _pod(cluster: Cluster, rendered: Rendered, deployment: str, address: str, labels: dict[str, str]) -> None:
    """Make a pod of *deployment* that runs at *address*."""
    found = rendered.one("Deployment", deployment)
    template, namespace = found["spec"]["template"], found["metadata"]["namespace"]
    metadata = {**template["metadata"], "name": f"{deployment}-{address}"}
    metadata["labels"] = {**metadata["labels"], **labels}
    where = f"/api/v1/namespaces/{namespace}/pods"
    cluster.request("POST", where, body={"metadata": metadata, "spec": template["spec"]})
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    cluster.request("PATCH", f"{where}/{metadata['name']}/status", body={"status": status}, content_type=MERGE_PATCH)


def _write_kubeconfig(cluster: Cluster, administrator: Path, folder: Path) -> None:
    """Write what the pod runner writes: a kubeconfig of Prometheus' own service account."""
    where = "/api/v1/namespaces/quarterdeck/serviceaccounts/prometheus/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.request("POST", where, body=request)["status"]["token"]
    config = yaml.safe_load(administrator.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    config["current-context"] = config["contexts"][0]["name"]
    folder.mkdir(parents=True)
    (folder / "kubeconfig").write_text(json.dumps(config))


def _addresses(count: int) -> list[str]:
    """Return loopback addresses on which nobody listens where our pods do."""
    found: list[str] = []
    for last in range(2, 250):
        address = f"127.101.{last}.1"
        if all(_free(address, port) for port in (9090, 9093, 9464)):
            found.append(address)
        if len(found) == count:
            return found
    raise AssertionError("no free loopback address")


def _free(address: str, port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError:
            return False
        return True


class _Metrics(http.server.BaseHTTPRequestHandler):
    created: float
    """When the server was started: long after this file is read, if other tests come before."""

    def do_GET(self) -> None:
        """Serve the page."""
        body = PAGE.format(created=self.created).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _serving(address: str) -> Iterator[None]:
    handler = type("_Served", (_Metrics,), {"created": time.time()})
    with http.server.ThreadingHTTPServer((address, 9464), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
