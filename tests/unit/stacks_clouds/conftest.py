"""The program on every kind of cluster, with clouds that answer as the real ones do, as far as it reads that."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]  # protobuf ships no types
from pulumi.runtime.proto import resource_pb2

from quarterdeck_stacks.capture import Monitor, Registration, capture
from quarterdeck_stacks.environments import deploy
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

UID = "0d2f5a52-8c55-4f4c-9d3e-2f7a4a1f9c11"
"""Of the namespace kube-system in every cluster here."""

AUTHORITY = base64.b64encode(b"a certificate").decode()

AKS_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: aks, cluster: {server: https://aks.example, certificate-authority-data: QQ==}}]
users:
  - name: aks
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1beta1
        command: kubelogin
        args: [get-token, --server-id, an-id, --login, devicecode]
contexts: [{name: aks, context: {cluster: aks, user: aks}}]
current-context: aks
"""

EXISTING = ("clusterKind=existing", "clusterIssuer=https://oidc.example/1")
EKS = (
    "clusterKind=eks",
    "clusterVersion=1.35",
    "clusterAccount=123456789012",
    "clusterRegion=eu-central-1",
    'clusterZones=["eu-central-1a", "eu-central-1b"]',
    'nodePools=["general type=m7g.xlarge max=6", "cheap type=c7g.2xlarge max=3 spot"]',
    'clusterAdmins=["arn:aws:iam::123456789012:role/platform"]',
    'costTags=["team=platform"]',
)
GKE = (
    "clusterKind=gke",
    "metricsServer=false",
    "clusterAccount=a-project",
    "clusterRegion=europe-west1",
    'clusterZones=["europe-west1-b", "europe-west1-c"]',
    'nodePools=["general type=e2-standard-4 min=2 max=6", "cheap type=e2-standard-8 min=0 max=3 spot"]',
    'costTags=["team=platform"]',
)
AKS = (
    "clusterKind=aks",
    "metricsServer=false",
    "clusterAccount=00000000-0000-0000-0000-000000000001",
    "clusterRegion=westeurope",
    'clusterZones=["1", "2", "3"]',
    'nodePools=["general type=Standard_D4s_v5 min=2 max=6", "cheap type=Standard_D8s_v5 min=0 max=3 spot"]',
    'clusterAdmins=["00000000-0000-0000-0000-00000000000a"]',
    'costTags=["team=platform"]',
)
KINDS = {"existing": EXISTING, "eks": EKS, "gke": GKE, "aks": AKS}

_ANSWERS: dict[str, dict[str, Any]] = {
    "aws:eks/cluster:Cluster": {
        "endpoint": "https://eks.example",
        "certificateAuthority": {"data": AUTHORITY},
        "identities": [{"oidcs": [{"issuer": "https://oidc.eks.example/id/1"}]}],
    },
    "gcp:container/cluster:Cluster": {
        "endpoint": "203.0.113.7",
        "masterAuth": {"clusterCaCertificate": AUTHORITY},
    },
    "gcp:serviceaccount/account:Account": {"email": "nodes@example", "member": "serviceAccount:nodes@example"},
    "gcp:projects/serviceIdentity:ServiceIdentity": {"member": "serviceAccount:agent@example"},
    "azure-native:managedidentity:UserAssignedIdentity": {"tenantId": "a-tenant", "principalId": "a-principal"},
    "azure-native:keyvault:Key": {"keyUriWithVersion": "https://vault.example/keys/secrets/1"},
    "azure-native:containerservice:ManagedCluster": {
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://oidc.aks.example/1/"},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {}},
    },
}
"""What only the cloud knows, by type."""


