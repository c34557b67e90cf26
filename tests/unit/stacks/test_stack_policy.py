"""The rules for anybody's objects: kept by the stack's own renderings, broken by each faulty object as it should be."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_stacks.policy import access, pods, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]

DIGEST = f"@sha256:{'0a' * 32}"

GOOD: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "replicas": 2,
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "web",
                        "image": f"registry.example/web:1{DIGEST}",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                    }
                ],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
        },
    },
}
BUDGET = {
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1},
}
DENIAL = {
    "kind": "NetworkPolicy",
    "metadata": {"name": "default-deny", "namespace": "shop"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


def _wrong(*objects: dict[str, Any], exempt: frozenset[str] | None = None) -> list[tuple[str, str]]:
    """Return what each rule finds; *exempt* is none of the pack's configuration, or that of every rule."""

    def every() -> Iterator[tuple[str, str]]:
        for rule in (*pods.RULES, *access.RULES):
            without = rule.exempt if exempt is None else exempt
            yield from ((rule.name.removeprefix("quarterdeck-"), w) for o in objects for w in rule.check(o, without))
        for each in together.RULES:
            without = each.exempt if exempt is None else exempt
            yield from ((each.name.removeprefix("quarterdeck-"), w) for w in each.check(objects, without))

    return list(every())  # fmt: skip


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_the_stacks_own_objects_keep_every_rule(objects_of: Objects, env: str) -> None:
    """With the services' images pinned, as a registry's would be: the repository's own are built on the machine."""
    image = f'images=["checkout=registry.example/checkout:v1{DIGEST}"]'

    assert _wrong(*objects_of(env, image).values()) == []


def test_a_good_object_is_let_through() -> None:
    """So that each fault below is the only one."""
    assert _wrong(GOOD, BUDGET, DENIAL) == []


def _changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    changed = copy.deepcopy(GOOD)
    change(changed["spec"]["template"]["spec"])
    return changed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda pod: pod.update(hostNetwork=True), ("restricted", "hostNetwork must not be true")),
        (
            lambda pod: pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
            ("restricted", "volume node must be no hostPath"),
        ),
        (
            lambda pod: pod["securityContext"].pop("runAsNonRoot"),
            ("restricted", "container web: runAsNonRoot must be true, and runAsUser not 0"),
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"].update(runAsUser=0),
            ("restricted", "container web: runAsNonRoot must be true, and runAsUser not 0"),
        ),
        (
            lambda pod: pod["securityContext"].pop("seccompProfile"),
            ("restricted", "container web: seccompProfile.type must be RuntimeDefault or Localhost"),
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"].update(seccompProfile={"type": "Unconfined"}),
            ("restricted", "container web: seccompProfile.type must be RuntimeDefault or Localhost"),
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
            ("restricted", "container web: allowPrivilegeEscalation must be false"),
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"].update(capabilities={}),
            ("restricted", "container web: capabilities.drop must have ALL"),
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
            ("restricted", "container web: capabilities.add must not have SYS_ADMIN"),
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
            ("restricted", "container web: readOnlyRootFilesystem must be true: give it a volume where it writes"),
        ),
        (
            lambda pod: pod["containers"][0].update(ports=[{"containerPort": 80, "hostPort": 80}]),
            ("restricted", "container web: hostPort 80 must not be taken"),
        ),
        (
            lambda pod: pod["containers"][0]["resources"].pop("limits"),
            ("bounded", "container web: resources.limits.memory must be set"),
        ),
        (
            lambda pod: pod.update(initContainers=[{**pod["containers"][0], "name": "first", "image": "web:1"}]),
            ("digests", "container first: the image web:1 must end in @sha256:… of what was tested"),
        ),
    ],
)
def test_a_pod_that_may_more_than_it_should_is_told_what(
    change: Callable[[dict[str, Any]], object], expected: tuple[str, str]
) -> None:
    """One fault, one message, with the container's name."""
    assert _wrong(_changed(change), BUDGET, DENIAL) == [expected]


def test_node_agents_have_a_namespace_of_their_own() -> None:
    """There alone nodes' files are read; which namespaces these are is the pack's configuration."""
    agent = _changed(lambda pod: pod.update(hostNetwork=True))
    agent["metadata"]["namespace"] = "quarterdeck-node"
    denial = {**DENIAL, "metadata": {"name": "default-deny", "namespace": "quarterdeck-node"}}
    budget = {**BUDGET, "metadata": {"name": "web", "namespace": "quarterdeck-node"}}

    assert _wrong(agent, denial, budget) == []
    assert _wrong(agent, denial, budget, exempt=frozenset()) == [("restricted", "hostNetwork must not be true")]


