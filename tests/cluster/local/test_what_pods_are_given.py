"""What a pod of the local environment is given: files, tokens, addresses, hooks, and its log."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, path

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.local.conftest import Local

    from quarterdeck_scripts.kube.client import Json

pytestmark = pytest.mark.tools

SLEEP = {"name": "main", "image": "localhost/sh", "args": ["exec sleep 1000"]}


def _run(command: str, **fields: object) -> Json:
    return {"name": "main", "image": "localhost/sh", "args": [command], **fields}


def _log(local: Local, name: str) -> str:
    return local.raw(path("Pod", "default", name, "log"))[1]


def _config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_config_map_is_files_that_change_with_it(local: Local, pod: Callable[..., Json]) -> None:
    """The files are where a path in an argument says; a change is in the pod while it runs."""
    local.create(_config_map("settings", greeting="hello"))
    show = 'while :; do cat "$0"; sleep 0.1; done'
    container = {
        "name": "main",
        "image": "localhost/sh",
        "args": [show, "/etc/app/greeting"],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/app"}],
    }
    local.create(pod("files", container, volumes=[{"name": "settings", "configMap": {"name": "settings"}}]))
    local.until("the file to be read", lambda: "hello" in _log(local, "files"))

    target = path("ConfigMap", "default", "settings")
    local.cluster.request("PATCH", target, body={"data": {"greeting": "good day"}}, content_type=MERGE_PATCH)

    local.until("the new file to be read", lambda: "good day" in _log(local, "files"))


def test_variables_come_from_all_that_kubernetes_knows(local: Local, pod: Callable[..., Json]) -> None:
    """Fields, ConfigMaps, Secrets, resources and other variables; a missing ConfigMap is waited for."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"key": "s3cret"}}
    local.create(secret)
    variables = [
        {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "level"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "ALL", "value": "$(WHO) $(LEVEL) $(KEY) $(MEMORY)"},
    ]
    container = _run("echo $ALL; exec sleep 1000", env=variables, resources={"limits": {"memory": "64Mi"}})
    local.create(pod("variables", container))

    def reason() -> str:
        statuses = local.get("Pod", "variables")["status"].get("containerStatuses", [{}])
        return statuses[0].get("state", {}).get("waiting", {}).get("reason", "")

    local.until("the missing ConfigMap to be named", lambda: reason() == "CreateContainerConfigError")
    local.create(_config_map("late", level="debug"))

    local.until_ready("variables")
    local.until("the log", lambda: _log(local, "variables") == "variables debug s3cret 64\n")