class Clouds(Monitor):
    """Every cloud, and the clusters in them."""

    def __init__(self, stack: str) -> None:
        super().__init__("quarterdeck", stack)
        self.exported: dict[str, Any] = {}
        """The stack's outputs."""
        self.secret: set[str] = set()
        """Which of them are secrets."""
        self.asked: list[str] = []
        """Contents of the kubeconfigs by which a cluster was asked for its UID."""

    def answer(self, request: Any) -> Any:
        """Answer with the inputs, and with what only the cloud knows."""
        if request.type.startswith(("kubernetes:", "pulumi:")) or not request.custom:
            return request.object
        inputs = json_format.MessageToDict(request.object)
        known = {"arn": f"arn:aws:made-up:{request.name}", "name": request.name}
        return _struct({**known, **inputs, **_ANSWERS.get(request.type, {})})

    def ReadResource(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Answer for the namespace kube-system."""
        del context
        provider = request.provider.rpartition("::")[0].rpartition("::")[2]
        self.asked.append(provider)
        return resource_pb2.ReadResourceResponse(
            urn=f"urn:read::{request.name}", properties=_struct({"metadata": {"name": request.id, "uid": UID}})
        )

    def Invoke(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Answer for Azure's list of credentials."""
        del context
        assert request.tok == "azure-native:containerservice:listManagedClusterUserCredentials"
        value = base64.b64encode(AKS_KUBECONFIG.encode()).decode()
        found = {"kubeconfigs": [{"name": "clusterUser", "value": value}]}
        return resource_pb2.ResourceInvokeResponse(**{"return": _struct(found)})

    def RegisterResourceOutputs(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Keep what the stack exports."""
        del context
        if "::pulumi:pulumi:Stack::" in request.urn:
            for key, value in json_format.MessageToDict(request.outputs).items():
                is_secret = isinstance(value, dict) and "4dabf18193072939515e22adb298388d" in value
                self.exported[key] = value["value"] if is_secret else value
                if is_secret:
                    self.secret.add(key)
        return empty_pb2.Empty()


def _struct(value: Mapping[str, Any]) -> Any:
    return json_format.Parse(json.dumps(value), struct_pb2.Struct())


class Run:
    """What one run of the program told the engine."""

    def __init__(self, clouds: Clouds) -> None:
        self.clouds = clouds

    def of(self, type_: str) -> list[Registration]:
        """Return the resources of this type."""
        return [each for each in self.clouds.registered if each.type == type_]

    def one(self, type_: str) -> dict[str, Any]:
        """Return the inputs of the one resource of this type."""
        (found,) = self.of(type_)
        return found.inputs

    @property
    def kubernetes(self) -> list[Registration]:
        """What is put into the cluster."""
        return [each for each in self.clouds.registered if each.type.startswith("kubernetes:")]


@pytest.fixture(scope="session")
def up(root: Path) -> Callable[..., Run]:
    """Return a function that runs this repository's program for the stack *env* on a *kind* of cluster.

    A run is made once for all tests that ask for it. What is registered is in `clouds`, which may be given to see it
    where the program fails.
    """
    project = load_project(root)
    made: dict[tuple[str, ...], Run] = {}

    def run(env: str, kind: str, *overrides: str, clouds: Clouds | None = None) -> Run:
        key = (env, kind, *overrides)
        if key not in made:
            asked = clouds or Clouds(env)
            with contextlib.chdir(project.program):
                capture(
                    deploy,
                    project=project.name,
                    stack=env,
                    config=load_stack(project, env, [*KINDS[kind], *overrides]),
                    preview=False,
                    monitor=asked,
                )
            made[key] = Run(asked)
        return made[key]

    return run


@pytest.fixture
def rendered(root: Path) -> Callable[..., set[tuple[str, str]]]:
    """Return a function that renders this repository's stack *env* on a *kind* of cluster: (kind, name)."""
    project = load_project(root)

    def run(env: str, kind: str) -> set[tuple[str, str]]:
        found = render(project, env, load_stack(project, env, KINDS[kind])).objects
        return {(each["kind"], each["metadata"]["name"]) for each in found}

    return run


@pytest.fixture
def clouds() -> Clouds:
    """Return clouds that nobody has asked for anything, for the stack `prod`."""
    return Clouds("prod")


@pytest.fixture
def uid() -> str:
    """Return the UID of the namespace kube-system in every cluster here."""
    return UID