def test_a_namespace_that_the_pack_exempts_is_exempt_from_any_rule() -> None:
    """Each rule's configuration has `exemptNamespaces`; by default only `restricted` exempts one."""
    spec = {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}
    bare: dict[str, Any] = {"kind": "Deployment", "metadata": {"name": "web", "namespace": "legacy"}, "spec": spec}
    reading = [{"apiGroups": [""], "resources": ["secrets", "*"], "verbs": ["get"]}]
    role = {"kind": "Role", "metadata": {"name": "web", "namespace": "legacy"}, "rules": reading}
    cluster_role = {"kind": "ClusterRole", "metadata": {"name": "web"}, "rules": reading}
    agent = {**bare, "metadata": {"name": "web", "namespace": "quarterdeck-node"}}

    broken = {rule for rule, _ in _wrong(bare, role)}

    assert broken == {
        "restricted", "bounded", "digests", "no-wildcards", "no-secret-reads", "budgets", "isolated",
    }  # fmt: skip
    assert _wrong(bare, role, exempt=frozenset({"legacy"})) == []
    assert {rule for rule, _ in _wrong(cluster_role, exempt=frozenset({"default"}))} == {
        "no-wildcards", "no-secret-reads",
    }  # fmt: skip
    assert {rule for rule, _ in _wrong(agent)} == {"bounded", "digests", "budgets", "isolated"}


def test_a_policy_of_some_pods_denies_nothing_to_the_others() -> None:
    """By labels or by expressions: what it does not select stays open."""
    some = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["other"]}]}
    policy = {**DENIAL, "spec": {"podSelector": some, "policyTypes": ["Ingress", "Egress"]}}

    assert [rule for rule, _ in _wrong(GOOD, BUDGET, policy)] == ["isolated"]


@pytest.mark.parametrize(
    ("labels", "count"),
    [({"pod-security.kubernetes.io/enforce": "restricted"}, 0), ({}, 1)],
    ids=["restricted", "none"],
)
def test_a_namespace_enforces_the_level(labels: dict[str, str], count: int) -> None:
    """Or what is made there by hand is not held to it."""
    namespace = {"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}

    assert len(_wrong(namespace)) == count


@pytest.mark.parametrize(
    ("kind", "rule", "expected"),
    [
        ("Role", {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, []),
        ("Role", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]}, []),
        ("Role", {"apiGroups": ["x.io"], "resources": ["secrets"], "verbs": ["get"]}, []),
        ("ClusterRole", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}, []),
        (
            "Role",
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
            [("no-wildcards", "rules[0].verbs must name what is needed instead of *")],
        ),
        (
            "ClusterRole",
            {"nonResourceURLs": ["/metrics/*"], "verbs": ["get"]},
            [("no-wildcards", "rules[0].nonResourceURLs must name what is needed instead of *")],
        ),
        (
            "Role",
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]},
            [("no-secret-reads", "rules[0] must name the Secrets it reads by resourceNames")],
        ),
        (
            "ClusterRole",
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]},
            [
                (
                    "no-secret-reads",
                    "rules[0] must not read Secrets of the whole cluster: use a Role, with resourceNames",
                )
            ],
        ),
    ],
)
def test_a_role_names_what_it_is_for(kind: str, rule: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """No wildcards, and Secrets one by one."""
    assert _wrong({"kind": kind, "metadata": {"name": "r"}, "rules": [rule]}) == expected


def test_what_has_replicas_has_a_budget_that_selects_its_pods() -> None:
    """One for other pods, or in another namespace, does not count; a single pod needs none unless it is scaled."""
    other = {**BUDGET, "spec": {"selector": {"matchLabels": {"app": "other"}}}}
    single = copy.deepcopy(GOOD)
    single["spec"]["replicas"] = 1
    scaler = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"name": "web"}},
    }
    said = [
        ("budgets", "Deployment shop/web has replicas and no PodDisruptionBudget: a drained node may take all of them")
    ]

    assert _wrong(GOOD, other, DENIAL) == said
    assert _wrong(single, DENIAL) == []
    assert _wrong(single, scaler, DENIAL) == said


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"]},
        {"podSelector": {}, "policyTypes": ["Ingress"]},
        {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]},
    ],
    ids=["some pods", "one direction", "everything out"],
)
def test_a_namespace_with_pods_is_closed_in_both_directions(spec: dict[str, Any]) -> None:
    """For all its pods, or what is forgotten is open."""
    assert _wrong(GOOD, BUDGET, {**DENIAL, "spec": spec}) == [
        ("isolated", "the namespace shop has pods and no NetworkPolicy that denies what no other allows")
    ]
