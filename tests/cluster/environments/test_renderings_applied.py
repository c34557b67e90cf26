"""Every environment's rendering in a real cluster: admitted, scheduled, Ready, applied again, upgraded, removed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.control_plane import running
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import APPLY_PATCH, ApiError
from quarterdeck_stacks.manifests import to_files
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "local": (),
    "dev": (),
    "staging": (),
    "prod": (),
    "prod distributed": (
        "monitoringScale=distributed",
        "objectStore=s3://samples?region=eu-central-1",
        "objectStoreIdentity=arn:aws:iam::111122223333:role/samples",
        "servicesInstrumentation=init",
        f"servicesInstrumentationImage=registry.example/instrumentation:0.1.0@sha256:{'0a' * 32}",
    ),
}
"""Name of a case to the keys that differ from the stack's file; the case's first word is the stack."""

RELEASED = {path.stem.removeprefix("released-"): path for path in Path(__file__).parent.glob("released-*.yaml")}
"""Stack to the rendering of it that users have in their clusters: `quarterdeck stack render --env STACK`, written anew
with each release."""

QUOTA = {"requests.cpu": "500", "requests.memory": "1Ti", "limits.memory": "1Ti", "pods": "500"}
"""Where there is a quota, a pod without the request or the limit it counts is refused."""

_OTHERS = frozenset({"Event", "Lease", "EndpointSlice", "Endpoints", "ComponentStatus"})
"""Kinds whose objects come and go by themselves."""


@dataclass(frozen=True)
class Api:
    """The cluster, with the paths of every kind it serves."""

    cluster: Cluster

    def apply(self, manifest: Json) -> Json:
        """Apply *manifest* without force; a field that the API server does not know is an error."""
        query = {"fieldManager": "test-environments", "fieldValidation": "Strict"}
        return self.cluster.request("PATCH", self.path(manifest), query=query, body=manifest, content_type=APPLY_PATCH)

    def get(self, manifest: Json) -> Json:
        """Return the object as it is in the cluster."""
        return self.cluster.request("GET", self.path(manifest))

    def delete(self, manifest: Json) -> None:
        """Delete the object, and what belongs to it after it."""
        try:
            self.cluster.request("DELETE", self.path(manifest), query={"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def path(self, manifest: Json) -> str:
        """Return the path of the object that *manifest* describes."""
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        (resource,) = [each for each in self.resources(version) if each["kind"] == manifest["kind"]]
        inside = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
        return f"{_prefix(version)}{inside}/{resource['name']}/{metadata['name']}"

    @cache  # noqa: B019 -- one instance a test run
    def resources(self, version: str) -> list[Json]:
        """Return the kinds of one version of one group."""
        return [each for each in self.cluster.request("GET", _prefix(version))["resources"] if "/" not in each["name"]]

    def everything(self) -> set[tuple[str, str | None, str]]:
        """Return (kind, namespace, name) of each object there is, without those that come and go by themselves."""
        groups = self.cluster.request("GET", "/apis")["groups"]
        found = set()
        for version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups)):
            for each in self.resources(version):
                if {"list", "delete"} <= set(each["verbs"]) and each["kind"] not in _OTHERS:
                    items = self.cluster.request("GET", f"{_prefix(version)}/{each['name']}")["items"]
                    found |= {(each["kind"], i["metadata"].get("namespace"), i["metadata"]["name"]) for i in items}
        return found


def _prefix(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


@dataclass(frozen=True)
class Deployed:
    """One environment in the cluster."""

    case: str
    manifests: list[Json]
    before: set[tuple[str, str | None, str]]
    """What was in the cluster before it."""


@pytest.fixture(scope="module")
def api(tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Return a cluster with controllers, nodes and volumes, and nothing else in it."""
    with running(tmp_path_factory.mktemp("environments"), tool) as kubeconfig:
        found = Api(connect(kubeconfig))
        # What controllers put into every namespace, the cluster's own included: else it would come later, and be extra.
        until(lambda: _furnished(found.everything()))
        yield found


def _furnished(objects: set[tuple[str, str | None, str]]) -> bool:
    namespaces = {name for kind, _, name in objects if kind == "Namespace"}
    given = (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))
    return all((kind, namespace, name) in objects for namespace in namespaces for kind, name in given)


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def deployed(request: pytest.FixtureRequest, api: Api, root: Path) -> Iterator[Deployed]:
    """Return an environment that was applied to the cluster, and is removed after its tests."""
    before = api.everything()
    manifests = _rendered(root, request.param)
    _install(api, manifests)
    yield Deployed(request.param, manifests, before)
    _remove(api, manifests)


def _rendered(root: Path, case: str) -> list[Json]:
    project = load_project(root)
    stack = case.partition(" ")[0]
    files = to_files(render(project, stack, load_stack(project, stack, ENVIRONMENTS[case])).objects)
    return [yaml.safe_load(text) for text in files.values()]


def _install(api: Api, manifests: list[Json]) -> None:
    """Apply *manifests* in their order, with a quota in each namespace as soon as there is one."""
    for each in manifests:
        api.apply(each)
        if each["kind"] == "Namespace":
            quota = {"name": "quota", "namespace": each["metadata"]["name"]}
            api.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": quota, "spec": {"hard": QUOTA}})


def _remove(api: Api, manifests: list[Json]) -> None:
    """Delete *manifests*, last first, and wait until their namespaces are gone."""
    for each in reversed(manifests):
        api.delete(each)
    gone = {each["metadata"]["name"] for each in manifests if each["kind"] == "Namespace"}
    until(lambda: not any(kind == "Namespace" and name in gone for kind, _, name in api.everything()))


