"""Operators have a Role in each namespace, as narrow as what the commands do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract import access
from quarterdeck_stacks.policy.access import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    Objects = dict[Any, dict[str, Any]]


@pytest.fixture(scope="module")
def roles(rendered: Callable[..., Objects]) -> dict[str, dict[str, Any]]:
    """Return the Roles of production's operators, by namespace."""
    objects = rendered("prod", 'operators=["sre", "payments"]')
    return {place: each for (kind, place, name), each in objects.items() if (kind, name) == ("Role", access.ROLE)}


def test_there_is_one_for_services_one_for_the_system_and_one_for_the_clusters_identity(
    roles: dict[str, dict[str, Any]],
) -> None:
    """Each has the contract's rules, word for word, which a rollout asks the API server about."""
    assert sorted(roles) == ["kube-system", "quarterdeck", "shop"]
    for namespace, role in roles.items():
        assert role["rules"] == [
            {
                "apiGroups": [rule.group],
                "resources": [rule.resource],
                "verbs": list(rule.verbs),
                **({"resourceNames": list(rule.names)} if rule.names else {}),
            }
            for rule in access.rules(namespace)
        ]


def test_none_has_a_verb_on_secrets_or_a_wildcard(roles: dict[str, dict[str, Any]]) -> None:
    """Nor anything that grants more than it says: roles, bindings, service accounts, impersonation, pods' insides."""
    rules = [rule for role in roles.values() for rule in role["rules"]]

    words = {word for rule in rules for field in ("apiGroups", "resources", "verbs") for word in rule[field]}
    assert not words & {
        *("*", "secrets", "serviceaccounts", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward"),
        *("roles", "rolebindings", "clusterroles", "clusterrolebindings", "impersonate", "bind", "escalate"),
    }
    broken = [message for rule in RULES for role in roles.values() for message in rule.check(role, frozenset())]
    assert broken == []


def test_nothing_of_it_is_cluster_wide(rendered: Callable[..., Objects]) -> None:
    """No ClusterRole has the name, and no binding leads to one."""
    objects = rendered("prod", 'operators=["sre"]')

    assert [kind for kind, _, name in objects if name == access.ROLE and kind.startswith("Cluster")] == []
    bindings = [each for (kind, _, name), each in objects.items() if (kind, name) == ("RoleBinding", access.ROLE)]
    assert [each["roleRef"]["kind"] for each in bindings] == ["Role"] * 3


def test_groups_are_bound_to_every_role_and_nobody_else(rendered: Callable[..., Objects]) -> None:
    """Without a group there is no binding: the Roles are for bindings of one's own."""
    objects = rendered("prod", 'operators=["sre", "payments"]')

    bindings = {
        place: each["subjects"]
        for (kind, place, name), each in objects.items()
        if (kind, name) == ("RoleBinding", access.ROLE)
    }
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group"}
    subjects = [{**group, "name": "sre"}, {**group, "name": "payments"}]
    assert bindings == dict.fromkeys(["kube-system", "quarterdeck", "shop"], subjects)
    alone = rendered("prod")
    assert [key for key in alone if key[2] == access.ROLE and key[0] == "RoleBinding"] == []