def test_the_service_accounts_token_authenticates(local: Local, pod: Callable[..., Json]) -> None:
    """The kubeconfig beside the token, which the pod has as KUBECONFIG, speaks for the pod's ServiceAccount."""
    local.create(pod("account", _run("echo $KUBECONFIG; exec sleep 1000")))
    local.until_ready("account")
    kubeconfig = local.until("the path", lambda: _log(local, "account").strip())

    cluster = connect(Path(kubeconfig))

    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = cluster.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
    user = answer["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:default:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["account"]
    with pytest.raises(ApiError) as refused:
        cluster.request("GET", path("Pod", "default"))
    assert refused.value.status == 403


def test_containers_share_an_empty_dir_and_a_sidecar_outlives_the_others(
    local: Local, pod: Callable[..., Json]
) -> None:
    """What an init container writes the others read; the sidecar starts before them and ends after them."""
    mount = [{"name": "data", "mountPath": "/data"}]
    where = [{"name": "DATA", "value": "/data"}]
    sidecar = {
        "name": "sidecar",
        "image": "localhost/sh",
        "args": ["trap 'exit 0' TERM; echo first > $DATA/said; while :; do sleep 0.05; done"],
        "restartPolicy": "Always",
        "volumeMounts": mount,
        "env": where,
    }
    main = _run("until test -s $DATA/said; do sleep 0.05; done; cat $DATA/said", volumeMounts=mount, env=where)
    described = pod("sharing", main, restartPolicy="Never", volumes=[{"name": "data", "emptyDir": {}}])
    described["spec"]["initContainers"] = [sidecar]
    local.create(described)

    local.until("the pod to succeed", lambda: local.get("Pod", "sharing")["status"]["phase"] == "Succeeded")

    statuses = local.get("Pod", "sharing")["status"]
    assert statuses["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert local.raw(f"{path('Pod', 'default', 'sharing', 'log')}?container=main") == (200, "first\n")


def test_a_pod_has_the_address_it_asks_for(local: Local, pod: Callable[..., Json]) -> None:
    """A second pod that asks for it waits until the first is gone; one of another network is told so."""
    prefix = local.get("Node", "local-1", "")["status"]["addresses"][0]["address"].rpartition(".255.")[0]
    asked = {"quarterdeck.dev/address": f"{prefix}.0.7"}
    local.create(pod("first", SLEEP, annotations=asked))
    assert f"{prefix}.0.7" == local.until_ready("first")[0]["status"]["podIP"]

    local.create(pod("second", SLEEP, annotations=asked))
    local.create(pod("third", SLEEP, annotations={"quarterdeck.dev/address": "127.1.2.3"}))

    told = local.until("the second to be told", lambda: local.events("second", "FailedCreatePodSandBox"))
    assert f"address {prefix}.0.7 is in use by the pod with UID" in told[0]["message"]
    told = local.until("the third to be told", lambda: local.events("third", "FailedCreatePodSandBox"))
    assert f"deploy the stack with loopbackPrefix={prefix}" in told[0]["message"]
    local.cluster.request("DELETE", path("Pod", "default", "first"))
    assert f"{prefix}.0.7" == local.until_ready("second")[0]["status"]["podIP"]


def test_a_port_that_another_program_has_is_named(
    local: Local, server: Callable[..., Json], pod: Callable[..., Json]
) -> None:
    """A program that listens on every address would make ours fail with a message of its own; ours says which."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        container = server(ports=[{"name": "http", "containerPort": port}])
        local.create(pod("taken", container))

        def waiting() -> Json:
            statuses = local.get("Pod", "taken")["status"].get("containerStatuses", [{}])
            return statuses[0].get("state", {}).get("waiting", {})

        local.until("the port to be named", lambda: waiting().get("reason") == "CreateContainerError")
        assert f"port {port} of" in waiting()["message"]

    local.until("the container to run", lambda: not waiting())


def test_hooks_run_and_the_pre_stop_hook_comes_before_the_signal(
    local: Local, pod: Callable[..., Json], tmp_path: Path
) -> None:
    """The first after the start; the second while the process still knows nothing, then SIGTERM."""
    signs = tmp_path / "signs"

    def sign(word: str) -> Json:
        return {"exec": {"command": ["/bin/sh", "-c", f"echo {word} >> {signs}"]}}

    command = f"trap 'echo signal >> {signs}; exit 0' TERM; while :; do sleep 0.05; done"
    hooks = {"postStart": sign("started"), "preStop": sign("stopping")}
    local.create(pod("hooked", _run(command, lifecycle=hooks)))
    local.until("the postStart hook", signs.exists)

    local.cluster.request("DELETE", path("Pod", "default", "hooked"))

    local.until_gone("Pod", "hooked")
    assert signs.read_text().split() == ["started", "stopping", "signal"]


def test_the_api_serves_logs(local: Local, pod: Callable[..., Json]) -> None:
    """Whole, their end, or so many bytes; what cannot be had is refused with a reason."""
    local.create(pod("talks", _run("seq 1 2000; exec sleep 1000")))
    local.until_ready("talks")
    local.until("all lines", lambda: _log(local, "talks").endswith("2000\n"))
    where = path("Pod", "default", "talks", "log")

    assert local.raw(f"{where}?tailLines=2") == (200, "1999\n2000\n")
    assert local.raw(f"{where}?limitBytes=4") == (200, "1\n2\n")
    status, text = local.raw(f"{where}?sinceSeconds=5")
    assert (status, "logs of the local environment have no times" in text) == (400, True)
    status, text = local.raw(f"{where}?previous=true")
    assert (status, "has no such log" in text) == (400, True)


def test_kwok_may_not_touch_pods(local: Local, pod: Callable[..., Json]) -> None:
    """Its role lets it watch them, which it insists on, and no more."""
    local.create(pod("untouched", SLEEP))
    kwok = connect(local.state / "pki" / "kwok.kubeconfig")

    with pytest.raises(ApiError) as refused:
        kwok.request(
            "PATCH",
            path("Pod", "default", "untouched", "status"),
            body={"status": {"phase": "Succeeded"}},
            content_type=MERGE_PATCH,
        )

    assert refused.value.status == 403


def test_the_nodes_leases_are_renewed(local: Local) -> None:
    """Without a lease the node controller calls a node, and every pod on it, not ready after 50 seconds."""

    def lease() -> Json | None:
        leases = local.cluster.request("GET", path("Lease", "kube-node-lease"))["items"]
        return next((one for one in leases if one["metadata"]["name"] == "local-1"), None)

    spec = local.until("the lease", lease)["spec"]

    assert spec["leaseDurationSeconds"] == 40
    assert spec["renewTime"]
