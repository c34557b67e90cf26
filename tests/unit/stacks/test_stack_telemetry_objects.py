"""The objects of collectors, Tempo, Loki and Thanos: rights, volumes, and who reaches whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

Objects = dict[tuple[str, str | None, str], dict[str, Any]]

SYSTEM, NODE = "quarterdeck", "quarterdeck-node"
AGENT, GATEWAY, READER = "otel-collector-agent", "otel-collector-gateway", "otel-collector-log-reader"
DISTRIBUTED = ("monitoringScale=distributed", "objectStore=s3://samples?region=eu-west-1", "objectStoreIdentity=role")


def _pod(objects: Objects, kind: str, name: str, namespace: str = SYSTEM) -> dict[str, Any]:
    pod: dict[str, Any] = objects[kind, namespace, name]["spec"]["template"]["spec"]
    return pod


def test_agents_may_see_pods_and_nothing_else(rendered: Callable[..., Objects]) -> None:
    """By one cluster role, bound to the one service account."""
    objects = rendered("prod")

    role = objects["ClusterRole", None, f"quarterdeck-{AGENT}"]
    binding = objects["ClusterRoleBinding", None, f"quarterdeck-{AGENT}"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": AGENT, "namespace": SYSTEM}]


def test_a_services_spans_stay_on_their_node_until_the_agent_knows_whose_they_are(
    rendered: Callable[..., Objects],
) -> None:
    """The Service of the agents leads to the one of the caller's own node."""
    assert rendered("prod")["Service", SYSTEM, AGENT]["spec"]["internalTrafficPolicy"] == "Local"


def test_gateways_have_names_and_volumes_and_time_to_finish(rendered: Callable[..., Objects]) -> None:
    """As many as the settings say; a trace that is held is judged before the end."""
    gateway = rendered("prod")["StatefulSet", SYSTEM, GATEWAY]["spec"]

    (claim,) = gateway["volumeClaimTemplates"]
    assert gateway["replicas"] == 3
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert gateway["template"]["spec"]["terminationGracePeriodSeconds"] == 38


def test_gos_own_limit_of_memory_is_below_the_pods(rendered: Callable[..., Objects]) -> None:
    """So that garbage is collected before the kernel kills."""
    (container,) = _pod(rendered("prod"), "StatefulSet", GATEWAY)["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}

    assert container["resources"]["limits"] == {"memory": "2Gi"}
    assert variables["GOMEMLIMIT"] == "1638MiB"


def test_a_log_reader_reads_the_nodes_files_without_being_root(rendered: Callable[..., Objects]) -> None:
    """By root's group, read-only, in the namespace where that may be; what it writes goes with the pod."""
    pod = _pod(rendered("prod"), "DaemonSet", READER, NODE)
    volumes = {each["name"]: each for each in pod["volumes"]}
    (container,) = pod["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}

    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (10001, 0)
    assert volumes["node-logs"]["hostPath"] == {"path": "/var/log/pods", "type": "Directory"}
    assert mounts["node-logs"]["readOnly"] is True
    assert volumes["queue"] == {"name": "queue", "emptyDir": {}}


def test_without_traces_and_logs_there_is_no_place_for_them(rendered: Callable[..., Objects]) -> None:
    """Collectors remain: spans are measured."""
    names = {name for _, _, name in rendered("dev")}

    assert {AGENT, GATEWAY} <= names
    assert names.isdisjoint({"tempo", "loki", READER})


def test_without_collectors_there_is_nothing_of_them(rendered: Callable[..., Objects]) -> None:
    """No object, and no policy speaks of them."""
    assert not [name for _, _, name in rendered("dev", "collector=false") if name.startswith("otel-collector")]


def test_distributed_each_prometheus_has_a_sidecar_and_leaves_its_blocks_alone(
    rendered: Callable[..., Objects],
) -> None:
    """It is somebody to the cloud by its service account; no credential is written anywhere."""
    objects = rendered("prod", *DISTRIBUTED)
    server, sidecar = _pod(objects, "StatefulSet", "prometheus")["containers"]

    assert {"--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"} <= set(server["args"])
    assert sidecar["args"][0] == "sidecar"
    for name in ("prometheus", "thanos-store", "thanos-compact", "thanos-rule"):
        annotations = objects["ServiceAccount", SYSTEM, name]["metadata"]["annotations"]
        assert annotations["eks.amazonaws.com/role-arn"] == "role"


def test_distributed_rulers_evaluate_the_catalogues_rules_and_prometheus_those_about_itself(
    rendered: Callable[..., Objects],
) -> None:
    """Each file once: what says that Thanos' pods are ill must not need it."""
    objects = rendered("prod", *DISTRIBUTED)

    def files(program: str) -> set[str]:
        maps = [each for (kind, _, name), each in objects.items() if kind == "ConfigMap" and name.startswith(program)]
        return {name for each in maps for name in each["data"]}

    assert files("prometheus-rules") == {"monitoring.yaml", "kubernetes.yaml"}
    assert "service-checkout.yaml" in files("thanos-rule-rules")
    assert files("thanos-rule-rules").isdisjoint(files("prometheus-rules"))


def test_credentials_of_the_object_store_are_named_where_they_are_not_the_pods(
    rendered: Callable[..., Objects],
) -> None:
    """From the Secret that the settings name, which somebody else has made."""
    objects = rendered("prod", *DISTRIBUTED[:2], "objectStoreSecret=bucket")
    (store,) = _pod(objects, "StatefulSet", "thanos-store")["containers"]
    (tempo,) = _pod(objects, "StatefulSet", "tempo")["containers"]

    def secrets(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            e["name"]: e["valueFrom"]["secretKeyRef"]
            for e in container["env"]
            if "secretKeyRef" in e.get("valueFrom", {})
        }

    assert secrets(store) == {"OBJECT_STORE": {"name": "bucket", "key": "objstore.yml"}}
    assert secrets(tempo)["AWS_SECRET_ACCESS_KEY"] == {
        "name": "bucket",
        "key": "AWS_SECRET_ACCESS_KEY",
        "optional": True,
    }


@pytest.mark.parametrize("program", ["loki", "tempo"])
def test_google_credentials_are_a_file_of_the_same_secret(rendered: Callable[..., Objects], program: str) -> None:
    """Google's libraries take no key from a variable, only the path of one."""
    pod = _pod(rendered("prod", "objectStore=gs://kept", "objectStoreSecret=bucket"), "StatefulSet", program)
    (container,) = pod["containers"]

    assert {"name": "bucket", "secret": {"secretName": "bucket"}} in pod["volumes"]
    assert {"name": "bucket", "mountPath": "/etc/object-store", "readOnly": True} in container["volumeMounts"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["GOOGLE_APPLICATION_CREDENTIALS"] == "/etc/object-store/google.json"
    assert "AWS_SECRET_ACCESS_KEY" not in variables
