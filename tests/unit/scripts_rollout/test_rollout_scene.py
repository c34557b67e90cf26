"""What a cluster has on a service is written down before it is gone: bounded, in time, and with no secret in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.logs import FakeLogs
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.scene import Limits, Scene, Witness

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

PLANTED = "pl4nted-in-plain"
"""A secret that somebody wrote where none belongs."""

LABELS = {"app.kubernetes.io/name": "checkout"}

NOT_TEXT = b"\xff\xfe\x00 caf\xe9 \x80\n"


def template(image: str, config: str, **env: str) -> Any:
    """Return a pod template that reads the ConfigMap *config*."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return {
        "metadata": {"labels": LABELS},
        "spec": {
            "containers": [
                {"name": "app", "image": image, "env": variables, "envFrom": [{"configMapRef": {"name": "flags"}}]}
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": config}},
                {"name": "key", "secret": {"secretName": "key"}},
            ],
        },
    }


def workload(kind: str, name: str, made: Any) -> Any:
    """Return a Deployment or ReplicaSet with the pod template *made*."""
    metadata = {"name": name, "namespace": "shop", "labels": LABELS, "managedFields": [{"manager": "kubectl"}]}
    return {"kind": kind, "metadata": metadata, "spec": {"template": made, "selector": {"matchLabels": LABELS}}}


def pod(name: str, image: str, track: str, restarts: int = 0, **env: str) -> Any:
    """Return a pod; one that restarted waits in a crash loop."""
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if restarts else {"running": {}}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False" if restarts else "True"}],
        "containerStatuses": [{"name": "app", "restartCount": restarts, "ready": not restarts, "state": state}],
    }
    metadata = {"name": name, "namespace": "shop", "labels": {**LABELS, "quarterdeck.dev/track": track}}
    spec = {**template(image, "config-a", **env)["spec"], "nodeName": "n1"}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def config_map(name: str, **data: str) -> Any:
    """Return a ConfigMap, last written by Helm."""
    fields = [
        {"manager": "helm", "time": "2026-11-22T10:00:00Z"},
        {"manager": "kubectl", "time": "2026-11-21T10:00:00Z"},
    ]
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop", "managedFields": fields}, "data": data}


