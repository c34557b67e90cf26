"""The Roles that the stack ships are enough for every command of an operator, and for nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.programs import until
from tests.unit.scripts_rollout.conftest import V1

from quarterdeck_contract.access import ROLE
from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP, SYSTEM_NAMESPACE
from quarterdeck_scripts import cli
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.rollout.session import Session
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

V2 = "localhost/checkout:v2"
GROUP = "operators-of-this-test"
_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


@pytest.fixture(scope="module")
def shipped(root: Path) -> list[Json]:
    """Return the Roles and their bindings as production's stack describes them."""
    project = load_project(root)
    rendering = render(project, "prod", load_stack(project, "prod", [f'operators=["{GROUP}"]']))
    return [found for found in rendering.objects if found["metadata"]["name"] == ROLE]


@pytest.fixture(scope="module")
def operator(plane: Path, shipped: list[Json], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apply what is shipped; return the kubeconfig of somebody whom it is bound to, and nothing else is."""
    cluster = connect(plane)
    account = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/serviceaccounts"
    cluster.request("POST", account, body={"metadata": {"name": "somebody"}})
    token = cluster.request("POST", f"{account}/somebody/token", body={"spec": {}})["status"]["token"]
    somebody = [{"kind": "ServiceAccount", "name": "somebody", "namespace": SYSTEM_NAMESPACE}]
    for found in shipped:
        # The one who asks is a service account here, which a test can have a token of.
        body = {**found, "subjects": somebody} if found["kind"] == "RoleBinding" else found
        cluster.request("POST", f"{_RBAC}/{found['metadata']['namespace']}/{found['kind'].lower()}s", body=body)
    config: Any = yaml.safe_load(plane.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    kubeconfig = tmp_path_factory.mktemp("operator") / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    until(lambda: may_delete(connect(kubeconfig)), "the API server to know the roles")
    return kubeconfig


@pytest.fixture
def typed(shop: Any, operator: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a shop, with the commands speaking to its cluster as the operator."""
    with shop() as opened:
        opened.through = operator
        facts = {"metadata": {"name": ENVIRONMENT_CONFIGMAP}, "data": {"environment": "local"}}
        opened.cluster.request("POST", path("ConfigMap", SYSTEM_NAMESPACE), body=facts)
        monkeypatch.setattr(Session, "open", lambda _, service: opened.session(service))
        monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: opened.session().environment)
        yield opened


def may_delete(cluster: Cluster) -> bool:
    """Return whether the API server lets whoever asks delete Deployments in `shop`: it learns of roles by and by."""
    asked = {"namespace": "shop", "verb": "delete", "group": "apps", "resource": "deployments"}
    review = {"spec": {"resourceAttributes": asked}}
    return bool(cluster.request("POST", path("SelfSubjectAccessReview"), body=review)["status"]["allowed"])


def refused(cluster: Cluster, method: str, where: str, body: Json | None = None) -> bool:
    """Return whether the API server refuses a request as forbidden."""
    try:
        cluster.request(method, where, body=body)
    except ApiError as error:
        return error.status == 403
    return False


def test_every_command_of_a_service_works(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Roll out and undo, abort, stop the line, restart and scale, look at the log: as the API server decides."""
    for line in (
        "rollout freeze --why test --for 1h --yes",
        "rollout thaw --yes",
        f"rollout start checkout --image {V2} --yes",
        "rollout status checkout",
        "rollout undo checkout --yes",
        "rollout abort checkout --yes",
        "runbook run restart --service checkout --yes",
        "runbook run scale --service checkout --replicas 2 --yes",
        "audit show",
        "audit verify",
    ):
        assert cli.run(line.split()) == 0, capsys.readouterr().err
    assert typed.images() == [V1] * 2


def test_what_no_command_does_is_refused(operator: Path) -> None:
    """Secrets above all; other namespaces, nodes, pods' insides, and any right of one's own making."""
    cluster = connect(operator)
    role = {"metadata": {"name": "mine"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}

    assert refused(cluster, "GET", path("Secret", "shop"))
    assert refused(cluster, "GET", path("Secret", SYSTEM_NAMESPACE, "any"))
    assert refused(cluster, "GET", path("Secret"))
    assert refused(cluster, "GET", path("Deployment", "default", "any"))
    assert refused(cluster, "GET", path("Node"))
    assert refused(cluster, "GET", path("Namespace"))
    assert refused(cluster, "POST", path("Pod", "shop", "any", "exec"))
    assert refused(cluster, "DELETE", path("ConfigMap", SYSTEM_NAMESPACE, ENVIRONMENT_CONFIGMAP))
    assert refused(cluster, "DELETE", path("Deployment", "shop"))
    assert refused(cluster, "POST", f"{_RBAC}/shop/roles", role)


def test_a_right_that_is_taken_away_is_named_before_anything_is_changed(
    typed: Any, plane: Path, operator: Path, shipped: list[Json], capsys: pytest.CaptureFixture[str]
) -> None:
    """Abort's right too: without it a canary could be made and not be removed."""
    (role,) = (each for each in shipped if (each["kind"], each["metadata"]["namespace"]) == ("Role", "shop"))
    rules = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "delete"]} for rule in role["rules"]]
    rules = [rule for rule in rules if rule["verbs"]]
    administrator = connect(plane)
    where = f"{_RBAC}/shop/roles/{ROLE}"
    administrator.request("PUT", where, body={**role, "rules": rules})
    try:
        until(lambda: not may_delete(connect(operator)), "the API server to know the role")
        assert cli.run(["rollout", "start", "checkout", "--image", V2, "--yes"]) == 4
        assert "not allowed to delete deployments in shop" in capsys.readouterr().err
        assert typed.deployments() == ["checkout"]
    finally:
        administrator.request("PUT", where, body=role)
