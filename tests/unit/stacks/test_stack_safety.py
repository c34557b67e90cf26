"""What every environment keeps to, whatever is in it: images, levels, roles, limits, budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_stacks.images import is_pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING = (
    'probes=["https://shop.example.com/"]',
    'remoteWrite=["vendor=https://metrics.example.com/write"]',
    "metricsServer=true",
    "datadog=true",
    "logs=true",
    "traces=true",
)
"""Every option that adds a program."""
DISTRIBUTED = ("monitoringScale=distributed", "objectStore=s3://samples?region=eu-west-1", "objectStoreIdentity=role")
OPERATED = (
    "prometheusOperator=true",
    "prometheusUrl=http://prometheus-operated.monitoring.svc:9090",
    "alertmanagerUrl=http://alertmanager-operated.monitoring.svc:9093",
)
SHAPES = {
    "dev": ("dev", EVERYTHING),
    "staging": ("staging", EVERYTHING),
    "prod": ("prod", EVERYTHING),
    "distributed": ("prod", (*EVERYTHING, *DISTRIBUTED)),
    "operated": ("dev", (*EVERYTHING, *OPERATED)),
}
"""Each environment with everything on, and the two ways in which it may have another Prometheus."""

Object = dict[str, Any]


@pytest.fixture(params=SHAPES)
def objects(request: pytest.FixtureRequest, rendered: Callable[..., dict[Any, Object]]) -> tuple[Object, ...]:
    """Return the objects of one of SHAPES."""
    env, overrides = SHAPES[request.param]
    return tuple(rendered(env, *overrides).values())


def _pods(objects: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Yield each object that makes pods, with the pod's specification."""
    for each in objects:
        if "template" in each.get("spec", {}):
            yield each, each["spec"]["template"]["spec"]


def _containers(pod: Object) -> list[Object]:
    return [*pod["containers"], *pod.get("initContainers", [])]


def _name(each: Object) -> str:
    return f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}"


def test_every_image_of_the_monitoring_is_pinned(objects: tuple[Object, ...]) -> None:
    """Services have the images that their owners deploy."""
    ours = [
        container["image"]
        for each, pod in _pods(objects)
        if each["metadata"]["namespace"].startswith("quarterdeck")
        for container in _containers(pod)
    ]

    assert ours
    assert [image for image in ours if not is_pinned(image)] == []


def test_every_container_is_restricted(objects: tuple[Object, ...]) -> None:
    """Not root, no privileges, no capabilities, a read-only root: in the node agents' namespace, too."""
    for each, pod in _pods(objects):
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), _name(each)
        for container in _containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }, _name(each)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), _name(each)


def test_only_node_agents_see_the_node_and_only_their_namespace_allows_it(objects: tuple[Object, ...]) -> None:
    """Everything else is under the restricted level, which refuses a folder of the node."""
    with_host_path = {
        each["metadata"]["namespace"]
        for each, pod in _pods(objects)
        if any("hostPath" in volume for volume in pod.get("volumes", []))
    }
    levels = {
        each["metadata"]["name"]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in objects
        if each["kind"] == "Namespace"
    }

    assert with_host_path == {"quarterdeck-node"}
    assert levels == {"quarterdeck": "restricted", "quarterdeck-node": "privileged", "shop": "restricted"}


def test_the_node_is_read_and_never_written(objects: tuple[Object, ...]) -> None:
    """Each mount of a folder of the node is read-only."""
    for each, pod in _pods(objects):
        host = {volume["name"] for volume in pod.get("volumes", []) if "hostPath" in volume}
        for container in _containers(pod):
            writable = [m["name"] for m in container.get("volumeMounts", []) if not m.get("readOnly")]
            kept = "otel-collector-log-reader"  # how far files are read outlives its pod, in a folder of its own
            assert not host & set(writable) or each["metadata"]["name"] == kept, _name(each)


def test_no_role_has_a_wildcard_or_reads_secrets(objects: tuple[Object, ...]) -> None:
    """Neither by its rules nor by a role of the cluster that it is bound to."""
    roles = [each for each in objects if each["kind"] in {"Role", "ClusterRole"}]

    for role in roles:
        for rule in role["rules"]:
            words = [*rule.get("apiGroups", []), *rule.get("resources", []), *rule["verbs"]]
            assert "*" not in words, _name(role)
            assert not {"secrets", "nodes/proxy", "pods/exec"} & set(rule.get("resources", [])), _name(role)
    bound = {each["roleRef"]["name"] for each in objects if each["kind"].endswith("RoleBinding")}
    foreign = bound - {role["metadata"]["name"] for role in roles}
    assert foreign <= {"system:auth-delegator", "extension-apiserver-authentication-reader"}


def test_every_container_asks_for_memory_and_has_a_limit(objects: tuple[Object, ...]) -> None:
    """What takes more than it said is ended, and not its neighbours."""
    for each, pod in _pods(objects):
        for container in _containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), _name(each)
            assert "memory" in resources["limits"], _name(each)


def test_what_has_replicas_has_a_budget_and_is_spread(objects: tuple[Object, ...]) -> None:
    """A drained node takes one of them."""
    budgets = {
        (each["metadata"]["namespace"], each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"])
        for each in objects
        if each["kind"] == "PodDisruptionBudget"
    }
    for each, pod in _pods(objects):
        if each["spec"].get("replicas", 1) > 1:
            app = each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
            assert (each["metadata"]["namespace"], app) in budgets, _name(each)
            assert pod["topologySpreadConstraints"], _name(each)


def test_only_what_speaks_to_the_api_server_has_a_token(objects: tuple[Object, ...]) -> None:
    """Each pod says so; and an account never gives its token to a pod by itself."""
    assert all(not each["automountServiceAccountToken"] for each in objects if each["kind"] == "ServiceAccount")
    bound = {
        (subject["namespace"], subject["name"])
        for each in objects
        if each["kind"].endswith("RoleBinding")
        for subject in each["subjects"]
    }
    for each, pod in _pods(objects):
        account = (each["metadata"]["namespace"], pod["serviceAccountName"])
        assert pod["automountServiceAccountToken"] == (account in bound), _name(each)


def test_every_namespace_denies_what_no_policy_names(objects: tuple[Object, ...]) -> None:
    """Both ways."""
    denied = {
        each["metadata"]["namespace"]
        for each in objects
        if each["kind"] == "NetworkPolicy" and each["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }

    assert denied == {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"}
