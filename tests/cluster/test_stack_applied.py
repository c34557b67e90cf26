"""The rendering of the stack `local`, applied to a real API server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import APPLY_PATCH, MERGE_PATCH, ApiError

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools


@pytest.fixture(scope="module")
def cluster(api_server: Path) -> Cluster:
    """Return the API server."""
    return connect(api_server)


@pytest.fixture(scope="module")
def manifests(root: Path) -> list[Json]:
    """Return the rendering's documents, in their order."""
    render = [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", "stack", "render"]
    stream = subprocess.run(render, cwd=root, capture_output=True, text=True, timeout=120, check=True).stdout
    return list(yaml.safe_load_all(stream))


@pytest.fixture(scope="module")
def applied(cluster: Cluster, manifests: list[Json]) -> list[Json]:
    """Return the objects as the API server has them after the first application."""
    return [_apply(cluster, each) for each in manifests]


def _apply(cluster: Cluster, manifest: Json, manager: str = "test-stack") -> Json:
    # Strict: a field that the API server does not know is an error, and not dropped.
    query = {"fieldManager": manager, "fieldValidation": "Strict"}
    return cluster.request("PATCH", _path(cluster, manifest), query=query, body=manifest, content_type=APPLY_PATCH)


def _path(cluster: Cluster, manifest: Json) -> str:
    version = manifest["apiVersion"]
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    resources = cluster.request("GET", group)["resources"]
    (plural,) = [each["name"] for each in resources if each["kind"] == manifest["kind"] and "/" not in each["name"]]
    namespace = manifest["metadata"].get("namespace")
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{place}/{plural}/{manifest['metadata']['name']}"


def _pod(deployment: Json) -> Json:
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "trial", "namespace": deployment["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _create(cluster: Cluster, pod: Json) -> Json:
    where = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
    return cluster.request("POST", where, query={"dryRun": "All", "fieldValidation": "Strict"}, body=pod)


def test_every_object_is_accepted_in_the_renderings_order(manifests: list[Json], applied: list[Json]) -> None:
    """With strict validation, namespaces before what is in them."""
    assert [each["metadata"]["name"] for each in applied] == [each["metadata"]["name"] for each in manifests]
    assert len(applied) == 20


def test_applying_it_again_changes_nothing(cluster: Cluster, manifests: list[Json], applied: list[Json]) -> None:
    """Not a single object has a new version: there is nothing that the API server would have written differently."""
    again = [_apply(cluster, each) for each in manifests]

    assert [each["metadata"]["resourceVersion"] for each in again] == [
        each["metadata"]["resourceVersion"] for each in applied
    ]


def test_every_pod_passes_the_restricted_level_that_its_namespace_enforces(
    cluster: Cluster, applied: list[Json]
) -> None:
    """The API server admits it as it stands in the Deployment's template."""
    deployments = [each for each in applied if each["kind"] == "Deployment"]

    admitted = [_create(cluster, _pod(each)) for each in deployments]

    assert [pod["spec"]["containers"][0]["name"] for pod in admitted] == ["alertmanager", "prometheus", "checkout"]


@pytest.mark.parametrize(
    "loosened", [{"runAsNonRoot": False}, {"seccompProfile": {"type": "Unconfined"}}], ids=["root", "no seccomp"]
)
def test_the_namespaces_refuse_any_other_pod(cluster: Cluster, applied: list[Json], loosened: dict[str, Any]) -> None:
    """So the test before this one means something."""
    (deployment,) = [
        each for each in applied if each["metadata"]["name"] == "checkout" and each["kind"] == "Deployment"
    ]
    pod = _pod(deployment)
    pod["spec"] = {**pod["spec"], "securityContext": {**pod["spec"]["securityContext"], **loosened}}

    with pytest.raises(ApiError, match='violates PodSecurity "restricted:latest"'):
        _create(cluster, pod)


def test_the_commands_find_the_environments_facts(cluster: Cluster, applied: list[Json], root: Path) -> None:
    """The catalogue among them is the file as it stands in the repository."""
    del applied
    found = cluster.request("GET", "/api/v1/namespaces/quarterdeck/configmaps/quarterdeck-environment")["data"]

    facts = EnvironmentFacts.from_data(found)
    assert facts.prometheus_url == "http://127.77.0.90:9090"
    assert facts.catalogue == (root / "services.yaml").read_text()


def test_a_promoted_image_is_a_conflict_and_not_undone(
    cluster: Cluster, manifests: list[Json], applied: list[Json]
) -> None:
    """The stack is applied without force; writing the promoted tag into the catalogue settles it."""
    del applied
    (deployment,) = [
        each for each in manifests if each["metadata"]["name"] == "checkout" and each["kind"] == "Deployment"
    ]
    promoted = yaml.safe_load(yaml.safe_dump(deployment))
    promoted["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/checkout:v3"
    where = _path(cluster, deployment)
    before = cluster.request("GET", where)["spec"]["template"]["spec"]["containers"]
    # As a rollout promotes: only the image of the container it names.
    changed = [{**before[0], "image": "localhost/checkout:v3"}]
    after = cluster.request(
        "PATCH",
        where,
        query={"fieldManager": "a-rollout"},
        body={"spec": {"template": {"spec": {"containers": changed}}}},
        content_type=MERGE_PATCH,
    )

    with pytest.raises(ApiError, match='conflict with "a-rollout"'):
        _apply(cluster, deployment)
    settled = _apply(cluster, promoted)

    assert settled["metadata"]["generation"] == after["metadata"]["generation"]
