"""Runbooks on a real control plane with real processes, through the command line alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.programs import free_port

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.kube.client import JSON_PATCH, path
from quarterdeck_scripts.kube.workloads import promote_patch, status_of
from quarterdeck_scripts.local import images, lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

DEADLINE = 120.0
"""Seconds any one condition may take."""

CATALOGUE = """
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: localhost/checkout:v1
    replicas: 3
    rollout: {ready_within: 4m}
"""

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.path.exists(os.environ["HELD"]) else 200); self.end_headers()
    def log_message(self, *arguments): pass
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""

CHECKOUT = path("Deployment", "shop", "checkout")
LABELS = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}


@dataclass(frozen=True)
class Shop:
    """An environment with the service `checkout`, and a person at its command line."""

    folder: Path
    cluster: Cluster
    alertmanager: str
    """URL."""

    @property
    def held(self) -> Path:
        """The file that keeps every pod from being Ready, as long as it is there."""
        return self.folder / "held"

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, expect: int = 0, stdin: str | None = None) -> tuple[str, str]:
        """Run a command to its end; return what it wrote to stdout and to stderr."""
        command = [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, input=stdin or "", capture_output=True, text=True, timeout=280, check=False
        )
        assert ended.returncode == expect, ended.stderr
        return ended.stdout, ended.stderr

    def deployment(self) -> Json:
        """Return the Deployment as it is now."""
        return self.cluster.request("GET", CHECKOUT)

    def pods(self) -> list[Json]:
        """Return its pods."""
        query = {"labelSelector": "app.kubernetes.io/name=checkout"}
        return self.cluster.request("GET", path("Pod", "shop"), query=query)["items"]

    def uids(self) -> set[str]:
        """Return the identities of its pods."""
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def version(self) -> str:
        """Return the version it is deployed in."""
        return str(self.deployment()["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"])

    def deploy(self, image: str) -> None:
        """Deploy another version, as a promotion does."""
        body = promote_patch(self.deployment(), image)
        self.cluster.request("PATCH", CHECKOUT, body=body, content_type=JSON_PATCH)

    def until(self, what: str, look: Callable[[], object]) -> None:
        """Wait until *look* is true."""
        end = time.monotonic() + DEADLINE
        while not look():
            assert time.monotonic() < end, f"{what}: not within {DEADLINE} s"
            time.sleep(0.1)

    def until_done(self) -> None:
        """Wait until all pods are new and Ready."""
        self.until("checkout to be Ready", lambda: status_of(self.deployment(), self.pods()).done)

    def audited(self) -> list[tuple[str, str, str, str]]:
        """Return action, phase, reason and outcome of each entry of the audit log, which is intact."""
        found = AuditLog(self.cluster, self.folder / ".quarterdeck" / "audit", "test").verify()
        assert found.broken is None
        return [(entry.action, entry.phase, entry.why, entry.outcome) for entry in found.entries]


@pytest.fixture(scope="module")
def environment(
    local_tools: dict[str, Path], tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Run an environment of its own, because nodes are drained here, and an Alertmanager."""
    folder = tmp_path_factory.mktemp("runbooks")
    state = folder / ".quarterdeck" / "local"
    running = lifecycle.up(state, tools=local_tools, crash_backoff=0.5)
    try:
        with _alertmanager(tool("alertmanager"), folder) as url:
            cluster = connect(running.kubeconfig)
            python = [sys.executable, "-I", "-S", "-c"]
            images.add(state, "localhost/checkout:v1", {"config": {"Entrypoint": [*python, SERVER]}})
            images.add(state, "localhost/checkout:bad", {"config": {"Entrypoint": [*python, "raise SystemExit(3)"]}})
            facts = EnvironmentFacts("local", "http://127.0.0.1:9", url, CATALOGUE, "2s")
            for name in ("shop", "quarterdeck"):
                cluster.request("POST", path("Namespace"), body={"metadata": {"name": name}})
            body = {"metadata": {"name": "quarterdeck-environment"}, "data": facts.to_data()}
            cluster.request("POST", path("ConfigMap", "quarterdeck"), body=body)
            yield Shop(folder, cluster, url)
    finally:
        lifecycle.down(state)


