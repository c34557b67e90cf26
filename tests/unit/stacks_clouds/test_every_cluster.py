"""Every environment on every kind of cluster: the same outputs, the same objects."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.clusters.extras import load
from quarterdeck_stacks.settings import ClusterKind

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools


ENVIRONMENTS = ("dev", "staging", "prod")


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["existing", "eks", "gke", "aks"])
def test_every_environment_goes_to_every_kind_of_cluster(up: Callable[..., Any], uid: str, env: str, kind: str) -> None:
    """Into the cluster by one provider, after the cluster has said who it is; its facts and outputs name it."""
    run = up(env, kind)

    assert run.clouds.asked == ["identity"]
    assert {each.provider.rpartition("::")[0].rpartition("::")[2] for each in run.kubernetes} == {"cluster"}
    assert run.clouds.exported["clusterUid"] == uid
    (facts,) = [each for each in run.of("kubernetes:core/v1:ConfigMap") if each.name == "quarterdeck-environment"]
    assert facts.inputs["data"]["cluster-uid"] == uid
    assert facts.inputs["data"]["grafana-url"] == "http://grafana.quarterdeck.svc:3000"
    assert ("kubeconfig" in run.clouds.secret) is (kind != "existing")


@pytest.mark.parametrize(
    ("kind", "issuer"),
    [
        ("existing", "https://oidc.example/1"),
        ("eks", "https://oidc.eks.example/id/1"),
        ("gke", "https://container.googleapis.com/v1/quarterdeck-dev"),
        ("aks", "https://oidc.aks.example/1/"),
    ],
)
def test_every_cluster_says_who_issues_its_tokens(up: Callable[..., Any], kind: str, issuer: str) -> None:
    """For whoever federates its service accounts; for an existing one the settings say it."""
    run = up("dev", kind)

    assert run.clouds.exported["clusterIssuer"] == issuer


@pytest.mark.parametrize(
    ("kind", "command", "server"),
    [
        ("eks", "aws", "https://eks.example"),
        ("gke", "gke-gcloud-auth-plugin", "https://203.0.113.7"),
        ("aks", "kubelogin", "https://aks.example"),
    ],
)
def test_a_kubeconfig_has_no_credentials(up: Callable[..., Any], kind: str, command: str, server: str) -> None:
    """It names the cloud's own program, which has those of whoever runs it."""
    document = yaml.safe_load(up("dev", kind).clouds.exported["kubeconfig"])

    assert document["clusters"][0]["cluster"]["server"] == server
    (user,) = document["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["command"] == command
    assert document["current-context"] == document["contexts"][0]["name"]


@pytest.mark.parametrize(
    ("kind", "type_", "locks"),
    [
        ("eks", "aws:eks/cluster:Cluster", "deletionProtection"),
        ("gke", "gcp:container/cluster:Cluster", "deletionProtection"),
        ("aks", "azure-native:containerservice:ManagedCluster", None),
    ],
)
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_cluster_is_not_deleted_by_mistake(
    up: Callable[..., Any], env: str, kind: str, type_: str, locks: str | None
) -> None:
    """Neither by Pulumi nor, where the cloud has a lock, in its console; dev's may be thrown away."""
    (cluster,) = up(env, kind).of(type_)

    assert cluster.protect is (env != "dev")
    assert locks is None or cluster.inputs[locks] is (env != "dev")


@pytest.mark.parametrize("kind", ["existing", "eks", "gke", "aks"])
def test_services_may_run_on_spot_nodes_and_nothing_else_may(up: Callable[..., Any], kind: str) -> None:
    """Where there are any: what holds data is nowhere that a cloud may take back."""
    run = up("prod", kind)

    deployments = {each.name: each.inputs for each in run.of("kubernetes:apps/v1:Deployment")}
    tolerations = deployments["checkout"]["spec"]["template"]["spec"].get("tolerations", [])
    spot = ["quarterdeck.dev/spot", "kubernetes.azure.com/scalesetpriority"]
    assert [each["key"] for each in tolerations] == ([] if kind == "existing" else spot)
    stateful = run.of("kubernetes:apps/v1:StatefulSet")
    assert stateful
    assert not [each.name for each in stateful if "tolerations" in each.inputs["spec"]["template"]["spec"]]


@pytest.mark.parametrize(("kind", "extra"), [("eks", "aws"), ("gke", "gcp"), ("aks", "azure")])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, kind: str, extra: str) -> None:
    """With what installs it, not as a traceback."""
    package = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure": "pulumi_azure_native"}[extra]
    for name in [name for name in sys.modules if name.startswith((package, "quarterdeck_stacks.clusters."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(UsageError) as missing:
        load(ClusterKind(kind))

    assert missing.value.found == f"no package {package}"
    assert missing.value.next_step == f"`pip install 'quarterdeck[{extra}]'` into the program's virtual environment"


@pytest.mark.parametrize("kind", ["eks", "gke", "aks"])
def test_a_rendering_asks_no_cloud(rendered: Callable[..., set[Any]], kind: str) -> None:
    """It has what is put into the cluster, by names that are known beforehand, and no credentials are needed."""
    objects = rendered("prod", kind)

    assert ("ConfigMap", "quarterdeck-environment") in objects
    assert (("NodePool", "general") in objects) is (kind == "eks")


def test_a_stack_that_makes_no_cluster_imports_no_cloud() -> None:
    """They are hundreds of megabytes, and need not be there."""
    program = (
        "import sys, quarterdeck_stacks.environments;"
        "sys.exit(sorted({name.partition('.')[0] for name in sys.modules} & {'pulumi_aws', 'pulumi_gcp', "
        "'pulumi_azure_native'}) or None)"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