def _workloads(api: Api, manifests: Iterable[Json]) -> list[Json]:
    kinds = {"Deployment", "StatefulSet", "DaemonSet"}
    return [api.get(each) for each in manifests if each["kind"] in kinds]


def _is_settled(workload: Json) -> bool:
    """Whether the controller has seen the newest template and every pod of it is Ready."""
    status = workload["status"]
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(wanted > 0 and wanted == status.get("numberReady") == status.get("updatedNumberScheduled"))
    wanted = workload["spec"]["replicas"]
    return bool(wanted == status.get("readyReplicas") == status.get("updatedReplicas") == status.get("replicas"))


def _settle(api: Api, manifests: list[Json]) -> None:
    try:
        until(lambda: all(_is_settled(each) for each in _workloads(api, manifests)))
    except AssertionError:
        events = api.cluster.request("GET", "/api/v1/events")["items"]
        said = sorted({f"{e['involvedObject']['name']}: {e['message']}" for e in events if e["type"] == "Warning"})
        late = [each["metadata"]["name"] for each in _workloads(api, manifests) if not _is_settled(each)]
        pytest.fail(f"not Ready in time: {late}\n" + "\n".join(said[-20:]))


def _described(stored: Json) -> dict[str, Any]:
    """Return *stored* without what controllers write and what changes with any write."""
    ours = [each for each in stored["metadata"].get("managedFields", []) if each["manager"] == "test-environments"]
    metadata = {k: v for k, v in stored["metadata"].items() if k not in {"resourceVersion", "managedFields"}}
    return {**{k: v for k, v in stored.items() if k not in {"status", "metadata"}}, "metadata": metadata, "ours": ours}


def test_every_pod_is_admitted_counted_and_ready(api: Api, deployed: Deployed) -> None:
    """PodSecurity is enforced in each namespace, quotas count what pods ask for, claims find volumes."""
    _settle(api, deployed.manifests)

    namespaces = [each for each in deployed.manifests if each["kind"] == "Namespace"]
    assert all("pod-security.kubernetes.io/enforce" in each["metadata"]["labels"] for each in namespaces)
    assert {each["metadata"]["name"] for each in _workloads(api, deployed.manifests)} >= {"prometheus", "checkout"}


def test_applying_it_again_changes_nothing(api: Api, deployed: Deployed) -> None:
    """Not a field, and not who owns it: there is nothing that the API server would have written differently."""
    _settle(api, deployed.manifests)
    before = [_described(api.get(each)) for each in deployed.manifests]

    after = [_described(api.apply(each)) for each in deployed.manifests]

    assert after == before


def test_what_is_stored_says_what_was_applied(api: Api, deployed: Deployed) -> None:
    """Written as the API server writes it (`1`, not `1000m`): or a refresh of the stack's state would call it drift."""
    _settle(api, deployed.manifests)

    different = [
        f"{each['kind']} {each['metadata']['name']}: {found}"
        for each in deployed.manifests
        for found in _unlike(each, api.get(each))
    ]

    assert different == []


def test_it_goes_without_leaving_anything(api: Api, deployed: Deployed) -> None:
    """Neither an object without a namespace nor one in a namespace that it did not make."""
    _remove(api, deployed.manifests)

    until(lambda: api.everything() <= deployed.before, lambda: f"{api.everything() - deployed.before} to be gone")
    assert api.everything() == deployed.before


def _unlike(applied: Any, stored: Any, where: str = "") -> Iterator[str]:
    """Yield each place where *stored* has something else than *applied* asked for; more is the API server's own."""
    if isinstance(applied, dict) and isinstance(stored, dict):
        for key, value in applied.items():
            yield from _unlike(value, stored.get(key), f"{where}.{key}")
    elif isinstance(applied, list) and isinstance(stored, list) and len(applied) == len(stored):
        for index, (one, other) in enumerate(zip(applied, stored, strict=True)):
            yield from _unlike(one, other, f"{where}[{index}]")
    elif applied != stored:
        yield f"{where} is {stored!r}, not {applied!r}"


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_what_is_released_can_be_upgraded_to_it(api: Api, root: Path, stack: str) -> None:
    """What is gone from the rendering is deleted, the rest applied without force; every pod is Ready again."""
    released = list(yaml.safe_load_all(RELEASED[stack].read_text(encoding="utf-8")))
    manifests = _rendered(root, stack)
    kept = {api.path(each) for each in manifests}
    try:
        _install(api, released)
        _settle(api, released)

        for each in reversed(released):
            if api.path(each) not in kept:
                api.delete(each)
        _install(api, manifests)

        _settle(api, manifests)
    finally:
        _remove(api, [*released, *manifests])


def test_a_quota_that_is_too_small_is_said_at_the_deployment(api: Api, root: Path) -> None:
    """Where `quarterdeck rollout` and `kubectl describe` show it: the pods are not there, and why."""
    manifests = [
        each
        for each in _rendered(root, "dev")
        if "shop" in {each["metadata"]["name"], each["metadata"].get("namespace")}
    ]
    small = {"name": "small", "namespace": "shop"}
    try:
        for each in manifests:
            api.apply(each)
            if each["kind"] == "Namespace":
                hard = {"requests.memory": "1Mi"}
                api.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": small, "spec": {"hard": hard}})
        (deployment,) = [each for each in manifests if each["kind"] == "Deployment"]

        until(lambda: "exceeded quota: small" in _failure(api.get(deployment)))
    finally:
        _remove(api, manifests)


def _failure(deployment: Json) -> str:
    conditions = deployment.get("status", {}).get("conditions", [])
    return next((each["message"] for each in conditions if each["type"] == "ReplicaFailure"), "")