@pytest.fixture
def shop(environment: Shop) -> Iterator[Shop]:
    """Deploy `checkout` anew, with three pods of v1."""
    container = {
        "name": "checkout",
        "image": "localhost/checkout:v1",
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "HELD", "value": str(environment.held)},
        ],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": {**LABELS, "app.kubernetes.io/version": "v1"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
    }
    deployment = {
        "metadata": {"name": "checkout", "labels": {"app.kubernetes.io/version": "v1"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": template},
    }
    environment.cluster.request("POST", path("Deployment", "shop"), body=deployment)
    environment.until_done()
    yield environment
    environment.cluster.request("DELETE", CHECKOUT, body={"propagationPolicy": "Foreground"})
    everything = path("Deployment", "shop")
    environment.until("checkout to be gone", lambda: not environment.cluster.request("GET", everything)["items"])
    environment.until("its pods to be gone", lambda: not environment.pods())


@contextmanager
def _alertmanager(program: Path, folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    command = [
        str(program),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://{address}"
            _until_answers(f"{url}/-/ready")
            yield url
        finally:
            process.terminate()


def _until_answers(url: str) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            if httpx.get(url, trust_env=False, timeout=30).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, f"{url} does not answer"
        time.sleep(0.05)


def test_a_restart_replaces_every_process(shop: Shop) -> None:
    """Three new pods, Ready; the result is data on stdout, the reason is in the audit log."""
    old = shop.uids()

    output, messages = shop.run(
        *("runbook", "run", "restart", "--service", "checkout", "--yes", "--why", "leaks", "--output", "json")
    )

    assert json.loads(output)["outcome"] == "done"
    assert "Plan: restart the Deployment shop/checkout: 3 pods" in messages
    shop.until("the old pods to be gone, which are ending", lambda: not shop.uids() & old)
    assert shop.audited()[-2:] == [("restart", "before", "leaks", ""), ("restart", "after", "leaks", "done")]


def test_a_dry_run_shows_what_would_change_and_changes_nothing(shop: Shop) -> None:
    """The server's own difference, for each action; no entry in the log, no question asked."""
    shop.deploy("localhost/checkout:bad")
    before, entries = shop.deployment()["spec"], len(shop.audited())
    node = next(pod["spec"]["nodeName"] for pod in shop.pods() if "nodeName" in pod["spec"])  # others wait for one

    service = ("--service", "checkout", "--dry-run")
    _, restart = shop.run("runbook", "run", "restart", *service)
    _, scale = shop.run("runbook", "run", "scale", *service, "--replicas", "5")
    _, roll_back = shop.run("runbook", "run", "roll-back", *service)
    _, drain = shop.run("runbook", "run", "drain", "--node", node, "--dry-run")

    assert "+ spec.template.metadata.annotations" in restart
    assert "~ spec.replicas: 3 → 5" in scale
    image = "~ spec.template.spec.containers[checkout].image: localhost/checkout:bad → localhost/checkout:v1"
    assert image in roll_back
    assert "~ metadata.labels.app.kubernetes.io/version: bad → v1" in roll_back
    assert "+ spec.unschedulable: true" in drain
    assert shop.deployment()["spec"] == before
    assert not shop.cluster.request("GET", path("Node", name=node))["spec"].get("unschedulable")
    assert len(shop.audited()) == entries


def test_nothing_is_changed_without_a_yes(shop: Shop) -> None:
    """There is no terminal to ask on, so it is refused: exit code 4."""
    old = shop.uids()

    _, messages = shop.run("runbook", "run", "restart", "--service", "checkout", expect=4)

    assert "add --yes" in messages
    assert shop.uids() == old


def test_scaling_ends_when_the_pods_serve(shop: Shop) -> None:
    """Up, then down."""
    shop.run("runbook", "run", "scale", "--service", "checkout", "--replicas", "5", "--yes")
    assert len([pod for pod in shop.pods() if "deletionTimestamp" not in pod["metadata"]]) == 5

    output, _ = shop.run("runbook", "run", "scale", "--service", "checkout", "--replicas", "1", "--yes")
    assert output == (
        "scale Deployment shop/checkout: done. replicas 1, pods 1 of 1 pods Ready, 1 of the newest template, 1 in all\n"
    )


def test_a_version_that_crashes_is_rolled_back_once_and_for_all(shop: Shop) -> None:
    """The pods that crash go, the old version serves; a second run changes nothing."""
    template = shop.deployment()["spec"]["template"]
    shop.deploy("localhost/checkout:bad")

    shop.run("runbook", "run", "roll-back", "--service", "checkout", "--yes")
    assert (shop.version(), shop.deployment()["spec"]["template"]) == ("v1", template)
    generation = shop.deployment()["metadata"]["generation"]

    _, messages = shop.run("runbook", "run", "roll-back", "--service", "checkout", "--yes")
    assert "was rolled back from bad to v1 already" in messages
    assert shop.deployment()["metadata"]["generation"] == generation


def test_what_keeps_a_restart_from_being_done_is_named(shop: Shop) -> None:
    """Exit code 1, with the pod and its reason, and how it ended in the log."""
    shop.deploy("localhost/checkout:bad")

    _, messages = shop.run("runbook", "run", "restart", "--service", "checkout", "--yes", expect=1)

    assert "CrashLoopBackOff" in messages
    assert "last with exit code 3 (Error)), which waiting does not mend" in messages
    assert shop.audited()[-1][3].startswith("failed: pod checkout-")


def test_a_run_that_was_killed_is_finished_by_the_next(shop: Shop) -> None:
    """SIGKILL while it waits: the next one waits for the same restart, and makes no second one."""
    shop.held.touch()
    begun = shop.deployment()["metadata"]["generation"]
    first = shop.begin("runbook", "run", "restart", "--service", "checkout", "--yes")
    shop.until("the change to be made", lambda: shop.deployment()["metadata"]["generation"] == begun + 1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()

    with shop.begin("runbook", "run", "restart", "--service", "checkout", "--yes") as second:
        messages = iter(second.stderr or ())
        assert any("go on with the restart of the Deployment shop/checkout begun at" in line for line in messages)
        shop.held.unlink()
        rest = "".join(messages)

    assert second.returncode == 0, rest
    assert shop.deployment()["metadata"]["generation"] == begun + 1
    assert status_of(shop.deployment(), shop.pods()).done
    assert [phase for _, phase, _, _ in shop.audited()[-3:]] == ["before", "before", "after"]


def test_a_drain_honours_the_budget_and_names_it(shop: Shop) -> None:
    """It stops at its deadline without breaking the budget; when that allows it, the node is cleared."""
    node = shop.pods()[0]["spec"]["nodeName"]
    budget = {"metadata": {"name": "keep"}, "spec": {"minAvailable": 3, "selector": {"matchLabels": LABELS}}}
    made = shop.cluster.request("POST", path("PodDisruptionBudget", "shop"), body=budget)
    there = path("PodDisruptionBudget", "shop", "keep")
    shop.until("the budget to be counted", lambda: shop.cluster.request("GET", there)["status"]["currentHealthy"] == 3)

    _, messages = shop.run("runbook", "run", "drain", "--node", node, "--within", "4s", "--yes", expect=1)
    assert "waits for PodDisruptionBudget keep (3 healthy, 3 needed)" in messages
    assert status_of(shop.deployment(), shop.pods()).ready == 3

    allow = [{"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]}]
    allow.append({"op": "replace", "path": "/spec/minAvailable", "value": 2})
    shop.cluster.request("PATCH", there, body=allow, content_type=JSON_PATCH)
    shop.run("runbook", "run", "drain", "--node", node, "--yes")
    query = {"fieldSelector": f"spec.nodeName={node}"}
    assert shop.cluster.request("GET", path("Pod"), query=query)["items"] == []
    shop.until_done()

    shop.run("runbook", "run", "drain", "--node", node, "--undo", "--yes")
    assert not shop.cluster.request("GET", path("Node", name=node))["spec"].get("unschedulable")
    shop.cluster.request("DELETE", there)


def test_an_alert_leads_to_the_command_that_mends_it(shop: Shop) -> None:
    """From Alertmanager by its own API, to a version that serves."""
    labels = {"alertname": "ErrorBudgetBurn", "service": "checkout", "namespace": "shop", "severity": "page"}
    alert: dict[str, Any] = {
        "labels": labels,
        "annotations": {"runbook_url": "https://example.org/runbooks/error-budget-burn/"},
    }
    httpx.post(f"{shop.alertmanager}/api/v2/alerts", json=[alert], trust_env=False, timeout=30).raise_for_status()
    shop.deploy("localhost/checkout:bad")

    answer, _ = shop.run("runbook", "for-alert", "--alert", "ErrorBudgetBurn", "--output", "json")
    piped, _ = shop.run("runbook", "for-alert", "-", "--output", "json", stdin=json.dumps({"alerts": [alert]}))
    remedy = json.loads(answer)["remedies"][0]
    shop.run(*remedy["arguments"], "--yes", "--why", "ErrorBudgetBurn")

    assert remedy["command"] == "quarterdeck runbook run roll-back --service checkout --env local"
    assert json.loads(piped)["remedies"] == json.loads(answer)["remedies"]
    assert shop.version() == "v1"
    shop.run("runbook", "for-alert", "--alert", "Nothing", expect=2)