def event(about: str, message: str, at: str) -> Any:
    """Return an event."""
    return {
        "kind": "Event",
        "metadata": {"name": f"{about}.{at}", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": about},
        "type": "Warning",
        "reason": "BackOff",
        "message": message,
        "count": 3,
        "lastTimestamp": at,
    }


@pytest.fixture
def cluster() -> FakeCluster:
    """Return a cluster with a stable version and a canary that crashes."""
    return FakeCluster(
        [
            workload("Deployment", "checkout", template(V1, "config-a", LEVEL="info")),
            workload("Deployment", "checkout-canary", template(V2, "config-b", LEVEL="debug", DB_PASSWORD=PLANTED)),
            pod("checkout-1", V1, "stable"),
            pod("checkout-canary-1", V2, "canary", restarts=4, DB_PASSWORD=PLANTED),
            config_map("config-a", **{"app.yaml": "retries: 3\ntimeout: 1s\n"}),
            config_map("config-b", **{"app.yaml": f"retries: 0\ntimeout: 1s\nurl: amqp://u:{PLANTED}@host\n"}),
            config_map("flags", NEW="on", API_TOKEN=PLANTED),
            {"kind": "Secret", "metadata": {"name": "key", "namespace": "shop"}, "data": {"key": "c2VjcmV0"}},
            event("checkout-canary-1", f"Back-off: started with {PLANTED}", "2026-11-23T08:00:02Z"),
            event("checkout-1", "pulled", "2026-11-23T08:00:01Z"),
            event("elsewhere-1", "of another service", "2026-11-23T08:00:03Z"),
        ]
    )


LOGS = {
    ("checkout-1", "app", False): b"GET /pay 200\n",
    ("checkout-canary-1", "app", False): b"starting\npassword=hunter2 is what it had\n" + NOT_TEXT,
    ("checkout-canary-1", "app", True): f"Traceback: cannot log in with {PLANTED}\n".encode(),
}


def looked(cluster: Any, logs: Any = None, limits: Limits = Limits(), clock: FakeClock | None = None) -> Scene:  # noqa: B008 -- frozen
    """Return what a witness finds."""
    witness = Witness(cluster, logs or FakeLogs(LOGS), clock or FakeClock(), "shop", "checkout", limits)
    return witness.look(V1, V2)


def test_everything_that_goes_with_the_pods_is_there(cluster: FakeCluster) -> None:
    """Pods with their state and history, events, logs of this run and the one before, configuration."""
    scene = looked(cluster)

    assert scene.missing == []
    assert sorted(scene.files) == [
        "changes.txt",
        "config-maps.json",
        "events.txt",
        "logs/checkout-1.app.log",
        "logs/checkout-canary-1.app.log",
        "logs/checkout-canary-1.app.previous.log",
        "pods.json",
        "pods.txt",
        "workloads.json",
    ]
    lines = scene.files["pods.txt"].decode().splitlines()
    assert lines[0].startswith(f"checkout-1  stable  {V1}  Running  Ready  restarts=0  node=n1  created=")
    assert lines[1].endswith("pod checkout-canary-1, container app: CrashLoopBackOff (restarted 4 times)")
    assert scene.files["events.txt"].decode().splitlines() == [
        "2026-11-23T08:00:01Z  Warning  BackOff  Pod/checkout-1: pulled (3 times)",
        "2026-11-23T08:00:02Z  Warning  BackOff  Pod/checkout-canary-1: Back-off: started with (not shown) (3 times)",
    ]
    first, second = json.loads(scene.files["pods.json"])
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("checkout-canary-1", "checkout-1")
    assert "managedFields" not in scene.files["workloads.json"].decode()


def test_what_is_configured_otherwise_is_said(cluster: FakeCluster) -> None:
    """Of the template, of ConfigMaps under another name line by line; and who last wrote one that both read."""
    assert looked(cluster).files["changes.txt"].decode().splitlines() == [
        "Pod template:",
        "  ~ spec.containers[app].env[LEVEL].value: info → debug",
        '  + spec.containers[app].env[DB_PASSWORD]: {"name": "DB_PASSWORD", "value": "(not shown)"}',
        f"  ~ spec.containers[app].image: {V1} → {V2}",
        "  ~ spec.volumes[config].configMap.name: config-a → config-b",
        "ConfigMap config-a → config-b (volume config):",
        "  ~ app.yaml:",
        "    @@ -1 +1 @@",
        "    -retries: 3",
        "    +retries: 0",
        "    @@ -2,0 +3 @@",
        "    +url: amqp://u:(not shown)@host",
        "ConfigMap flags (container app, envFrom 0), read by both: last written 2026-11-22T10:00:00Z by helm",
    ]


def test_no_secret_is_read_or_kept(cluster: FakeCluster) -> None:
    """No Secret is asked for; one that was written in plain is in no file, wherever it is repeated."""
    scene = looked(cluster)

    assert not [where for _, where in cluster.requests if "secrets" in where]
    everything = b"".join(scene.files.values())
    assert PLANTED.encode() not in everything
    assert b"hunter2" not in everything
    assert b"c2VjcmV0" not in everything
    assert b"Traceback: cannot log in with (not shown)\n" in everything


def test_a_log_is_bytes(cluster: FakeCluster) -> None:
    """What is no text in any encoding is kept as it is."""
    assert looked(cluster).files["logs/checkout-canary-1.app.log"].endswith(NOT_TEXT)


def test_all_texts_together_have_a_bound(cluster: FakeCluster) -> None:
    """Logs give way first, and from their beginning; what had no room is named."""
    logs = FakeLogs(dict.fromkeys(LOGS, b"a line of a log\n" * 100000))
    whole = looked(cluster, logs, replace(Limits(), log_bytes=1000))
    limits = replace(Limits(), log_bytes=1000, bytes=whole.size - 1200)
    scene = looked(cluster, logs, limits)

    assert all(len(text) <= 1000 for name, text in whole.files.items() if name.startswith("logs/"))
    assert whole.files["logs/checkout-1.app.log"].startswith(b"a line of a log\n")
    assert scene.size <= limits.bytes
    assert scene.files["pods.json"] == whole.files["pods.json"]
    assert scene.missing == ["logs/checkout-1.app.log: no room was left"]
    assert looked(cluster, logs, replace(Limits(), bytes=10)).size == 10


def test_what_is_too_many_is_named(cluster: FakeCluster) -> None:
    """A service of 10,000 pods has a list of as many as are kept, and says so."""
    scene = looked(cluster, limits=replace(Limits(), listed=1, whole=1))

    assert scene.files["pods.txt"].count(b"\n") == 1
    assert "Pods after the first 1: more than are kept" in scene.missing


def test_a_right_that_is_missing_leaves_the_rest(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not list events still has the logs."""
    real = cluster.request

    def request(method: str, where: str, **options: Any) -> Any:
        if where.endswith("/events"):
            raise ApiError(403, "Forbidden", "no", method=method, path=where)
        return real(method, where, **options)

    monkeypatch.setattr(cluster, "request", request)

    scene = looked(cluster)
    assert scene.missing == ["Events after the first 0: 403 Forbidden: no"]
    assert scene.files["events.txt"] == b""
    assert "logs/checkout-canary-1.app.log" in scene.files


def test_it_has_a_deadline(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server that answers nothing costs as long as the deadline says, however much there is to ask."""
    clock, asked = FakeClock(), []

    def request(method: str, where: str, *, timeout: float, **_: Any) -> Any:
        asked.append(timeout)
        clock.sleep(timeout)
        raise UnreachableError("an answer", "silence", "wait")

    monkeypatch.setattr(cluster, "request", request)
    began = clock.monotonic()

    scene = looked(cluster, clock=clock, limits=replace(Limits(), seconds=12, call_seconds=5))

    assert clock.monotonic() - began == 12
    assert asked == [5, 5, 2]
    assert "Deployment checkout-baseline: no time was left for it" in scene.missing
    assert "Pods after the first 0: silence" in scene.missing
    assert "Events after the first 0: no time was left for it" in scene.missing


def test_nobody_has_logs(cluster: FakeCluster) -> None:
    """Where logs cannot be had, that is said once."""
    scene = Witness(cluster, None, FakeClock(), "shop", "checkout").look(V1, V2)

    assert scene.missing == ["logs: nobody here has them"]


def test_a_service_that_is_gone_is_no_failure() -> None:
    """There may be nothing left to look at."""
    scene = looked(FakeCluster())

    assert scene.files["pods.txt"] == b""
    assert scene.missing == [f"changes.txt: no template of {V1} is left"]


def test_a_stateful_sets_configuration_is_there_too(cluster: FakeCluster) -> None:
    """Whatever kind of workload the service is."""
    cluster.request("DELETE", path("Deployment", "shop", "checkout"))
    cluster.request(
        "POST", path("StatefulSet", "shop"), body=workload("StatefulSet", "checkout", template(V1, "config-a"))
    )

    scene = looked(cluster)
    assert [each["kind"] for each in json.loads(scene.files["workloads.json"])] == ["Deployment", "StatefulSet"]
    assert b"ConfigMap config-a" in scene.files["changes.txt"]


def test_a_version_that_is_only_in_its_replica_set_is_found(cluster: FakeCluster) -> None:
    """After a promotion, the old version's template is its ReplicaSet's."""
    body = {"spec": {"template": template(V2, "config-b")}}
    cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)
    cluster.request("DELETE", path("Deployment", "shop", "checkout-canary"))
    cluster.request(
        "POST", path("ReplicaSet", "shop"), body=workload("ReplicaSet", "checkout-1", template(V1, "config-a"))
    )

    assert b"ConfigMap config-a \xe2\x86\x92 config-b (volume config):" in looked(cluster).files["changes.txt"]
